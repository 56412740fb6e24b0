"""The states that a console can be in, as readings: fine, warning, critical, stale, empty, error, odd names.

Made new at every call; ``NOW`` of the readings' kit is their moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.catalogue import SnapshotEntry, Verification
from mongo_dr_console.model.event import Event, EventKind, EventSelector
from mongo_dr_console.model.eventfacts import EventFacts
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.oplogfacts import MemberLag
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import Readings
from support.readingkit import (
    DOWN,
    NOW,
    at,
    coverage,
    live,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

RTL = "\u202e"
"""Turns the direction of what follows, where a terminal obeys it."""
LONG = "n" * 255
ODD_DATABASE = "db[/]"
ODD_COLLECTION = f"a\nb{RTL}c[red]"
MEMBERS = tuple(f"mongo-{n}.db.example:27017" for n in (1, 2, 3))


def event(
    identity: str,
    seconds_ago: float,
    namespace: str = "shop.orders",
    kind: EventKind = "drop",
    documents: int | None = 40_000,
    **changes: Any,
) -> Event:
    """A destructive event, so many seconds ago."""
    position = at(seconds_ago)
    op = {"mass-delete": "d", "mass-update": "u"}.get(kind, "c")
    facts: dict[str, Any] = {
        "id": identity,
        "kind": kind,
        "position": position,
        "last": position,
        "time": position.time,
        "namespace": namespace,
        "operations": 1,
        "documents": documents,
        "before": at(seconds_ago + 1),
        "selector": EventSelector(first=position, last=position, op=op, namespaces=(namespace,)),
    }
    return Event(**(facts | changes))


def events(*found: Event) -> Reading[EventFacts]:
    return reading("events", EventFacts(tuple(found), at(7200), at(0), complete=True))


def job(name: str = "12ab34cd", **changes: Any) -> JobFacts:
    facts: dict[str, Any] = {
        "kind": "backup",
        "state": "done",
        "owner": "ops@bastion-2",
        "started_at": NOW - timedelta(hours=2),
        "ended_at": NOW - timedelta(hours=2) + timedelta(minutes=3),
        "host": "bastion-2",
    }
    return JobFacts(name, **(facts | changes))


def _snapshots() -> tuple[SnapshotEntry, ...]:
    good = Verification(level=3, at=NOW - timedelta(hours=1), good=True)
    one = snapshot(40, name="20261118_110600", stored_bytes=442_000_000, documents=1_240_000)
    return (
        replace(one, bytes=900_000_000, verification=good),
        snapshot(
            3600, name="20261118_100640", stored_bytes=440_000_000, documents=1_239_000, verification=good
        ),
        snapshot(7000, name="20261118_090959", stored_bytes=438_000_000, documents=1_238_100),
    )


def _base(*snapshots: SnapshotEntry, **changes: Any) -> Readings:
    found = snapshots or _snapshots()
    status = set_status(
        member(MEMBERS[0], "PRIMARY", ping_ms=1.0),
        member(MEMBERS[1], ping_ms=3.0, lag_seconds=0.4, sync_source=MEMBERS[0], heartbeat_age_seconds=0.6),
        member(MEMBERS[2], ping_ms=2.0, lag_seconds=1.1, sync_source=MEMBERS[1], heartbeat_age_seconds=1.4),
        primary_since=NOW - timedelta(days=11, hours=4),
        term=14,
    )
    facts: dict[str, Any] = {
        "environment": "production",
        "set": reading("set", status),
        "oplog": reading("oplog", oplog(members=tuple(MemberLag(m, 1.0, 108_000.0) for m in MEMBERS[1:]))),
        "stores": {"store:local": reading("store:local", store(*found))},
        "coverage": reading("coverage", coverage(*found)),
        "jobs": reading("jobs", (job(),)),
        "events": events(),
        "lock": reading("lock", None, taken_at=NOW),
    }
    return readings(*found, **(facts | changes))


def fine() -> Readings:
    """Everything answers, nothing is over its limit."""
    return _base()


def warning() -> Readings:
    """A member is down, a second one lags; there is still a primary."""
    status = _base().set
    assert status is not None and status.value is not None
    first, second, third = status.value.members
    down = replace(
        third,
        state="DOWN",
        healthy=False,
        lag_seconds=None,
        ping_ms=None,
        heartbeat_age_seconds=41.0,
        position=None,
    )
    lagging = replace(second, lag_seconds=24.0)
    changed = replace(status.value, members=(first, lagging, down), majority_available=2)
    running = job("77aa88bb", kind="verify", state="running", step="read", percent=43.0, ended_at=None)
    return _base(set=reading("set", changed), jobs=reading("jobs", (job(), running)))


def critical() -> Readings:
    """A collection was dropped 19 minutes ago, and the oplog reaches back to one snapshot only."""
    old = snapshot(50_000, name="20261117_211320", restore_tested_at=None, documents=1_200_000)
    held = (*_snapshots()[:2], old)
    dropped = event("2c85fecf", 1140)
    wiped = event("9d31aa07", 1000, "crm.people", "mass-delete", 18_211, operations=18_211)
    failed = job(
        "0badcafe",
        kind="restore",
        state="failed",
        error=SourceError("disk-full", "There is no room left on the disk."),
    )
    status = _base().set
    assert status is not None and status.value is not None
    lost = tuple(replace(m, state="SECONDARY", healthy=m.name == MEMBERS[1]) for m in status.value.members)
    alone = replace(
        status.value, members=lost, primary=None, primary_since=None, majority_available=1, partial=""
    )
    return _base(
        *held,
        set=reading("set", alone),
        coverage=reading("coverage", coverage(*held)),
        events=events(dropped, wiped),
        jobs=reading("jobs", (failed, job())),
    )


def dropped() -> Readings:
    """All is well but for a collection that was dropped 19 minutes ago."""
    return _base(events=events(event("2c85fecf", 1140)))


def stale() -> Readings:
    """Every source fails since 41 seconds; what it said last is still known."""
    fine_ones = _base()
    then = NOW - timedelta(seconds=41)

    def failed(old: Reading[Any] | None, error: SourceError) -> Reading[Any]:
        assert old is not None
        return replace(
            old, error=error, taken_at=then, attempt=6, next_try=NOW + timedelta(seconds=8), tried_at=NOW
        )

    slow = SourceError("store-unreachable", "The store did not answer within 5 s.")
    return replace(
        fine_ones,
        set=failed(fine_ones.set, DOWN),
        oplog=failed(fine_ones.oplog, DOWN),
        stores={name: failed(r, slow) for name, r in fine_ones.stores.items()},
        coverage=failed(fine_ones.coverage, slow),
        jobs=failed(fine_ones.jobs, SourceError("state-unreadable", "The folder of jobs cannot be read.")),
        events=failed(fine_ones.events, DOWN),
        lock=failed(fine_ones.lock, DOWN),
    )


def empty() -> Readings:
    """Nothing has answered yet."""
    return Readings("test", "production")


def error() -> Readings:
    """The deployment was down before the console was opened; the store answers."""
    held = _snapshots()
    down: dict[str, Any] = {
        name: reading(name, None, error=DOWN, attempt=3, next_try=NOW + timedelta(seconds=4))
        for name in ("set", "oplog", "events", "lock")
    }
    known = covering.build(held, None, now=NOW, live_error=DOWN)
    return _base(*held, **down, coverage=reading("coverage", known))


def odd() -> Readings:
    """Names that are long, hold markup, newlines, and signs that turn the direction of text."""
    names = (f"[red]{LONG}:27017", f"a{RTL}b[/]:27017", "c\n[/d]:27017")
    status = set_status(
        member(names[0], "PRIMARY"),
        member(names[1], sync_source=names[0]),
        member(names[2], sync_source=names[1], healthy=False, lag_seconds=None),
        set_name=f"rs[/]{RTL}0",
    )
    held = (
        snapshot(30, name="20261118_110610", store=f"store[/]{LONG}"),
        snapshot(3600, name=f"{ODD_DATABASE}\n{RTL}x", store="b[bold]"),
    )
    found = events(
        event("2c85fecf", 600, f"{ODD_DATABASE}.{ODD_COLLECTION}"),
        event("3c85fecf", 500, f"shop.{LONG}", "mass-update", None),
        event("4c85fecf", 400, "日本語データベース.注文コレクション", "drop-database"),
    )
    worse = SourceError("odd", f"Cannot [/read] {LONG}\nsecond line {RTL}x")
    return _base(
        *held,
        environment=f"prod[/]{LONG}",
        set=reading("set", status),
        stores={
            "store:local": reading("store:local", replace(store(*held), where=f"/backups/[/]{LONG}")),
            "store:b": reading("store:b", None, error=worse),
        },
        coverage=reading("coverage", covering.build(held, live(7200, *held), now=NOW, oplog=oplog())),
        events=found,
        jobs=reading("jobs", (job("[/]job\n", kind="restore[/]", step=LONG, owner=f"{RTL}me@[/]"),)),
    )


STATES: dict[str, Callable[[], Readings]] = {
    "fine": fine,
    "warning": warning,
    "critical": critical,
    "dropped": dropped,
    "stale": stale,
    "empty": empty,
    "error": error,
    "odd": odd,
}
