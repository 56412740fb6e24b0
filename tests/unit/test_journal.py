from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.jobview import JobPlan, JobView, document, settled
from mongo_dr_console.model.journal import (
    END_STATES,
    JobEnded,
    JobStarted,
    JournalEvent,
    Line,
    Replay,
    StopRequested,
    checkpoints,
    decode,
    decode_all,
    encode,
    replay,
)
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted

START = datetime(2026, 11, 22, 2, 17, tzinfo=UTC)
PLAN = JobPlan("1a2b3c4d", "restore", {}, "prod", "/etc/mdr.toml", START, "ann@db1")

steps = st.sampled_from(["dump", "replay", "indexes"])
counts = st.integers(0, 2**40)
totals = st.none() | counts
# Names in a deployment are any text, lone surrogates (undecodable bytes) and newlines too.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
facts = st.dictionaries(
    texts, st.none() | st.booleans() | counts | texts | st.lists(counts, max_size=3), max_size=3
)
units = st.sampled_from(["documents", "bytes", ""])

events: st.SearchStrategy[JournalEvent] = st.one_of(
    st.builds(JobStarted, st.integers(1, 9), counts, texts, texts),
    st.builds(StepStarted, steps, totals, units),
    st.builds(StepProgress, steps, counts, totals, units, counts, texts),
    st.builds(StepDone, steps, texts, facts),
    st.builds(Note, texts, st.sampled_from(["info", "warning", "error"])),
    st.builds(Checkpoint, texts, facts),
    st.builds(StopRequested, texts),
    st.builds(JobEnded, st.sampled_from(END_STATES), facts, st.none() | facts),
)
times = st.integers(0, 10**9).map(lambda ms: START + timedelta(milliseconds=ms))
lines = st.builds(Line, times, events)
journals = st.lists(lines, max_size=30)


def told(*events: JournalEvent, seconds: float = 1) -> JobView:
    return replay(
        PLAN, [Line(START + timedelta(seconds=n * seconds), event) for n, event in enumerate(events)]
    )


def ended_last(journal: list[Line]) -> bool:
    """Whether the latest attempt has its end line."""
    marks = [line.event for line in journal if isinstance(line.event, JobStarted | JobEnded)]
    return bool(marks) and isinstance(marks[-1], JobEnded)


@given(lines)
def test_a_line_reads_back_as_it_was_written(line: Line) -> None:
    text = encode(line)
    assert text.count(b"\n") == 1
    assert decode(text) == line


@given(journals)
def test_every_prefix_replays_and_ends_only_with_its_end_line(journal: list[Line]) -> None:
    for size in range(len(journal) + 1):
        view = replay(PLAN, journal[:size])
        assert (view.state != "running") == ended_last(journal[:size])
        if view.state != "running":
            assert not [s for s in view.steps if s.state == "running"]
        json.dumps(document(view).model_dump(), default=str)


@given(journals, st.data())
def test_a_torn_tail_costs_its_own_line_and_no_other(journal: list[Line], data: st.DataObject) -> None:
    text = b"".join(encode(line) for line in journal)
    cut = data.draw(st.integers(0, len(text)))
    whole = decode_all(text[:cut])
    assert whole == journal[: len(whole)]
    assert text[:cut].count(b"\n") <= len(whole) <= text[:cut].count(b"\n") + 1
    # The next attempt writes on a line of its own.
    assert decode_all(text[:cut] + b"\n" + encode(Line(START, Note("on")))) == [
        *whole,
        Line(START, Note("on")),
    ]


@given(journals)
def test_line_by_line_is_the_same_as_all_at_once(journal: list[Line]) -> None:
    one_by_one = Replay(PLAN)
    for line in journal:
        one_by_one.feed(line)
        one_by_one.view()
    assert one_by_one.view() == replay(PLAN, journal)


@given(st.binary(max_size=200))
def test_rubbish_is_passed_over(rubbish: bytes) -> None:
    good = encode(Line(START, Note("good")))
    assert Line(START, Note("good")) in decode_all(good + rubbish + b"\n" + good)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.sampled_from(
        ["job-started", "step-progress", "job-ended", "checkpoint", "note", "of-a-newer-version"]
    ),
    st.dictionaries(
        st.sampled_from(
            ["step", "done", "total", "unit", "attempt", "pid", "host", "state", "error", "text", "new"]
        ),
        json_values,
    ),
)
def test_a_line_of_the_wrong_shape_is_passed_over_or_replays(event: str, data: dict[str, Any]) -> None:
    text = json.dumps({"at": "2026-11-22T02:17:00Z", "event": event, "data": data}).encode()
    replay(PLAN, decode_all(text))


