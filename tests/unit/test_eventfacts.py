"""Open events: what a restore has brought back is no alarm any more, and what it has not still is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.readingkit import (
    DOWN,
    ELSEWHERE,
    HERE,
    LIMITS,
    NOW,
    event,
    event_facts,
    live,
    reading,
    readings,
    snapshot,
    store,
)

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.event import Event, EventSelector
from mongo_dr_console.model.eventfacts import Restored, restore_of, restored, undone
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.readings import Readings, open_events
from mongo_dr_console.model.verdict import Level, Verdict, verdict

DROP = event(1140)


def record(**changes: Any) -> dict[str, Any]:
    """A ledger's record of a restore to before ``DROP``, done five minutes ago."""
    facts: dict[str, Any] = {
        "schema": "mdr.restore-record",
        "job": "1",
        "state": "done",
        "finished_at": (NOW - timedelta(minutes=5)).isoformat(),
        "identity": HERE.model_dump(mode="json"),
        "limit": {"position": str(DROP.position), "bound": "before", "follow": False},
        "skipped": [],
        "namespaces": [{"from": "shop.orders", "to": "shop.orders", "mode": "swap"}],
    }
    return facts | changes


def watched(*events: Event, records: list[dict[str, Any]] | None = None, **changes: Any) -> Readings:
    base = snapshot(3600)
    ledger = records or []
    held = store(base, restored=restored(ledger), undone=undone(ledger))
    facts: dict[str, Any] = {
        "events": reading("events", event_facts(*events)),
        "stores": {"store:local": reading("store:local", held)},
    }
    return readings(base, **(facts | changes))


def judged(found: Readings) -> Verdict:
    return verdict(found, replace(LIMITS, rpo=1e9), NOW)


def ids(found: Readings) -> list[str]:
    return [e.id for e in open_events(found, NOW)]


def test_a_drop_leads_the_warnings_with_when_how_much_and_whether_it_can_be_had_back() -> None:
    found = judged(watched(DROP))
    assert found.level is Level.WARNING
    assert found.text == ("DATA DROPPED: shop.orders at 10:47:40Z (19m ago), 40,000 documents; restorable.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "mass-delete"}, "MASS DELETE: shop.orders at"),
        ({"kind": "mass-update"}, "MASS UPDATE: shop.orders at"),
        ({"kind": "drop-database", "namespace": "shop"}, "DATABASE DROPPED: shop at"),
        ({"kind": "rename-over"}, "RENAMED OVER: shop.orders at"),
        ({"documents": 1}, "ago), 1 document; restorable."),
        ({"documents": None}, "(19m ago); restorable."),
    ],
)
def test_each_kind_in_words(changes: dict[str, Any], words: str) -> None:
    changed = dict(changes)
    if changed.get("kind") == "drop-database":
        where = DROP.position
        own = EventSelector(first=where, last=where, op="c", namespaces=("shop.orders",))
        changed["selector"] = own
    assert words in judged(watched(event(1140, **changed))).text


def test_what_the_live_oplog_begins_in_the_middle_of_is_restorable_where_the_stream_has_it() -> None:
    assert judged(watched(event(1140, before=None))).text.endswith("; restorable.")
    assert judged(watched(event(5000, before=None))).level is Level.CRITICAL


def test_what_lies_before_every_snapshot_is_critical() -> None:
    found = judged(watched(event(5000)))
    assert found.level is Level.CRITICAL
    assert found.text.endswith("; not restorable: no snapshot is older than it.")


def test_what_lies_in_a_gap_is_critical_and_says_what_is_left() -> None:
    old, new = snapshot(9000), snapshot(600)
    known = covering.build([old, new], covering.LiveOplog(**_live(old, new)), now=NOW)
    found = watched(event(8000), coverage=reading("coverage", known))
    text = judged(found).text
    assert "not restorable: the newest restore point before it is 2026-11-18T08:36:40Z." in text


def _live(*entries: Any) -> dict[str, Any]:
    made = live(7200, *entries)
    names = ("oldest", "latest", "newest", "hashes", "identity")
    return {name: getattr(made, name) for name in names}


