"""A profile in a config file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mongo_dr_console.config import Profile, load_config


@dataclass(frozen=True)
class PreparedProfile:
    """A profile that stands in a config file of its own."""

    name: str
    profile: Profile
    config_file: Path
    store: Path


def prepare(folder: Path, uri: str, state: Path) -> PreparedProfile:
    """Writes URI, store and config below a folder: a local store, access restore."""
    uri_file, store = folder / "uri", folder / "store"
    _write_secret(uri_file, uri)
    store.mkdir(exist_ok=True)
    config_file = folder / "config.toml"
    _write_secret(config_file, _config_text(uri_file, store, state))
    return PreparedProfile("test", load_config(config_file).profiles["test"], config_file, store)


def _config_text(uri_file: Path, store: Path, state: Path) -> str:
    profile: Mapping[str, str] = {
        "uri_file": str(uri_file),
        "environment": "test",
        "access": "restore",
        "state_dir": str(state),
    }
    lines = ["[profiles.test]", *(f"{key} = '{value}'" for key, value in profile.items())]
    return "\n".join([*lines, "[profiles.test.stores.local]", "type = 'local'", f"path = '{store}'", ""])


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
