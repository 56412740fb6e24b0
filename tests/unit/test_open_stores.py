"""Which stores of a profile answer: asked side by side, each made once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.config import LocalStoreConfig, Profile, StoreConfig
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.stores import open as opening
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.store import Store


class Meeting(LocalStore):
    """Answers once all have been asked."""

    everybody: threading.Barrier

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        self.everybody.wait(30)
        return super().folders(prefix)


def test_stores_are_asked_side_by_side_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("one", "two", "gone")
    configs: dict[str, Any] = {n: LocalStoreConfig(type="local", path=tmp_path / n) for n in names}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    profile = Profile.model_validate({"uri": "mongodb://127.0.0.1:1", "stores": configs})
    made: list[str] = []
    Meeting.everybody = threading.Barrier(len(names))

    def make(name: str, config: StoreConfig, patience: Patience | None = None) -> Store:
        made.append(name)
        assert isinstance(config, LocalStoreConfig)
        return Meeting(name, config.path)

    monkeypatch.setattr(opening, "open_store", make)
    found, troubles = opening.open_answering(profile)
    assert (list(found), list(troubles)) == (["one", "two"], ["gone"])
    assert isinstance(troubles["gone"], Unreachable)
    assert sorted(made) == sorted(names)
