"""A job's page: every fact that an engineer needs in an incident, at both widths, whatever the names are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.jobkit import LOADED, LOADING, OWNER, ended, lock_info, restored
from support.readingkit import NOW
from support.states import LONG, ODD_COLLECTION, RTL

from mongo_dr_console.model.eta import Pace, left_text
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.jobview import JobPlan, JobView
from mongo_dr_console.model.journal import KEPT_NOTES, JobStarted, JournalEvent, Line, Replay, StopRequested
from mongo_dr_console.model.progress import Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.ui import jobpages, resultpage
from mongo_dr_console.ui.jobslist import job_items, matching
from mongo_dr_console.ui.lines import Line as Row

WIDTHS = (118, 78)
BEGUN = NOW - timedelta(seconds=120)
JOURNAL = "/state/jobs/5eed0001/journal.jsonl"


def seen(*events: JournalEvent, kind: str = "restore", job: str = "5eed0001") -> tuple[JobView, Pace]:
    """What a watcher knows after these events, one every two seconds."""
    replay = Replay(JobPlan(job, kind, {}, "test", "/c.toml", BEGUN, OWNER))
    pace = Pace()
    for number, event in enumerate((JobStarted(1, 4711, "db-1"), *events)):
        line = Line(BEGUN + timedelta(seconds=2 * number), event)
        replay.feed(line)
        pace.feed(line)
    return replay.view(), pace


def text(rows: list[Row]) -> str:
    return "\n".join(row.text for row in rows)


def fits(rows: list[Row], width: int) -> bool:
    return all(row.width <= width for row in rows) and not any(c in text(rows) for c in ("\x1b", RTL))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_header_says_what_it_is_how_it_stands_and_whose_it_is(width: int) -> None:
    view, _ = seen(*LOADING)
    rows = jobpages.header_lines(view, NOW, width)
    assert fits(rows, width)
    assert "● running  restore job 5eed0001" in rows[0].text
    assert rows[0].text.endswith("for 2m")
    assert "since 2026-11-18T11:04:40Z  by jane@db-1, process 4711 on db-1" in rows[1].text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "● running"),
        ({"stop_requested": True}, "● stopping"),
        ({"attempt": 0}, "● starting"),
        ({"state": "done"}, "✓ done"),
        ({"state": "partial"}, "! partial"),
        ({"state": "failed"}, "✗ FAILED"),
        ({"state": "stopped"}, "! stopped"),
    ],
)
def test_every_state_has_a_glyph_and_a_word(changes: dict[str, Any], words: str) -> None:
    view, _ = seen()
    assert words in jobpages.header_lines(replace(view, **changes), NOW, 78)[0].text


def test_a_later_attempt_says_so() -> None:
    view, _ = seen(JobStarted(2, 4712, "db-1"))
    assert "attempt 2" in jobpages.header_lines(view, NOW, 78)[0].text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_running_step_says_how_far_how_fast_and_how_long_still(width: int) -> None:
    view, pace = seen(*LOADING)
    rows = jobpages.step_lines(view.steps, pace, width)
    said = text(rows)
    assert fits(rows, width)
    assert "✓ check-base  done     42,500 documents in 4.0 s" in said
    for words in (
        "● load",
        "running",
        "16,900 of 42,500 documents",
        "3,225/s",
        "7.9 s left",
        " 40%",
        "█",
        "░",
    ):
        assert words in said


def test_where_there_is_little_room_the_count_outlives_rate_and_time_left() -> None:
    view, pace = seen(*LOADING)
    row = jobpages.step_lines(view.steps, pace, 60)[1].text
    assert "16,900 of 42,500 documents" in row and "3,225/s" not in row


def test_finished_steps_give_way_to_the_one_that_runs() -> None:
    view, pace = seen(*LOADED[:-2], StepStarted("verify", 10, "collections"), StepProgress("verify", 3))
    rows = jobpages.step_lines(view.steps, pace, 78, room=4)
    assert len(rows) <= 4
    assert rows[0].text == "✓ 3 earlier steps done"
    assert "verify" in text(rows)


def test_a_step_that_failed_says_how_far_it_was() -> None:
    view, pace = seen(*LOADING, ended("failed", code="x", message="m", exit_code=1))
    row = jobpages.step_lines(view.steps, pace, 78)[-1].text
    assert "✗ load" in row and "FAILED" in row and "40%" in row


def test_two_paces_make_a_range() -> None:
    slow_then_fast = [StepProgress("load", done, 100_000, "documents") for done in (0, 100, 200, 300)]
    late = [StepProgress("load", 300 + 1000 * n, 100_000, "documents") for n in range(1, 20)]
    view, pace = seen(StepStarted("load", 100_000, "documents"), *slow_then_fast, *late)
    (step,) = view.steps
    low, high = pace.left(step) or (0, 0)
    assert low < step.eta_seconds * 0.95 < high == pytest.approx(step.eta_seconds)  # type: ignore[operator]
    assert " to " in left_text((60, 120)) and " to " not in left_text((60, 61))


def test_a_step_that_does_not_move_has_no_time_left() -> None:
    view, pace = seen(StepStarted("load", 10, "documents"), StepProgress("load", 0))
    assert pace.left(view.steps[0]) is None
    assert "left" not in text(jobpages.step_lines(view.steps, pace, 78))


def test_a_step_begun_again_forgets_its_former_pace() -> None:
    _, pace = seen(*LOADING, StepStarted("load", 42_500, "documents"))
    assert pace.rate("load") is None


@pytest.mark.parametrize("width", WIDTHS)
def test_odd_names_stay_one_row_and_harmless(width: int) -> None:
    odd = f"db[/].{ODD_COLLECTION}"
    view, pace = seen(
        StepStarted("load", 10, "documents"),
        StepProgress("load", 5, detail=odd),
        Note(odd, "warning"),
        Note(LONG),
        StepDone("load", LONG),
    )
    rows = [
        *jobpages.step_lines(view.steps, pace, width),
        *jobpages.log_lines(view.notes, width, JOURNAL),
        *jobpages.header_lines(replace(view, owner=LONG), NOW, width),
    ]
    assert fits(rows, width)
    assert "db[/].a\\nb" in text(rows)


def test_notes_say_their_level_in_a_word() -> None:
    view, _ = seen(Note("plain"), Note("careful", "warning"), Note("broken", "error"))
    assert text(jobpages.log_lines(view.notes, 78)).splitlines() == [
        "11:04:42Z   plain",
        "11:04:44Z ! warning: careful",
        "11:04:46Z ✗ error: broken",
    ]


def test_a_log_that_is_cut_says_where_all_of_it_is() -> None:
    view, _ = seen(*(Note(f"note {n}") for n in range(500)))
    rows = jobpages.log_lines(view.notes, 78, JOURNAL)
    assert rows[0].text.startswith(f"the newest {KEPT_NOTES} notes") and JOURNAL in text(rows[:2])
    assert rows[-1].text.endswith("note 499")


# Results


@pytest.mark.parametrize("width", WIDTHS)
def test_a_swap_that_is_done_names_what_it_did_and_both_ways_on(width: int) -> None:
    view, pace = seen(*LOADED, ended("done", restored()))
    rows = resultpage.result_page(view, (), JOURNAL, pace, width)
    said = text(rows)
    assert fits(rows, width)
    for words in (
        "✓ done at 2026-11-18T11:05:20Z, exit code 0",
        "snapshot 20261118_110000 in local",
        "shop.orders [swap]",
        "u  undo",
        "c  accept",
        "there is no undo after it",
        JOURNAL,
        "ledger/restores/20261118T110640Z-1a2b3c4d.json",
        "mdr jobs show 5eed0001 --json",
    ):
        assert words in said


def test_keys_that_were_given_other_places_are_named_so() -> None:
    view, pace = seen(*LOADED, ended("done", restored()))
    said = text(resultpage.result_page(view, (), JOURNAL, pace, 78, {"job.undo": "U"}))
    assert "U  undo" in said


@pytest.mark.parametrize(
    ("state", "words"),
    [("failed", "✗ FAILED"), ("partial", "! partial"), ("stopped", "! stopped")],
)
def test_what_went_wrong_stands_first_with_what_to_do(state: str, words: str) -> None:
    error = {"code": "c", "message": "It is this.", "hint": "Do that.", "exit_code": 5}
    view, pace = seen(*LOADING, ended(state, **error))
    rows = [r.text for r in resultpage.result_page(view, (), JOURNAL, pace, 78)]
    assert rows[1].startswith(words) and rows[1].endswith("exit code 5")
    assert rows[2:4] == ["It is this.", "next: Do that."]
    assert any("r  resume" in row for row in rows)


def test_conflicts_are_marked() -> None:
    result = restored(conflicts=[{"namespace": "shop.orders", "text": "_id 7 was written since"}])
    view, pace = seen(ended("done", result))
    rows = resultpage.result_page(view, (), JOURNAL, pace, 78)
    (row,) = [r for r in rows if "_id 7" in r.text]
    assert row.text.startswith("! conflict") and row.spans[0][1] == "warning"


def settled_by(kind: str, state: str = "done") -> JobView:
    result = {"undo": {"undone": "5eed0001"}, "accept": {"accepted": "5eed0001"}}[kind]
    view, _ = seen(ended(state, result), kind=kind, job="5eed0009")
    return view


def test_what_can_be_done_follows_what_was_done() -> None:
    swap, _ = seen(ended("done", restored()))
    plain, _ = seen(ended("done", restored(take_back=None, settle=None, set_aside=[])))
    assert resultpage.still_open(swap, ()) == ("5eed0001", "5eed0001")
    assert resultpage.still_open(swap, [settled_by("undo")]) == (None, "5eed0001")
    assert resultpage.still_open(swap, [settled_by("undo", "failed")]) == ("5eed0001", "5eed0001")
    assert resultpage.still_open(swap, [settled_by("undo"), settled_by("accept")]) == (None, None)
    assert resultpage.still_open(plain, ()) == (None, None)
    assert resultpage.still_open(settled_by("undo"), ()) == (None, "5eed0001")
    assert resultpage.still_open(settled_by("accept"), ()) == (None, None)
    assert resultpage.still_open(replace(swap, state="running"), ()) == (None, None)


def test_a_restore_that_was_taken_back_says_by_whom() -> None:
    swap, pace = seen(ended("done", restored()))
    said = text(resultpage.result_page(swap, [settled_by("undo")], JOURNAL, pace, 78))
    assert "✓ it was taken back by job 5eed0009" in said
    assert "u  undo" not in said and "c  accept" in said


@pytest.mark.parametrize(
    ("writes", "asked", "words"),
    [
        (0, True, "Nothing was written to the restored collections since."),
        (1, True, "1 write reached the restored collections since."),
        (1234, True, "1,234 writes reached the restored collections since."),
        (None, True, "the oplog does not reach back so far"),
        (None, False, "it could not be counted now"),
    ],
)
def test_before_an_undo_it_is_said_what_becomes_of_the_writes_since(
    writes: int | None, asked: bool, words: str
) -> None:
    view, _ = seen(ended("done", restored()))
    rows = resultpage.undo_lines(view, writes, asked, 70)
    said = " ".join(text(rows).split())
    assert fits(rows, 70)
    assert words in said and "shop.orders" in said and "set aside" in said


def test_before_an_accept_it_is_said_that_there_is_no_way_back() -> None:
    view, _ = seen(ended("done", restored()))
    said = " ".join(text(resultpage.accept_lines(view, 70)).split())
    assert "mdr_aside_5eed0001_1" in said and "There is no undo after it." in said
    assert "stays as it is, with all writes made since" in said


def test_accepting_after_an_undo_says_that_those_writes_go() -> None:
    said = " ".join(text(resultpage.accept_lines(settled_by("undo"), 70)).split())
    assert "The writes made to the restored collections go with it." in said


def test_the_report_is_the_whole_page() -> None:
    view, _ = seen(*LOADED, ended("done", restored()))
    report = resultpage.report_text(view, (), JOURNAL, NOW)
    assert "restore job 5eed0001" in report and "shop.orders [swap]" in report and JOURNAL in report


# Other hosts, and the list


@pytest.mark.parametrize("width", WIDTHS)
def test_a_job_of_another_host_is_told_by_the_lock(width: int) -> None:
    rows = jobpages.remote_lines(lock_info(), NOW, width)
    said = text(rows)
    assert fits(rows, width)
    for words in ("● running", "0ff51de0", "joe@db-7", "'replay' at 43%", "heartbeat  1s ago"):
        assert words in said
    assert "db-7$ mdr jobs attach 0ff51de0" in said.splitlines()[-1]


def test_a_silent_owner_is_not_called_running() -> None:
    said = text(jobpages.remote_lines(lock_info(age_seconds=300.0), NOW, 78))
    assert "? unknown" in said and "● running" not in said
    assert "heartbeat  5m ago: it seems to be dead" in said and "mdr jobs resume 0ff51de0" in said


def test_a_lock_that_cannot_be_read_is_not_the_owners_death() -> None:
    said = text(jobpages.remote_lines(lock_info(age_seconds=300.0), NOW, 78, "Nobody answers."))
    assert (
        "seems to be dead" not in said and "The lock cannot be read now" in said and "Nobody answers." in said
    )


def test_a_job_that_left_the_lock_has_ended() -> None:
    said = text(jobpages.gone_lines("0ff51de0", lock_info(), 78))
    assert "? ended" in said and "db-7$ mdr jobs show 0ff51de0" in said


FACTS = (
    JobFacts("aaaa0001", "backup", "done", owner="cron@db-1", started_at=NOW - timedelta(hours=3)),
    JobFacts("aaaa0002", "restore", "running", "load", 40.0, "jane@db-1", NOW - timedelta(hours=5)),
    JobFacts("aaaa0003", "verify", "failed", owner="jane@db-1", started_at=NOW - timedelta(hours=1)),
)


def test_what_runs_comes_first_then_the_newest() -> None:
    assert [j.job for j in matching(FACTS, "")] == ["aaaa0002", "aaaa0003", "aaaa0001"]


def test_the_filter_looks_at_every_cell() -> None:
    assert [j.job for j in matching(FACTS, "CRON")] == ["aaaa0001"]
    assert [j.job for j in matching(FACTS, "verify")] == ["aaaa0003"]
    assert matching(FACTS, "nothing such") == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_list_says_state_and_step_in_words(width: int) -> None:
    items, header = job_items(matching(FACTS, ""), NOW, width)
    said = [item.line.text for item in items]
    assert [item.key for item in items] == ["aaaa0002", "aaaa0003", "aaaa0001"]
    assert "● aaaa0002  restore  running  load 40%  5h ago  jane@db-1" in said[0]
    assert "✗ aaaa0003  verify   FAILED" in said[1]
    assert fits([item.line for item in items] + header, width)


def test_a_stop_that_was_asked_for_shows() -> None:
    view, _ = seen(*LOADING, StopRequested("jane"))
    assert jobpages.sign_of(view).word == "stopping"
