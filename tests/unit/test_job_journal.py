"""The writing end of the journal, and what keeps secrets and slips out of jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.cli import attach
from mongo_dr_console.config import Profile
from mongo_dr_console.model import progresstext
from mongo_dr_console.model.jobview import StepView
from mongo_dr_console.model.journal import decode_all
from mongo_dr_console.model.lock import LockInfo, locked, reason_to_keep
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers.job import Journal, secrets_of
from mongo_dr_console.workers.login import decide

NOW = datetime(2026, 11, 22, 2, 17, tzinfo=UTC)
LOCK = LockInfo("1a2b3c4d", "restore", "ann@db1", "db1", 7, "", 3, "replay", 43.2, NOW, NOW, 2.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def journalled(path: Path) -> list[object]:
    return [line.event for line in decode_all(path.read_bytes())]


def test_progress_is_thinned_out_and_its_last_line_kept(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "j", clock=clock)
    for number in range(100):
        clock.now = number / 128
        journal.report(StepProgress("dump", number))
    journal.report(StepDone("dump"))
    assert [e.done for e in journalled(tmp_path / "j") if isinstance(e, StepProgress)] == [0, 26, 52, 78, 99]
    assert journalled(tmp_path / "j")[-1] == StepDone("dump")


def test_a_long_step_is_told_less_often(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "j", clock=clock)
    for number in range(2000):
        clock.now = number / 4
        journal.report(StepProgress("dump", number))
    told = [e.done / 4 for e in journalled(tmp_path / "j") if isinstance(e, StepProgress)]
    assert told[:3] == [0, 0.25, 0.5]
    assert told[-1] - told[-3] == 2


def test_each_step_has_its_own_pace(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", clock=Clock())
    for number in range(3):
        journal.report(StepProgress("dump", number))
        journal.report(StepProgress("oplog", number))
    journal.close()
    told = [(e.step, e.done) for e in journalled(tmp_path / "j") if isinstance(e, StepProgress)]
    assert sorted(told) == [("dump", 0), ("dump", 2), ("oplog", 0), ("oplog", 2)]


def test_a_torn_line_is_left_and_the_next_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"at":"2026')
    Journal(path).report(Note("on"))
    assert journalled(path) == [Note("on")]
    assert path.read_bytes().startswith(b'{"at":"2026\n')


def test_a_checkpoint_that_cannot_be_written_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j")

    def full(_file: int, text: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mongo_dr_console.workers.job.os.write", full)
    journal.report(Note("may be lost"))
    with pytest.raises(Failed, match="No space left"):
        journal.report(Checkpoint("a"))
    monkeypatch.undo()
    journal.report(Checkpoint("b"))
    assert journalled(tmp_path / "j") == [Checkpoint("b")]


def test_a_line_that_was_written_in_part_is_not_glued_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    journal = Journal(tmp_path / "j")
    room = [10]

    def nearly_full(file: int, text: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        size, room[0] = room[0], 0
        return write(file, text[:size])

    write = os.write
    monkeypatch.setattr("mongo_dr_console.workers.job.os.write", nearly_full)
    journal.report(Note("torn"))
    monkeypatch.undo()
    journal.report(Note("whole"))
    assert journalled(tmp_path / "j") == [Note("whole")]


def test_notes_lose_uris_and_passwords_and_checkpoints_stay_as_they_are(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ("hunter2",))
    journal.report(Note("mongodb://root:hunter2@db1 said hunter2"))
    journal.report(Checkpoint("namespace", {"name": "shop.mongodb://x"}))
    assert journalled(tmp_path / "j") == [
        Note("mongodb://*** said ***"),
        Checkpoint("namespace", {"name": "shop.mongodb://x"}),
    ]


@given(
    st.sampled_from(["mongodb://", "mongodb+srv://", "MongoDB://"]),
    st.text("abcXYZ019%-._~!$&()*+,;=:@/?", min_size=1, max_size=40),
)
def test_no_part_of_a_uri_is_left(scheme: str, rest: str) -> None:
    assert scrub(f"no answer from {scheme}{rest} at 02:17") == f"no answer from {scheme.lower()}*** at 02:17"


def test_a_password_is_known_in_both_spellings() -> None:
    secrets = secrets_of(Profile(uri="mongodb://root:p%40ss%2Fw@db1,db2/?replicaSet=rs"))
    assert scrub("p@ss/w p%40ss%2Fw", secrets) == "*** ***"
    assert secrets_of(Profile(uri_file="/nowhere/at/all")) == ()
    assert "db1" not in secrets_of(Profile(uri="mongodb://db1"))


def test_a_refusal_says_who_is_at_work_and_how_far() -> None:
    refused = locked(LOCK)
    for part in ("1a2b3c4d", "restore", "ann@db1", "'replay' at 43%", "2 s ago", "Nothing was changed"):
        assert part in refused.message
    assert (refused.code, refused.exit_code) == ("locked", 4)
    assert "mdr jobs attach 1a2b3c4d" in refused.hint
    stale = locked(replace(LOCK, age_seconds=3600.0))
    assert "mdr jobs resume 1a2b3c4d" in stale.hint
    assert "mdr jobs unlock" in stale.hint


@pytest.mark.parametrize(
    ("this_host", "alive", "age", "code"),
    [
        (True, True, 3600.0, "lock-owner-lives"),
        (True, False, 9.0, "lock-fresh"),
        (True, False, 11.0, None),
        (False, None, 11.0, "lock-fresh"),
        (False, None, 60.0, "lock-fresh"),
        (False, None, 61.0, None),
    ],
)
def test_only_a_dead_owners_lock_goes(
    this_host: bool, alive: bool | None, age: float, code: str | None
) -> None:
    reason = reason_to_keep(replace(LOCK, age_seconds=age), this_host=this_host, alive=alive)
    assert (reason.code if reason else None) == code


@pytest.mark.parametrize(
    ("kills", "lingers", "user_manager", "scope", "warned"),
    [
        (False, False, False, False, False),
        (True, True, True, True, False),
        (True, False, True, False, True),
        (True, True, False, False, True),
    ],
)
def test_what_a_job_needs_to_outlive_the_login(
    kills: bool, lingers: bool, user_manager: bool, scope: bool, warned: bool
) -> None:
    way = decide(kills=kills, lingers=lingers, user_manager=user_manager)
    assert (bool(way.prefix), bool(way.warning)) == (scope, warned)


def step(**changes: object) -> StepView:
    return replace(StepView("replay", "running", NOW, NOW, unit="operations"), **changes)  # type: ignore[arg-type]


def test_progress_says_what_is_known() -> None:
    at = NOW.replace(second=10)
    running = step(done=500, total=2000, last_at=at, base_done=0, base_at=NOW)
    assert progresstext.progress_text(running) == "replay   25%  500 of 2,000 operations  50/s  30 s left"
    assert progresstext.progress_text(step()) == "replay"
    assert (
        progresstext.done_text(step(state="done", done=500, last_at=at))
        == "replay: done, 500 operations in 10 s"
    )
    assert "1.0 MiB of 2.0 MiB" in progresstext.progress_text(step(unit="bytes", done=2**20, total=2**21))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert progresstext.seconds_text(seconds) == text


def test_names_cannot_write_on_the_terminal() -> None:
    out = StringIO()
    screen = attach._LiveScreen(out)
    screen.line("\x1b[2Jshop")
    screen.steps([step(detail="\x1b]0;owned\x07")])
    assert "\x1b" not in out.getvalue()


def test_a_running_step_never_takes_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = StringIO()
    screen = attach._LiveScreen(out)
    screen.steps([step(detail="a\nb" + "x" * 100)])
    screen.close()
    assert max(len(line) for line in out.getvalue().split("\n")) < 40
    assert out.getvalue().endswith("\x1b[1A\x1b[J")
