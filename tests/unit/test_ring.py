"""The ring: the last readings are kept within their size, in files that stand alone, and nobody waits."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from support.readingkit import NOW, reading, readings, set_status

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import with_reading
from mongo_dr_console.model.recording import Recorded
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.recorder import Apart
from mongo_dr_console.workers.recordings import last_of, read_recording, recordings_folder, runs_of
from mongo_dr_console.workers.ring import Ring, ring_of


def look(term: int) -> Recorded:
    at = NOW + timedelta(seconds=term)
    return Recorded(at, "p", "test", reading("set", set_status(term=term), taken_at=at, tried_at=at))


def taken(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*.jsonl"))


def test_the_newest_readings_stay_within_the_size_and_each_file_stands_alone(tmp_path: Path) -> None:
    ring = Ring(tmp_path, limit_bytes=40_000, file_bytes=10_000, clock=lambda: NOW)
    lock = Recorded(NOW, "p", "test", reading("lock", None))
    for term in range(200):
        ring.take(look(term))
        ring.take(lock)
        assert ring.error == "" and taken(tmp_path) <= 42_000
    ring.close()
    files = sorted(ring.run.glob("*"))
    assert files[0].name != "000001.jsonl"
    assert all({r.source for r in read_recording(f).readings} == {"set", "lock"} for f in files)
    terms = [r.reading.value.term for r in read_recording(ring.run).readings if r.source == "set"]
    assert terms == list(range(terms[0], 200)) and len(terms) > 12


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "p")
    ring.take(look(1))
    assert ring.run.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in ring.run.iterdir()} == {0o600}
    ring.close()


def test_older_runs_go_first_and_what_is_being_written_never(tmp_path: Path) -> None:
    sizes = {"limit_bytes": 6_000, "file_bytes": 2_000}
    ended = Ring(tmp_path, clock=lambda: NOW - timedelta(days=1), **sizes)
    going = Ring(tmp_path, clock=lambda: NOW - timedelta(hours=1), **sizes)
    for ring in (ended, going):
        ring.take(look(1))
    ended.close()
    new = Ring(tmp_path, clock=lambda: NOW, **sizes)
    for term in range(50):
        new.take(look(term))
    assert not ended.run.exists()
    assert [p.name for p in runs_of(tmp_path, "console")] == [going.run.name, new.run.name]
    new.close()
    going.close()


def test_the_agents_do_not_push_out_a_consoles(tmp_path: Path) -> None:
    console = Ring(tmp_path, clock=lambda: NOW)
    console.take(look(1))
    console.close()
    agent = Ring(tmp_path, "agent", limit_bytes=2_000, file_bytes=1_000, clock=lambda: NOW)
    for term in range(20):
        agent.take(look(term))
    agent.close()
    assert last_of([tmp_path], "console") == console.run
    assert last_of([tmp_path], "agent") == agent.run


def test_the_last_one_of_several_profiles_is_the_newest_and_none_is_said(tmp_path: Path) -> None:
    for name, hours in (("a", 1), ("b", 3)):
        ring = Ring(tmp_path / name, clock=lambda hours=hours: NOW - timedelta(hours=hours))
        ring.take(look(1))
        ring.close()
    assert last_of([tmp_path / "b", tmp_path / "a"], "console").parent.name == "a"
    with pytest.raises(WrongUse) as told:
        last_of([tmp_path / "a"], "agent")
    assert told.value.code == "recording-none" and "--no-record" in told.value.hint


def test_a_full_disk_is_said_leaves_few_files_and_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Ring(tmp_path, clock=lambda: NOW)
    ring.take(look(0))
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:10]))
    for term in range(1, 40):
        ring.take(look(term))
        assert "No space left" in ring.error
    assert len(list(ring.run.iterdir())) <= 2
    monkeypatch.setattr(os, "write", real)
    for term in range(40, 100):
        ring.take(look(term))
    assert ring.error == ""
    found = read_recording(ring.run)
    assert [r.reading.value.term for r in found.readings][-1] == 99 and found.lost == 0
    ring.close()


def test_a_folder_that_cannot_be_made_is_said_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file")
    ring = Ring(tmp_path / "recordings" / "p")
    ring.take(look(1))
    assert "cannot be recorded" in ring.error
    ring.close()


class Hanging:
    """A tape on a disk that hangs until it is let go."""

    def __init__(self) -> None:
        self.error = ""
        self.go_on, self.reached = threading.Event(), threading.Event()
        self.taken: list[Recorded] = []

    def take(self, recorded: Recorded) -> None:
        self.reached.set()
        assert self.go_on.wait(30)
        self.taken.append(recorded)

    def close(self) -> None:
        self.error = "closed"


def test_a_disk_that_hangs_holds_up_nobody_and_what_was_left_out_is_said() -> None:
    tape = Hanging()
    apart = Apart(lambda: tape, clock=lambda: NOW, most=3)
    known = readings()
    apart("set", known)
    assert tape.reached.wait(30)
    for _ in range(3):
        apart("set", known)
    assert apart.error == ""
    apart("set", known)
    assert "does not keep up" in apart.error
    apart.close(0.01)
    assert not tape.taken
    tape.go_on.set()
    apart.close(30)
    assert len(tape.taken) == 4 and tape.error == "closed"


def test_what_was_handed_over_is_in_the_file_when_it_is_closed(tmp_path: Path) -> None:
    profile = Profile.model_validate({"uri": "mongodb://h/", "state_dir": str(tmp_path)})
    apart = ring_of("p", profile)
    assert list(tmp_path.iterdir()) == []
    known = readings()
    for term in range(30):
        known = with_reading(known, reading("set", set_status(term=term)))
        apart("set", known)
    apart("kafka", known)  # has not answered: nothing to write
    apart.close()
    found = read_recording(last_of([recordings_folder(profile) / "p"], "console"))
    assert [r.reading.value.term for r in found.readings] == list(range(30))
    assert apart.error == ""


def test_without_a_reading_nothing_is_made(tmp_path: Path) -> None:
    made: list[int] = []
    apart = Apart(lambda: made.append(1))  # type: ignore[arg-type,func-returns-value]
    apart.close()
    assert made == []