@pytest.mark.parametrize(
    "text",
    [
        b'{"at":"2026-11-22T02:17:00Z","event":"of-a-newer-version","data":{}}',
        b'{"at":"2026-11-22T02:17:00","event":"note","data":{"text":"naive"}}',
        b'{"at":"2026-11-22T02:17:00Z","event":"checkpoint","data":{}}',
        b'{"at":"2026-11-22T02:17:00Z","event":"step-progress","data":{"step":"dump","done":"3"}}',
        b"[" * 100_000,
        b"null",
        b"\0" * 512,
    ],
)
def test_what_cannot_be_told_is_none(text: bytes) -> None:
    assert decode(text) is None


def test_a_newer_versions_fields_do_not_hide_a_line() -> None:
    text = b'{"at":"2026-11-22T02:17:00Z","event":"note","data":{"text":"a","colour":"red"},"more":1}'
    assert decode(text) == Line(START, Note("a"))


def test_facts_that_are_not_json_are_refused_when_written() -> None:
    with pytest.raises(TypeError):
        encode(Line(START, Checkpoint("position", {"at": START})))


def test_a_resume_keeps_what_is_done_and_forgets_how_it_ended() -> None:
    view = told(
        JobStarted(1, 7, "db1"),
        StepStarted("dump", 10, "documents"),
        StepDone("dump"),
        StepStarted("replay", 10, "operations"),
        StepProgress("replay", 4),
        StopRequested("ann@db1"),
        JobEnded("stopped", {}, {"code": "stopped", "message": "m", "hint": "h", "exit_code": 130}),
        JobStarted(2, 8, "db1"),
    )
    assert (view.state, view.attempt, view.pid, view.error, view.stop_requested) == (
        "running",
        2,
        8,
        None,
        False,
    )
    assert [(s.step, s.state) for s in view.steps] == [("dump", "done")]
    assert view.started_at == START
    assert view.ended_at is None


def test_checkpoints_of_all_attempts_are_kept_in_order() -> None:
    journal = [
        Line(START, event)
        for event in (
            JobStarted(1, 7, "db1"),
            Checkpoint("a"),
            JobStarted(2, 8, "db1"),
            Note("n"),
            Checkpoint("b", {"n": 1}),
        )
    ]
    assert checkpoints(journal) == (Checkpoint("a"), Checkpoint("b", {"n": 1}))


@pytest.mark.parametrize(
    ("state", "exit_code"), [("done", 0), ("partial", 5), ("failed", 1), ("stopped", 130)]
)
def test_an_end_without_an_error_has_the_exit_code_of_its_state(state: Any, exit_code: int) -> None:
    assert told(JobStarted(1, 7, "db1"), JobEnded(state)).exit_code == exit_code


def test_an_error_brings_its_own_exit_code() -> None:
    view = told(JobStarted(1, 7, "db1"), JobEnded("failed", {}, {"code": "locked", "exit_code": 4}))
    assert view.exit_code == 4


def test_a_process_that_died_has_failed_and_can_be_resumed() -> None:
    view = told(JobStarted(1, 7, "db1"), StepStarted("dump"))
    later = START + timedelta(hours=1)
    assert settled(view, alive=True, now=later) == view
    dead = settled(view, alive=False, now=later)
    assert dead.error is not None
    assert (dead.state, dead.error.code, dead.steps[0].state) == ("failed", "job-died", "failed")
    assert "mdr jobs resume 1a2b3c4d" in dead.error.hint


def test_an_ended_job_stays_as_it_ended() -> None:
    view = told(JobStarted(1, 7, "db1"), JobEnded("done"))
    assert settled(view, alive=False, now=START) == view


def test_a_job_that_never_began_is_given_time_to() -> None:
    assert settled(told(), alive=False, now=START + timedelta(seconds=1)).state == "running"
    never = settled(told(), alive=False, now=START + timedelta(minutes=1))
    assert never.error is not None
    assert (never.state, never.error.code) == ("failed", "job-not-started")


def test_the_rate_of_a_resumed_step_counts_from_where_it_went_on() -> None:
    view = told(
        JobStarted(2, 8, "db1"),
        StepStarted("replay", 10_000, "operations"),
        StepProgress("replay", 5_000),
        StepProgress("replay", 5_100),
        StepProgress("replay", 5_200),
    )
    step = view.steps[0]
    assert (step.rate, step.eta_seconds, step.percent) == (100, 48, 52)


def test_a_step_without_a_total_has_no_percentage() -> None:
    step = told(JobStarted(1, 7, "db1"), StepStarted("copy"), StepProgress("copy", 3)).steps[0]
    assert (step.percent, step.eta_seconds) == (None, None)


def test_the_document_says_times_with_their_zone() -> None:
    data = document(told(JobStarted(1, 7, "db1"), JobEnded("done", {"documents": 3}))).model_dump(
        mode="json", by_alias=True
    )
    assert data["schema"] == "mdr.job"
    assert data["started_at"] == "2026-11-22T02:17:00Z"
    assert (data["result"], data["error"], data["seconds"]) == ({"documents": 3}, None, 1)
