"""Facts to build tests of readings on; everything has a default that is fine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.backupfacts import StoreFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage, LiveOplog
from mongo_dr_console.model.event import Event, EventSelector
from mongo_dr_console.model.eventfacts import EventFacts
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import Limits, Readings, Threshold
from mongo_dr_console.model.setstatus import Member, SetStatus

T0 = 1_795_000_000
NOW = datetime.fromtimestamp(T0, UTC)
HERE = Identity(environment="test", set_name="rs0", replica_set_id="0" * 24)
ELSEWHERE = Identity(environment="test", set_name="rs0", replica_set_id="f" * 24)
DOWN = SourceError("deployment-unreachable", "No member of the deployment answers.")


def at(seconds_ago: float, ordinal: int = 1) -> Position:
    return Position(int(T0 - seconds_ago), ordinal)


def hash_of(position: Position) -> str:
    return f"hash of {position}"


def snapshot(seconds_ago: float, **changes: Any) -> SnapshotEntry:
    end = at(seconds_ago)
    window = Window(start=end, end=end, end_term=1, end_hash=hash_of(end), operations=1)
    facts: dict[str, Any] = {
        "name": f"s{int(seconds_ago)}",
        "store": "local",
        "origin": "mongo-dr-console",
        "stored_bytes": 1000,
        "modified_at": end.time,
        "window": window,
        "identity": HERE,
        "documents": 10,
        "bytes": 5000,
        "restore_tested_at": NOW,
    }
    return SnapshotEntry(**(facts | changes))


def live(oldest_ago: float, *entries: SnapshotEntry, **changes: Any) -> LiveOplog:
    """A live oplog that has, unchanged, every entry at which these snapshots end."""
    facts: dict[str, Any] = {
        "oldest": at(oldest_ago),
        "latest": at(0),
        "newest": at(0),
        "hashes": {e.end: hash_of(e.end) for e in entries if e.end is not None},
        "identity": HERE,
    }
    return LiveOplog(**(facts | changes))


def oplog(**changes: Any) -> OplogFacts:
    facts: dict[str, Any] = {
        "told_by": "a:1",
        "oldest": at(7200),
        "newest": at(0),
        "oldest_at": at(7200).time,
        "newest_at": at(0).time,
        "committed": at(0),
        "size_bytes": 7200 * 1000,
        "max_bytes": 100_000 * 1000,
        "entries": 72_000,
        "recent_bytes_per_second": 1000.0,
        "recent_seconds": 60.0,
    }
    return OplogFacts(**(facts | changes))


def member(name: str = "a:1", state: str = "SECONDARY", **changes: Any) -> Member:
    facts: dict[str, Any] = {"healthy": True, "lag_seconds": 0.0, "votes": 1, "position": at(0)}
    return Member(name, state, **(facts | changes))


def set_status(*members: Member, **changes: Any) -> SetStatus:
    found = members or (member("a:1", "PRIMARY"), member("b:1"), member("c:1"))
    leader = next((m.name for m in found if m.state == "PRIMARY" and m.healthy), None)
    facts: dict[str, Any] = {
        "set_name": "rs0",
        "told_by": found[0].name,
        "primary": leader,
        "primary_since": NOW if leader else None,
        "term": 3,
        "members": found,
        "majority_needed": 2,
        "majority_available": sum(m.can_vote for m in found),
        "committed": at(0),
        "clock": NOW,
        "server_version": "6.0.5",
        "write_blocked": False,
    }
    return SetStatus(**(facts | changes))


def reading(source: str, value: Any, **changes: Any) -> Reading[Any]:
    facts: dict[str, Any] = {
        "error": None,
        "taken_at": None if value is None else NOW,
        "tried_at": NOW,
        "took": timedelta(milliseconds=5),
        "attempt": 1,
    }
    return Reading(source, value, **(facts | changes))


def store(*snapshots: SnapshotEntry, **changes: Any) -> StoreFacts:
    return StoreFacts("local", "/backups", tuple(snapshots), **changes)


def coverage(*snapshots: SnapshotEntry, oldest_ago: float = 7200) -> Coverage:
    return covering.build(snapshots, live(oldest_ago, *snapshots), now=NOW, oplog=oplog())


def event(seconds_ago: float, **changes: Any) -> Event:
    """``shop.orders`` dropped, with 40,000 documents."""
    where = changes.pop("position", at(seconds_ago, 5))
    namespace = changes.get("namespace", "shop.orders")
    facts: dict[str, Any] = {
        "id": f"e{int(seconds_ago):07}",
        "kind": "drop",
        "position": where,
        "last": where,
        "time": where.time,
        "namespace": namespace,
        "operations": 1,
        "documents": 40_000,
        "before": Position(where.t, where.i - 1),
        "selector": EventSelector(first=where, last=where, op="c", namespaces=(namespace,)),
    }
    return Event(**(facts | changes))


def event_facts(*events: Event, **changes: Any) -> EventFacts:
    ordered = tuple(sorted(events, key=lambda e: e.position))
    facts: dict[str, Any] = {"scanned_from": at(7200), "scanned_to": at(0), "complete": True}
    return EventFacts(ordered, **(facts | changes))


def readings(*snapshots: SnapshotEntry, **changes: Any) -> Readings:
    """All sources answer and all is well, unless changed."""
    held = snapshots or (snapshot(30),)
    facts: dict[str, Any] = {
        "profile": "test",
        "environment": "test",
        "set": reading("set", set_status()),
        "oplog": reading("oplog", oplog()),
        "stores": {"store:local": reading("store:local", store(*held))},
        "coverage": reading("coverage", coverage(*held)),
        "events": reading("events", event_facts()),
        "jobs": reading("jobs", ()),
        "lock": reading("lock", None, taken_at=NOW),
    }
    return Readings(**(facts | changes))


LIMITS = Limits(
    rpo=60,
    rto=3600,
    backup_age=Threshold(86400, 43200),
    size_delta=Threshold(0.5),
    restore_test_age=Threshold(30 * 86400),
    oplog_lag=Threshold(60, 10),
    margin=Threshold(3600, 7200),
)
