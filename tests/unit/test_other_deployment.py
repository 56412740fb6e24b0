"""A job goes on, is taken back and is settled only on the deployment that it was made for; it does not get as
far as the lock on any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.wizardkit import plan

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.progress import Checkpoint
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.workers import run_accept, run_restore, run_undo
from mongo_dr_console.workers.context import JobContext
from mongo_dr_console.workers.placed import PlacedRestore

PLAN = plan()
HERE = PLAN.identity
OTHERS = {
    "another set of the same name": HERE.model_copy(update={"replica_set_id": "f" * 24}),
    "a set of another name": HERE.model_copy(update={"set_name": "rs9"}),
}


class LockReached(Exception):
    """The job went on as far as its lock."""


def no_lock(*_: Any) -> Any:
    raise LockReached


def context(tmp_path: Path, **request: Any) -> JobContext:
    profile: Any = SimpleNamespace(environment=HERE.environment, connection_uri=lambda: "mongodb://h")
    begun = (Checkpoint("begun"),)
    return JobContext(
        "0a1b2c3d", tmp_path, "test", profile, request, lambda e: None, SimpleNamespace(), begun, 2
    )


def resumed(found: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployments = SimpleNamespace(target=None, target_identity=found)
    monkeypatch.setattr(run_restore, "open_deployments", lambda *_: deployments)
    monkeypatch.setattr(run_restore, "DeploymentLock", no_lock)
    monkeypatch.setattr(run_restore, "owner_of", lambda _: "somebody")
    run_restore.run(context(tmp_path, plan=PLAN.to_json()))


def placed(module: Any, found: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = PlacedRestore("0a1b2c3d", PLAN, [], None, [], "test")
    monkeypatch.setattr(module, "placed_restore", lambda *_: restore)
    monkeypatch.setattr(module, "connect", lambda _: None)
    monkeypatch.setattr(module, "owner_of", lambda _: "somebody")
    monkeypatch.setattr(module, "DeploymentLock", no_lock)
    monkeypatch.setattr(run_undo, "read_identity", lambda *_: found)
    monkeypatch.setattr(run_undo, "_check_there", lambda *_: None)
    module.run(context(tmp_path, job="0a1b2c3d"))


def undone(*arguments: Any) -> None:
    placed(run_undo, *arguments)


def accepted(*arguments: Any) -> None:
    placed(run_accept, *arguments)


WAYS = {f.__name__: f for f in (resumed, undone, accepted)}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("way", WAYS)
def test_on_another_deployment_nothing_is_done(
    way: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused) as caught:
        WAYS[way](OTHERS[other], tmp_path, monkeypatch)
    assert caught.value.code == "other-deployment"
    assert str(OTHERS[other]) in str(caught.value) and "Nothing was changed" in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_on_its_own_it_goes_on(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the profile calls the environment something else by now."""
    renamed = HERE.model_copy(update={"environment": "renamed"})
    with pytest.raises(LockReached):
        WAYS[way](renamed, tmp_path, monkeypatch)


@pytest.mark.parametrize("way", WAYS)
def test_a_fingerprint_that_is_not_compared_is_caught(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Identity, "same_deployment", lambda self, other: True)
    with pytest.raises(LockReached):
        WAYS[way](OTHERS["a set of another name"], tmp_path, monkeypatch)
