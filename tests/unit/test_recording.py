"""Recordings: what comes out is what went in, however the file was cut."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import (
    DOWN,
    NOW,
    coverage,
    event,
    event_facts,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model.eventfacts import restored
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import with_reading
from mongo_dr_console.model.recording import Encoder, Recorded, decode, newest_part, part_since
from mongo_dr_console.model.trouble import Failed, Unreachable, WrongUse
from mongo_dr_console.workers.recorder import Recorder
from mongo_dr_console.workers.recordings import read_recording
from mongo_dr_console.workers.replay import JUMPED, Replay

LOCK = LockInfo("1", "restore", "a@b", "b", 7, "boot", 3, "load", 12.5, NOW, NOW, 0.5)
RECORD = {
    "schema": "mdr.restore-record",
    "job": "1",
    "finished_at": NOW.isoformat(),
    "limit": {"position": "5:1", "bound": "before", "follow": False},
    "skipped": ["e1"],
    "namespaces": [{"to": "shop.orders"}],
}
BAD = snapshot(60, problem=Failed("manifest-changed", "It is not as it was written.", "Take another."))
JOB = JobFacts("1", "restore", "done", started_at=NOW, restored=restored([RECORD])[0], error=DOWN)

VALUES: dict[str, list[Any]] = {
    "set": [set_status(), set_status(member("[/]\n", "DOWN", healthy=False)), None],
    "oplog": [oplog(), oplog(size_bytes=None)],
    "store:local": [store(snapshot(30), BAD, restored=restored([RECORD]), undone=frozenset({"9"})), store()],
    "coverage": [coverage(snapshot(30), snapshot(9000)), coverage()],
    "events": [event_facts(event(100)), event_facts(scanned_from=None, scanned_to=None)],
    "jobs": [(), (JOB,)],
    "lock": [None, LOCK],
}


@st.composite
def recorded(draw: st.DrawFn) -> Recorded:
    source = draw(st.sampled_from(sorted(VALUES)))
    known = reading(
        source,
        draw(st.sampled_from(VALUES[source])),
        error=draw(st.sampled_from([None, DOWN])),
        attempt=draw(st.integers(1, 9)),
        next_try=draw(st.sampled_from([None, NOW])),
        took=timedelta(microseconds=draw(st.integers(0, 10**7))),
    )
    return Recorded(NOW + timedelta(seconds=draw(st.integers(0, 9))), "p", "test", known)


def encoded(found: list[Recorded]) -> list[bytes]:
    encoder = Encoder()
    return [encoder.line(one) for one in found]


@given(st.lists(recorded(), max_size=12))
def test_what_was_recorded_is_read_again(found: list[Recorded]) -> None:
    assert list(decode(encoded(found))) == found


@given(st.lists(recorded(), max_size=12), st.integers(0, 20_000))
def test_the_newest_part_is_whole_lines_that_need_nothing_from_before(
    found: list[Recorded], size: int
) -> None:
    content = b"".join(encoded(found))
    kept = list(decode(newest_part(content, size).splitlines(keepends=True)))
    at_least = max(0, len(content[max(0, len(content) - size) :].splitlines()) - 1)
    assert len(kept) >= at_least
    assert kept[len(kept) - at_least :] == found[len(found) - at_least :]
    assert {r.source for r in kept} == {r.source for r in found}
    assert len(kept) <= at_least + 1 + len(VALUES)


@given(st.lists(recorded(), min_size=1, max_size=12), st.integers(-1, 10))
def test_the_part_since_a_moment_is_that_and_what_it_needs(found: list[Recorded], seconds: int) -> None:
    found = sorted(found, key=lambda r: r.at)
    since = NOW + timedelta(seconds=seconds)
    kept = list(decode(part_since(b"".join(encoded(found)), since).splitlines(keepends=True)))
    wanted = [r for r in found if r.at >= since]
    assert kept[len(kept) - len(wanted) :] == wanted
    assert len(kept) <= len(wanted) + len(VALUES)
    if wanted:
        assert {r.source for r in kept} == {r.source for r in found}
    else:
        assert kept == []


def test_damaged_lines_are_left_out_counted_and_the_rest_plays(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    first, second, third = encoded(a_story()[:3])
    newer = first.replace(b'"set"', b'"weather"')
    path.write_bytes(first + b"\x00\xff{\n" + newer + second[: len(second) // 2] + b"\n" + third + b'{"at":')
    found = read_recording(path)
    assert [r.reading.value.term for r in found.readings] == [0, 2]
    # What is being written at this moment is no damage.
    assert found.lost == 3


@pytest.mark.parametrize(
    "odd", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-11-22T02:00:00"]
)
@pytest.mark.parametrize("what", ["at", "taken_at", "heartbeat"])
def test_a_line_with_a_time_that_cannot_be_is_left_out(what: str, odd: str) -> None:
    """The screens reckon with it."""
    line = Encoder().line(Recorded(NOW, "p", "e", reading("lock", LOCK)))
    document = json.loads(line)
    place = {"at": document, "taken_at": document["reading"], "heartbeat": document["reading"]["value"]}[what]
    place[what] = odd
    lost: list[int] = []
    assert list(decode([json.dumps(document).encode()], lambda: lost.append(1))) == []
    assert lost == [1]


def test_a_value_that_stays_the_same_is_written_once() -> None:
    one = Recorded(NOW, "p", "test", reading("coverage", coverage(*(snapshot(n) for n in range(100)))))
    first, second = encoded([one, replace(one, at=NOW + timedelta(seconds=5))])
    assert len(second) < 400 < len(first) / 10
    assert json.loads(second)["same"] is True


def test_the_line_is_as_it_is_documented() -> None:
    (line,) = encoded([Recorded(NOW, "p", "test", reading("lock", LOCK))])
    document = json.loads(line)
    assert list(document) == ["at", "profile", "environment", "source", "reading"]
    assert document["reading"]["value"]["owner"] == "a@b"


# The file


def tape(path: Path, **options: Any) -> Recorder:
    return Recorder(path, clock=lambda: NOW, **options)


def test_a_recorder_writes_what_the_pollers_tell(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    recorder = tape(path)
    known = readings()
    for name in (*VALUES, "store:unknown"):
        recorder(name, known)
    found = read_recording(path).readings
    assert [r.source for r in found] == list(VALUES)
    assert found[0].reading == known.set
    assert path.stat().st_mode & 0o777 == 0o600
    recorder.close()


def test_a_torn_line_is_left_out_and_what_is_appended_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    first = tape(path)
    first("set", readings())
    first("oplog", readings())
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert [r.source for r in read_recording(path).readings] == ["set"]
    again = tape(path)
    again("lock", readings())
    again.close()
    assert [r.source for r in read_recording(path).readings] == ["set", "lock"]


def test_a_full_disk_stops_no_poller_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tape"
    recorder = tape(path)
    real = os.write

    def short(file: int, data: bytes) -> int:
        return real(file, data[:10])

    monkeypatch.setattr(os, "write", short)
    recorder("set", readings())
    assert "No space left" in recorder.error
    monkeypatch.setattr(os, "write", real)
    recorder("set", readings())
    assert recorder.error == ""
    assert [r.reading for r in read_recording(path).readings] == [readings().set]
    recorder.close()


def test_the_file_stays_below_its_limit_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    recorder = tape(path, limit_bytes=20_000)
    still = with_reading(readings(), reading("lock", LOCK))
    recorder("lock", still)
    for number in range(300):
        changed = reading("set", set_status(term=number))
        recorder("set", with_reading(still, changed))
        recorder("lock", still)
        assert path.stat().st_size <= 20_000 and recorder.error == ""
    recorder.close()
    found = read_recording(path).readings
    assert found[-1].reading.value == LOCK and found[-2].reading.value.term == 299
    assert not path.with_name("tape.part").exists()


def test_two_consoles_do_not_record_into_one_file(tmp_path: Path) -> None:
    first = tape(tmp_path / "tape")
    with pytest.raises(WrongUse) as told:
        tape(tmp_path / "tape")
    assert told.value.code == "recording-in-use"
    first.close()


def test_somebodys_other_file_is_neither_read_nor_written_to(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_text('Dear all,\n{"a": 1}\n')
    for use in (read_recording, tape):
        with pytest.raises(WrongUse) as told:
            use(path)
        assert told.value.code == "recording-wrong"
    assert path.read_text() == 'Dear all,\n{"a": 1}\n'
    with pytest.raises(WrongUse) as missing:
        read_recording(tmp_path / "none")
    assert missing.value.code == "recording-unreadable"
    with pytest.raises(Failed) as nowhere:
        tape(tmp_path / "none" / "tape")
    assert nowhere.value.code == "recording-not-written"


# Playing


class Timer:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def a_story() -> list[Recorded]:
    """Three looks at the set, a second apart, then one after a night."""
    ats = [NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=2), NOW + timedelta(hours=8)]
    return [
        Recorded(at, "prod", "production", reading("set", set_status(term=n), taken_at=at, tried_at=at))
        for n, at in enumerate(ats)
    ]


def term(found: Reading[Any] | None) -> int | None:
    return None if found is None else found.value.term


def test_at_once_there_is_what_was_first_under_its_own_name() -> None:
    feed = Replay("practice", "test", a_story(), timer=Timer())
    assert (feed.readings.profile, feed.readings.environment) == ("prod", "production")
    assert term(feed.readings.set) == 0 and feed.clock() == NOW


def test_it_plays_to_its_end_passes_over_the_night_and_stands() -> None:
    async def scene() -> None:
        feed = Replay("p", "test", a_story(), speed=1000)
        ended = asyncio.Event()
        heard: list[int | None] = []

        def listen(name: str, now: Any) -> None:
            heard.append(term(now.set))
            if term(now.set) == 3:
                ended.set()

        feed.subscribe(listen)
        playing = asyncio.create_task(feed.run())
        await asyncio.wait_for(ended.wait(), 10)
        assert heard == [1, 2, 3] and feed.clock() == NOW + timedelta(hours=8)
        playing.cancel()
        await asyncio.wait({playing})

    asyncio.run(scene())


def test_the_clock_stands_while_paused_and_goes_on_from_there() -> None:
    timer = Timer()
    feed = Replay("p", "test", a_story(), timer=timer)
    timer.seconds = 0.5
    feed.pause()
    timer.seconds = 100.0
    assert feed.paused and feed.clock() == NOW + timedelta(seconds=0.5)
    feed.resume()
    timer.seconds = 101.0
    assert not feed.paused and feed.clock() == NOW + timedelta(seconds=1.5)
    feed.refresh()


@pytest.mark.parametrize(("seconds", "wanted"), [(-5, 0), (0.5, 0), (1, 1), (9999999, 3)])
def test_any_moment_can_be_gone_to(seconds: float, wanted: int) -> None:
    feed = Replay("p", "test", a_story(), timer=Timer())
    feed.go_to(NOW + timedelta(hours=8))
    feed.go_to(NOW + timedelta(seconds=seconds))
    assert term(feed.readings.set) == wanted
    first, last = NOW, NOW + timedelta(hours=8)
    assert feed.clock() == min(max(NOW + timedelta(seconds=seconds), first), last)


def test_the_speed_changes_what_passes_from_now_on() -> None:
    timer = Timer()
    feed = Replay("p", "test", a_story(), timer=timer)
    timer.seconds = 0.5
    feed.go_at(10)
    assert feed.clock() == NOW + timedelta(seconds=0.5)
    timer.seconds = 0.6
    assert feed.clock() == NOW + timedelta(seconds=1.5) and feed.position.speed == 10
    feed.pause()
    feed.go_at(60)
    timer.seconds = 9.0
    assert feed.clock() == NOW + timedelta(seconds=1.5)


def test_a_step_shows_one_reading_and_stands_there_also_on_the_way_back() -> None:
    ats = [NOW, NOW, NOW + timedelta(seconds=1)]
    same = [Recorded(at, "p", "test", reading("set", set_status(term=n))) for n, at in enumerate(ats)]
    lock = Recorded(NOW + timedelta(seconds=2), "p", "test", reading("lock", LOCK))

    async def scene() -> None:
        feed = Replay("p", "test", [*same, lock], timer=Timer())
        heard: list[str] = []
        feed.subscribe(lambda name, _: heard.append(name))
        feed.step(9)
        assert feed.position.number == 4 and feed.readings.lock is not None
        feed.step(-1)
        assert feed.readings.lock is None and feed.clock() == NOW + timedelta(seconds=1)
        feed.step(-2)
        playing = asyncio.create_task(feed.run())
        for _ in range(5):
            await asyncio.sleep(0)
        # The second of the two that came at once is not played on while it stands.
        assert (feed.position.number, term(feed.readings.set), feed.paused) == (1, 0, True)
        feed.step(-1)
        assert feed.position.number == 1
        assert heard == [JUMPED] * 4
        playing.cancel()
        await asyncio.wait({playing})

    asyncio.run(scene())


def test_the_last_readings_of_a_source_are_those_that_have_come() -> None:
    feed = Replay("p", "test", a_story(), timer=Timer())
    feed.show(3)
    assert [term(r) for r in feed.last("set", 2)] == [1, 2]
    assert feed.last("lock", 2) == []


def test_troubles_are_equal_by_what_they_say_and_of_one_kind() -> None:
    assert Failed("a", "b", "c") == Failed("a", "b", "c") != Failed("a", "b")
    assert Failed("a", "b") != Unreachable("a", "b")
    assert len({Failed("a", "b"), Failed("a", "b")}) == 1