def test_while_the_live_oplog_cannot_be_read_nobody_says_it_is_lost() -> None:
    blind = covering.build([snapshot(3600)], None, now=NOW, live_error=DOWN)
    texts = [f.text for f in judged(watched(DROP, coverage=reading("coverage", blind))).facts]
    assert any("whether it can be restored is not known" in text for text in texts), texts


def test_many_events_are_said_together() -> None:
    found = judged(watched(*(event(100 + n) for n in range(10))))
    said = [f for f in found.facts if f.source == "events"]
    assert len(said) == 4 and said[0].text.startswith("DATA DROPPED: shop.orders at 11:05:00Z")
    assert said[-1].text == "7 more destructive events in the last 24h: mdr find"


def test_an_empty_collection_does_not_stand_before_a_full_one() -> None:
    empty = event(60, namespace="shop.empty", documents=0)
    assert judged(watched(DROP, empty)).text.startswith("DATA DROPPED: shop.orders")


def test_a_restore_to_before_the_event_answers_it() -> None:
    assert ids(watched(DROP)) == [DROP.id]
    assert ids(watched(DROP, records=[record()])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "failed"},
        {"finished_at": (NOW - timedelta(minutes=30)).isoformat()},
        {"namespaces": [{"from": "shop.orders", "to": "shop.orders_restored", "mode": "beside"}]},
        {"namespaces": []},
        {"limit": {"position": str(DROP.position), "bound": "through", "follow": False}},
        {"limit": None},
        {"limit": "nonsense"},
        {"identity": ELSEWHERE.model_dump(mode="json")},
        {"finished_at": None},
        {"schema": "mdr.other"},
    ],
)
def test_a_restore_that_did_not_bring_it_back_does_not(changes: dict[str, Any]) -> None:
    found = watched(DROP, records=[record(**changes)])
    assert ids(found) == [DROP.id]


def test_a_restore_that_left_the_event_out_answers_it() -> None:
    latest = {"position": "1795000000:1", "bound": "through", "follow": True}
    found = watched(DROP, records=[record(limit=latest, skipped=[DROP.id])])
    assert ids(found) == []


def test_a_dropped_database_is_answered_once_all_of_it_is_back() -> None:
    where = DROP.position
    own = EventSelector(
        first=where, last=where, op="c", namespaces=("shop.a", "shop.b", "shop.$cmd", "shop.system.views")
    )
    gone = event(1140, kind="drop-database", namespace="shop", selector=own)
    first = record(namespaces=[{"to": "shop.a"}])
    second = record(job="2", namespaces=[{"to": "shop.b"}])
    assert ids(watched(gone, records=[first])) == [gone.id]
    assert ids(watched(gone, records=[first, second])) == []


def test_a_restore_that_was_undone_does_not_count() -> None:
    taken_back = {"schema": "mdr.undo-record", "job": "2", "undone": "1", "state": "undone"}
    assert ids(watched(DROP, records=[record(), taken_back])) == [DROP.id]
    undo = JobFacts("2", "undo", "done", undone="1")
    found = watched(DROP, records=[record()], jobs=reading("jobs", (undo,)))
    assert ids(found) == [DROP.id]


def test_this_hosts_restore_counts_before_its_ledger_is_read_again() -> None:
    done = restore_of(record(schema="mdr.restore"), NOW, "1")
    assert isinstance(done, Restored)
    job = JobFacts("1", "restore", "done", restored=done)
    assert ids(watched(DROP, jobs=reading("jobs", (job,)))) == []


def test_what_happened_more_than_a_day_ago_is_no_news() -> None:
    assert ids(watched(event(86_401), event(86_399))) == ["e0086399"]


def test_events_that_nobody_could_look_for_are_unknown_and_say_nothing_where_all_is_down() -> None:
    failed = reading("events", None, error=DOWN)
    assert "events-deployment-unreachable" in {f.code for f in judged(watched(events=failed)).facts}
    both = watched(events=failed, set=reading("set", None, error=DOWN))
    assert not [f for f in judged(both).facts if f.source == "events"]
