"""What ``mdr status`` prints: verdict first, RPO and RTO second, ages everywhere, nothing by colour alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from support.readingkit import (
    DOWN,
    HERE,
    LIMITS,
    NOW,
    event,
    event_facts,
    live,
    member,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.cli.statustext import lines
from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.present import present
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.statusdoc import coverage_document, status_document
from mongo_dr_console.model.verdict import Level, verdict


def text(found: Readings, width: int | None = None) -> list[str]:
    return lines(found, verdict(found, LIMITS, NOW), LIMITS, NOW, width=width)


def test_the_verdict_stands_first_and_the_numbers_second() -> None:
    first, second, third, *_ = text(readings(snapshot(30)))
    assert first.startswith("✓ ok ")
    assert "RPO now 30s (target 1m)" in second and "RPO undo 0s" in second
    assert "RTO now ~" in second and "age 0s" in second
    assert "Newest restore point" in third and "Z" in third


def test_what_is_stale_says_so_with_its_age_cause_attempt_and_next_try() -> None:
    failed = reading(
        "set",
        set_status(),
        error=DOWN,
        taken_at=NOW - timedelta(seconds=41),
        attempt=6,
        next_try=NOW + timedelta(seconds=8),
    )
    block = "\n".join(text(readings(set=failed)))
    assert "age 41s (stale)" in block and "?PRIMARY" in block
    assert "No member of the deployment answers, attempt 6, next try" in block


def test_a_panel_that_never_answered_is_unknown() -> None:
    panels = {p.source: p for p in present(*_presented(readings(jobs=None)))}
    assert panels["jobs"].level is Level.UNKNOWN and panels["jobs"].trouble == "has not answered yet"


def _presented(found: Readings) -> tuple[object, ...]:
    return found, verdict(found, LIMITS, NOW), LIMITS, NOW


def test_names_from_others_cannot_move_the_cursor_or_break_the_table() -> None:
    evil = member("a\x1b[2J\nb\t[/red]:1", "PRIMARY")
    printed = text(readings(set=reading("set", set_status(evil))))
    assert not any(ord(c) < 32 or c == "\x7f" for line in printed for c in line)
    assert any("[/red]" in line for line in printed)


def test_lines_fit_the_terminal_and_are_whole_in_a_pipe() -> None:
    gone = covering.build([snapshot(30)], None, now=NOW, live_error=DOWN)
    found = readings(coverage=reading("coverage", gone))
    assert all(len(line) <= 80 for line in text(found, width=80))
    assert any(len(line) > 80 for line in text(found))


def test_a_gap_and_a_branch_are_told_apart_by_words() -> None:
    old, new, bad = snapshot(9000), snapshot(600), snapshot(300)
    forked = covering.build([old, new, bad], live(7200, old, new), now=NOW)
    block = "\n".join(text(readings(old, new, bad, coverage=reading("coverage", forked))))
    assert all(word in block for word in ("covered", "gap", "branch"))


def test_json_has_every_reading_with_value_error_and_age() -> None:
    error = SourceError("timed-out", "No answer in time.")
    failed = replace(readings().oplog, error=error, attempt=2, taken_at=NOW - timedelta(seconds=9))
    found = readings(snapshot(30), oplog=failed)
    document = status_document(found, verdict(found, LIMITS, NOW), LIMITS, NOW)
    data = json.loads(document.model_dump_json(by_alias=True))
    assert data["schema"] == "mdr.status"
    names = {"set", "oplog", "backups", "coverage", "events", "jobs", "lock", "stream", "kafka", "alerts"}
    assert set(data["readings"]) == names
    # Nobody asked for the stream.
    assert data["readings"].pop("stream") is None
    assert data["readings"].pop("kafka") is None
    assert data["readings"].pop("alerts") is None
    for one in data["readings"].values():
        assert {"value", "error", "taken_at", "age_seconds", "took_seconds", "attempt"} <= set(one)
    stale = data["readings"]["oplog"]
    assert (stale["error"]["code"], stale["age_seconds"], stale["attempt"]) == ("timed-out", 9.0, 2)
    assert stale["taken_at"].endswith("Z") and stale["value"]["oldest"].count(":") == 1
    assert (data["rpo_seconds"], data["rpo_undo_seconds"]) == (30.0, 0.0)
    assert data["targets"] == {"rpo_seconds": 60.0, "rto_seconds": 3600.0}
    assert data["verdict"]["level"] == "unknown"
    assert data["readings"]["backups"]["value"]["newest"] == "s30"


def test_json_has_null_and_no_made_up_number_for_what_is_not_known() -> None:
    found = Readings("p", "test", stores={"store:a": reading("store:a", None, error=DOWN)})
    document = status_document(found, verdict(found, LIMITS, NOW), LIMITS, NOW)
    data = json.loads(document.model_dump_json(by_alias=True))
    assert (data["rpo_seconds"], data["rpo_undo_seconds"], data["rto_seconds"]) == (None, None, None)
    assert data["readings"]["set"] is None
    assert data["readings"]["backups"]["value"] is None


def test_coverage_json_is_as_scripts_expect_it() -> None:
    base = snapshot(600, problem=None)
    found = covering.build([base], live(7200, base, identity=HERE), now=NOW)
    data = json.loads(coverage_document(found).model_dump_json(by_alias=True))
    names = ["ranges", "gaps", "branches", "latest", "margin_seconds", "rpo_seconds", "rpo_undo_seconds"]
    assert set(names) <= set(data) and data["schema"] == "mdr.coverage"
    (stretch,) = data["ranges"]
    assert set(stretch) == {"start", "end", "sources"}
    assert (stretch["start"], data["latest"]) == (str(base.end), stretch["end"])


def test_a_store_with_a_broken_snapshot_says_which() -> None:
    from mongo_dr_console.model.trouble import Failed

    broken = snapshot(60, problem=Failed("manifest-changed", "It is not as it was written."))
    held = store(broken, snapshot(30))
    block = "\n".join(text(readings(stores={"store:local": reading("store:local", held)})))
    assert "UNREADABLE" in block and "Snapshot s60" in block


def test_a_drop_stands_first_and_among_the_events() -> None:
    found = readings(snapshot(3600), events=reading("events", event_facts(event(1140))))
    printed = text(found, width=80)
    assert printed[0].startswith("! warning DATA DROPPED: shop.orders at 10:47:40Z (19m ago)")
    assert "! 10:47:40Z  oplog   drop shop.orders (40,000 documents)" in "\n".join(printed)


def test_many_events_are_counted_and_not_all_printed() -> None:
    many = reading("events", event_facts(*(event(100 + n) for n in range(40))))
    block = "\n".join(text(readings(snapshot(3600), events=many)))
    assert block.count("drop shop.orders") == 12 and "and 29 more" in block


def test_the_job_of_another_host_is_a_row() -> None:
    lock = LockInfo("2", "restore", "ann@db-2", "db-2", 1, "", 1, "load", 43.0, NOW, NOW, 0.5)
    block = "\n".join(text(readings(lock=reading("lock", lock))))
    assert "restore  running  load 43%  0s ago   ann@db-2" in block
    silent = replace(lock, age_seconds=120.0)
    assert "no sign of life for 2m" in "\n".join(text(readings(lock=reading("lock", silent))))
    unknown = reading("lock", None, error=SourceError("not-authorized", "It may not."))
    assert "jobs of other hosts are not known: It may not." in "\n".join(text(readings(lock=unknown)))


def test_json_has_the_events_and_which_are_open_and_the_lock() -> None:
    lock = LockInfo("2", "restore", "ann@db-2", "db-2", 1, "", 1, "load", 43.0, NOW, NOW, 0.5)
    events = reading("events", event_facts(event(1140)))
    found = readings(snapshot(3600), events=events, lock=reading("lock", lock))
    document = status_document(found, verdict(found, LIMITS, NOW), LIMITS, NOW)
    data = json.loads(document.model_dump_json(by_alias=True))["readings"]
    assert data["events"]["value"]["open"] == ["e0001140"]
    assert data["events"]["value"]["events"][0]["namespace"] == "shop.orders"
    assert data["lock"]["value"]["owner"] == "ann@db-2" and data["lock"]["value"]["percent"] == 43.0


def test_every_row_that_can_be_opened_says_what_it_is() -> None:
    job = JobFacts("7", "backup", "done", started_at=NOW)
    found = readings(
        snapshot(3600),
        jobs=reading("jobs", (job,)),
        events=reading("events", event_facts(event(1140))),
    )
    panels = {p.source: p for p in present(found, verdict(found, LIMITS, NOW), LIMITS, NOW)}
    assert list(panels) == ["set", "oplog", "backups", "coverage", "events", "jobs"]
    keys = {name: [row.key for row in panel.rows] for name, panel in panels.items()}
    assert keys["set"] == ["member:a:1", "member:b:1", "member:c:1"]
    assert keys["backups"] == ["snapshot:s3600@local"] and keys["jobs"] == ["job:7"]
    assert keys["events"] == ["event:e0001140", "snapshot:s3600@local"]
