"""What is looked at before a restore: what it means here and now, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.readingkit import (
    DOWN,
    NOW,
    live,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.config import Profile
from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.finding import Finding
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.workers import preflight
from mongo_dr_console.workers.login import Outliving

LOCK = LockInfo(
    job="12ab34cd",
    kind="restore",
    owner="ops@other",
    host="other",
    pid=7,
    boot="",
    fencing=1,
    step="replay",
    percent=43,
    started=NOW,
    heartbeat=NOW,
    age_seconds=1,
)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.model_validate({"uri": "mongodb://h/", "state_dir": tmp_path / "state"})


def look(profile: Profile, seen: Readings, **environment: str) -> dict[str, Finding]:
    return {f.code: f for f in preflight.preflight(profile, seen, NOW, environment)}


def test_where_all_is_well_nothing_is_more_than_ok(profile: Profile) -> None:
    found = look(profile, readings())
    assert {f.level for f in found.values()} == {Level.FINE}, found
    assert set(found) == {"majority", "snapshot", "coverage", "state-folder", "login"}


@pytest.mark.parametrize(
    ("changes", "code", "level", "says"),
    [
        ({"lock": reading("lock", LOCK)}, "locked", Level.CRITICAL, "ops@other"),
        ({"set": None}, "set-unknown", Level.CRITICAL, "does not answer"),
        ({"set": reading("set", set_status(), error=DOWN)}, "set-unknown", Level.CRITICAL, "does not answer"),
        (
            {"set": reading("set", set_status(member("a:1"), majority_available=1))},
            "no-majority",
            Level.CRITICAL,
            "no write is acknowledged",
        ),
        (
            {"set": reading("set", set_status(member("a:1"), member("b:1")))},
            "no-primary",
            Level.CRITICAL,
            "no primary",
        ),
        ({"stores": {}}, "no-snapshot", Level.CRITICAL, "nothing to restore from"),
        ({"coverage": None}, "coverage-unknown", Level.UNKNOWN, "not known"),
        (
            {"coverage": reading("coverage", covering.build((), None, now=NOW))},
            "no-coverage",
            Level.CRITICAL,
            "Nothing can be restored to",
        ),
    ],
)
def test_what_stands_in_the_way(
    profile: Profile, changes: dict[str, Any], code: str, level: Level, says: str
) -> None:
    finding = look(profile, readings(**changes))[code]
    assert finding.level is level and says in finding.text and (finding.fix or level is Level.UNKNOWN)


def test_a_lock_of_a_dead_owner_is_doctor_s_business(profile: Profile) -> None:
    from dataclasses import replace

    assert "locked" not in look(profile, readings(lock=reading("lock", replace(LOCK, age_seconds=600))))


def test_a_snapshot_that_was_never_restored_and_a_gap_are_warnings(profile: Profile) -> None:
    held = snapshot(90_000), snapshot(3600, restore_tested_at=None)
    cover = covering.build(held, live(7200, *held), now=NOW, oplog=oplog())
    seen = readings(
        stores={"store:local": reading("store:local", store(*held))}, coverage=reading("coverage", cover)
    )
    found = look(profile, seen)
    assert "never restore-tested" in found["not-restore-tested"].text
    assert "1 gap that" in found["gaps"].text and found["gaps"].level is Level.WARNING


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = Profile.model_validate({"uri": "mongodb://h/", "state_dir": tmp_path / "file"})
    assert look(blocked, readings())["state-not-writable"].level is Level.CRITICAL


def test_too_little_room_for_the_oplog(profile: Profile) -> None:
    seen = readings(oplog=reading("oplog", oplog(size_bytes=1 << 60)))
    assert look(profile, seen)["state-room"].level is Level.WARNING


def test_the_probe_leaves_nothing_behind(profile: Profile) -> None:
    look(profile, readings())
    assert profile.state_dir is not None and list(profile.state_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TMUX": "/tmp/x"}, "Inside tmux"),
        ({"STY": "1.x", "SSH_CONNECTION": "a"}, "Inside screen"),
        ({"SSH_CONNECTION": "a"}, "Over plain SSH"),
        ({}, "goes on when this terminal or login ends"),
    ],
)
def test_where_it_runs(profile: Profile, environment: dict[str, str], says: str) -> None:
    assert says in look(profile, readings(), **environment)["login"].text


def test_a_login_that_takes_its_jobs_along(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "outliving", lambda: Outliving(warning="It would not outlive this login."))
    assert look(profile, readings())["login-ends-jobs"].level is Level.WARNING
    over_ssh = look(profile, readings(), TMUX="x", SSH_CONNECTION="a")
    assert over_ssh["login-ends-jobs"].level is Level.CRITICAL
