"""What happened: changes between two looks, and what the oplog and the stores tell; newest first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.readingkit import (
    DOWN,
    LIMITS,
    NOW,
    event,
    event_facts,
    member,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model.happenings import Happening, observed, with_events
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.panel import Panel
from mongo_dr_console.model.presentevents import present_events
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.setstatus import SetStatus
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.verdict import Level, verdict

PRIMARY, OTHER, THIRD = member("a:1", "PRIMARY"), member("b:1"), member("c:1")
HALF_DEAD = SourceError("timed-out", "No answer in time.")


def with_set(status: SetStatus | None, **changes: Any) -> Readings:
    return readings(set=reading("set", status, **changes))


def said(before: Readings, after: Readings) -> list[tuple[str, str, str]]:
    return [(h.level.value, h.source, h.text) for h in observed(before, after, NOW)]


def test_nothing_new_is_nothing() -> None:
    assert said(readings(), readings()) == []


def test_what_was_not_known_before_is_no_change() -> None:
    assert said(Readings("p", "test"), readings()) == []


def test_a_member_goes_and_comes_back() -> None:
    up = with_set(set_status(PRIMARY, OTHER, THIRD))
    gone = with_set(set_status(PRIMARY, OTHER, replace(THIRD, healthy=False, state="DOWN")))
    assert said(up, gone) == [("critical", "c:1", "went down")]
    assert said(gone, up) == [("fine", "c:1", "came back, SECONDARY")]
    back = with_set(set_status(PRIMARY, OTHER, replace(THIRD, state="RECOVERING")))
    assert said(gone, back) == [("warning", "c:1", "came back, RECOVERING")]
    assert said(back, up) == [("fine", "c:1", "is SECONDARY now, was RECOVERING")]
    assert [h.key for h in observed(up, gone, NOW)] == ["member:c:1"]


def test_a_member_that_is_new_or_taken_out() -> None:
    two, three = with_set(set_status(PRIMARY, OTHER)), with_set(set_status(PRIMARY, OTHER, THIRD))
    assert said(two, three) == [("fine", "c:1", "is a new member, SECONDARY")]
    assert said(three, two) == [("warning", "c:1", "was taken out of the set")]


def test_an_election() -> None:
    before = with_set(set_status(PRIMARY, OTHER, THIRD, term=14))
    none = with_set(set_status(member("a:1"), OTHER, THIRD, term=14))
    after = with_set(set_status(member("a:1"), member("b:1", "PRIMARY"), THIRD, term=15))
    assert said(before, none) == [
        ("fine", "a:1", "is SECONDARY now, was PRIMARY"),
        ("critical", "rs0", "has no primary; writes fail"),
    ]
    assert said(none, after) == [("warning", "b:1", "is the primary now, term 15")]
    again = with_set(set_status(PRIMARY, OTHER, THIRD, term=16))
    assert said(before, again) == [("warning", "a:1", "is the primary now, term 16")]


def test_a_source_fails_once_and_answers_again_once() -> None:
    good = readings()
    failed = with_set(set_status(), error=DOWN, taken_at=NOW - timedelta(seconds=41))
    assert said(good, failed) == [
        ("critical", "set", "does not answer: No member of the deployment answers.")
    ]
    assert said(failed, failed) == []
    assert said(failed, good) == [("fine", "set", "answers again after 41s")]
    far = reading("store:far", None, error=HALF_DEAD)
    assert said(good, readings(stores={"store:far": far})) == [
        ("warning", "store far", "does not answer: No answer in time.")
    ]
    never = with_set(None, error=DOWN)
    assert said(Readings("p", "test"), never)[0][:2] == ("critical", "set")


def test_a_snapshot_appears() -> None:
    old, new = snapshot(9000), snapshot(30, store="local")
    before, after = readings(old), readings(old, new)
    (one,) = observed(before, after, NOW)
    assert (one.source, one.text) == ("backup", "snapshot s30 appeared in local, 1000 B")
    assert one.key == "snapshot:s30@local"
    assert said(after, before) == []


def test_jobs_begin_and_end() -> None:
    running = JobFacts("1", "backup", "running", started_at=NOW)
    done = replace(running, state="done", ended_at=NOW)
    bad = replace(running, state="failed", error=SourceError("x", "The disk is full."))
    with_job = {s: readings(jobs=reading("jobs", (j,))) for s, j in
                (("running", running), ("done", done), ("failed", bad))}  # fmt: skip
    nothing = readings()
    assert said(nothing, with_job["running"]) == [("fine", "job 1", "backup began")]
    assert said(with_job["running"], with_job["done"]) == [("fine", "job 1", "backup ended: done")]
    assert said(with_job["running"], with_job["failed"]) == [
        ("critical", "job 1", "backup ended: failed: The disk is full.")
    ]
    assert said(with_job["failed"], with_job["running"]) == [("fine", "job 1", "backup goes on")]
    assert said(nothing, with_job["done"]) == [
        ("fine", "job 1", "backup began"),
        ("fine", "job 1", "backup ended: done"),
    ]


def test_the_lock_of_another_host() -> None:
    lock = LockInfo("2", "restore", "ann@b", "b", 1, "", 1, "load", 43.0, NOW, NOW, 0.5)
    free, held = readings(), readings(lock=reading("lock", lock))
    assert said(free, held) == [("warning", "job 2", "restore of ann@b took the lock of the deployment")]
    assert said(held, free) == [("fine", "job 2", "restore of ann@b gave the lock of the deployment back")]
    unknown = readings(lock=reading("lock", lock, error=HALF_DEAD))
    assert [h for h in observed(held, unknown, NOW) if h.source == "job 2"] == []


def test_events_and_snapshots_stand_among_what_was_observed_newest_first() -> None:
    dropped = event(1140)
    known = readings(
        snapshot(3600, store="local"),
        snapshot(3600, store="far"),
        snapshot(90_000),
        events=reading("events", event_facts(dropped)),
    )
    seen = [
        Happening(NOW, Level.WARNING, "b:1", "went down"),
        Happening(NOW, Level.FINE, "backup", "snapshot s3600 appeared in local", "snapshot:s3600@local"),
    ]
    found = with_events(seen, known, NOW)
    assert [(h.source, h.text) for h in found] == [
        ("b:1", "went down"),
        ("oplog", "drop shop.orders (40,000 documents)"),
        ("backup", "snapshot s3600 taken, 1000 B, in local, far"),
    ]
    assert [h.level for h in found] == [Level.WARNING, Level.WARNING, Level.FINE]
    assert found[1].key == f"event:{dropped.id}"


def test_a_source_that_answers_again_is_one_row_and_one_that_is_silent_keeps_its_own() -> None:
    at = [NOW - timedelta(seconds=s) for s in (50, 40, 30, 20, 10)]
    silent, back = "does not answer: No answer in time.", "answers again after 10s"
    seen = [
        Happening(at[0], Level.WARNING, "oplog", silent),
        Happening(at[1], Level.CRITICAL, "set", silent),
        Happening(at[2], Level.FINE, "oplog", back),
        Happening(at[3], Level.WARNING, "oplog", silent),
        Happening(at[4], Level.FINE, "events", back),
    ]
    found = [h for h in with_events(seen, readings(), NOW) if h.source != "backup"]
    assert found == [seen[4], seen[3], seen[2], seen[1]]


def test_a_snapshot_that_is_of_no_use_says_so() -> None:
    bad = snapshot(60, problem=Failed("manifest-changed", "It is not as it was written."))
    (one,) = with_events([], readings(bad), NOW)
    assert one.level is Level.CRITICAL and one.text.endswith("it cannot be restored from")


def panel(known: Readings, *seen: Happening) -> Panel:
    return present_events(known, seen, verdict(known, LIMITS, NOW), NOW)


def test_the_panel_has_the_time_of_day_and_where_enter_leads() -> None:
    known = readings(snapshot(80_000), events=reading("events", event_facts(event(1140), event(50_000))))
    found = panel(known, Happening(NOW, Level.FINE, "b:1", "came back", "member:b:1"))
    assert (found.source, found.title, found.age) == ("events", "Events (UTC)", "0s")
    assert [r.cells[0] for r in found.rows] == [
        "11:06:40Z",
        "10:47:40Z",
        "11-17 21:13:20Z",
        "11-17 12:53:20Z",
    ]
    assert [r.key.partition(":")[0] for r in found.rows] == ["member", "event", "event", "snapshot"]
    assert found.level is Level.CRITICAL, "one of them is older than the live oplog"


def test_an_empty_panel_says_so_and_how_far_was_looked() -> None:
    calm = readings(stores={"store:local": reading("store:local", store())})
    assert [n.cells for n in panel(calm).notes] == [("nothing happened in the last 24h",)]
    partly = replace(calm, events=reading("events", event_facts(complete=False)))
    assert panel(partly).notes[-1].cells == (
        "the oplog was looked through from 2026-11-18T09:06:40Z on so far",
    )
    assert panel(replace(calm, events=None)).trouble == "has not answered yet"
