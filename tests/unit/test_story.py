"""What a recording tells: the places that are gone to, and what had been observed by then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from support.readingkit import (
    DOWN,
    LIMITS,
    NOW,
    event,
    event_facts,
    member,
    oplog,
    reading,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.recording import Recorded
from mongo_dr_console.model.story import Story, tell
from mongo_dr_console.workers.recordings import read_recording

OLD = Path(__file__).parents[1] / "data" / "recording" / "run.jsonl"
"""Made before there were readings of the stream, the topic, alerts and failovers."""
HEALTHY = set_status()
LOST = set_status(member("a:1", "SECONDARY"), member("b:1", "DOWN", healthy=False), primary=None)
JOB = JobFacts("0badcafe", "restore", "running", started_at=NOW)


def recording(*found: Reading[object]) -> list[Recorded]:
    return [Recorded(NOW + timedelta(seconds=n), "p", "test", one) for n, one in enumerate(found)]


def told(*found: Reading[object]) -> list[tuple[int, str]]:
    return [(m.number, m.text) for m in tell(recording(*found), LIMITS).marks]


def test_a_verdict_that_stays_is_no_event_and_another_one_is() -> None:
    marks = told(
        reading("set", HEALTHY),
        reading("set", HEALTHY),
        reading("set", HEALTHY, error=DOWN),
        reading("set", HEALTHY, error=DOWN, attempt=2),
        reading("set", HEALTHY),
    )
    assert [number for number, _ in marks] == [3, 5]
    assert "the verdict changes: " in marks[0][1] and "DEPLOYMENT DOWN" in marks[0][1]


def test_that_sources_answer_one_after_another_in_the_beginning_is_no_event() -> None:
    found = [reading("set", HEALTHY), reading("oplog", oplog()), reading("jobs", ()), reading("lock", None)]
    assert told(*found) == []
    late = [*recording(*found[:3]), Recorded(NOW + timedelta(hours=1), "p", "test", found[3])]
    late.insert(1, Recorded(NOW + timedelta(minutes=2), "p", "test", reading("set", LOST)))
    assert [m.number for m in tell(sorted(late, key=lambda r: r.at), LIMITS).marks] == [4]


def test_an_event_is_gone_to_where_it_was_found() -> None:
    first = event(100)
    marks = told(
        reading("events", event_facts()),
        reading("events", event_facts()),
        reading("events", event_facts(first)),
        reading("events", event_facts(first)),
    )
    assert [n for n, text in marks if first.namespace in text] == [3]


def test_a_job_is_gone_to_where_it_began_and_where_it_ended() -> None:
    done = JobFacts("0badcafe", "restore", "done", started_at=NOW, ended_at=NOW)
    marks = told(
        reading("jobs", ()),
        reading("jobs", (JOB,)),
        reading("jobs", (JOB,)),
        reading("jobs", (done,)),
    )
    found = [(n, text.partition("job 0badcafe: ")[2]) for n, text in marks if "job 0badcafe" in text]
    assert [n for n, _ in found] == [2, 4]
    assert found[0][1].startswith("restore began") and found[1][1].startswith("restore ended: done")


def test_what_one_reading_brings_is_one_place() -> None:
    story = tell(
        recording(
            reading("set", HEALTHY),
            reading("oplog", oplog()),
            reading("store:local", store(snapshot(30))),
            reading("jobs", ()),
            reading("events", event_facts()),
            reading("events", event_facts(event(100), event(50, id="e2"))),
        ),
        LIMITS,
    )
    last = [m for m in story.marks if m.number == 6]
    assert len(last) == 1 and last[0].text.count(event(100).namespace) >= 2
    assert last[0].level is not Level.FINE


def test_next_and_previous_leave_out_where_it_stands() -> None:
    story = tell(
        recording(
            reading("set", HEALTHY), reading("set", LOST), reading("set", LOST), reading("set", HEALTHY)
        ),
        LIMITS,
    )
    numbers = [m.number for m in story.marks]
    assert numbers == [2, 4]

    def gone_to(number: int) -> tuple[int | None, int | None]:
        after, before = story.next_mark(number), story.mark_before(number)
        return (None if before is None else before.number), (None if after is None else after.number)

    assert [gone_to(n) for n in (1, 2, 3, 4)] == [(None, 2), (None, 4), (2, 4), (2, None)]
    assert [len(story.seen_marks(n)) for n in (1, 2, 3, 4)] == [0, 1, 1, 2]


def test_what_had_been_observed_is_what_came_up_to_there() -> None:
    story = tell(recording(reading("set", HEALTHY), reading("set", LOST), reading("set", HEALTHY)), LIMITS)
    assert story.seen_until(1) == ()
    assert any("has no primary" in h.text for h in story.seen_until(2))
    assert len(story.seen_until(3)) > len(story.seen_until(2))


def test_an_old_recording_without_the_newer_sources_tells_its_story() -> None:
    found = read_recording(OLD)
    assert found.lost == 0 and {r.source for r in found.readings}.isdisjoint({"stream", "kafka", "alerts"})
    texts = [m.text for m in tell(found.readings, LIMITS).marks]
    assert any("drop shop.orders" in text for text in texts)
    assert any(text.startswith("the verdict changes: DATA DROPPED: shop.orders") for text in texts)
    assert not any("Nothing is known of" in text for text in texts)
    assert any("restore began" in text for text in texts)
    assert any("restore ended: done" in text for text in texts)


def test_of_nothing_there_is_nothing_to_tell() -> None:
    assert tell([], LIMITS) == Story()
