"""The catalogue: what is known about snapshots without reading their data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Compression, Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Trouble, WrongUse

Origin = Literal["mongo-dr-console", "mongodump"]

LEVELS = {
    1: "complete",
    2: "checksums",
    3: "readable",
    4: "restorable",
    5: "restored",
    6: "drilled",
}
"""The rungs of verification: every file is there; every SHA-256 agrees; every document parses and counts
agree; indexes and options can be read and its own oplog replayed on paper; restored into a scratch deployment
and compared; used in a drill."""

NAME = re.compile(r"\d{8}_\d{6}")


@dataclass(frozen=True, slots=True)
class Verification:
    """The newest verification of a snapshot in one store: its level (see ``LEVELS``), and whether all was
    well.

    Args:
        rungs: When each level up to 5 was last reached, lowest first; none from before damage was found.
    """

    level: int
    at: datetime
    good: bool
    rungs: tuple[tuple[int, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One snapshot in one store.

    What only a manifest knows is None for a plain mongodump (``origin``); its window ends come from its
    oplog. ``problem`` says why a snapshot cannot be restored from, None if it can.

    Args:
        checksum: Tells two snapshots of one name apart; the manifest's own, empty for a mongodump.
        documents: Documents in all collections.
        bytes: Uncompressed BSON, without the oplog.
        stored_bytes: Sum of the files.
        holds: Ids of the holds that keep it.
        drilled_at: When a drill last recovered from it with success.
        modified_at: When its newest file was written.
    """

    name: str
    store: str
    origin: Origin
    stored_bytes: int
    modified_at: datetime
    window: Window | None = None
    identity: Identity | None = None
    checksum: str = ""
    documents: int | None = None
    bytes: int | None = None
    scope: tuple[str, ...] | None = None
    compression: Compression | None = None
    server_version: str | None = None
    engine: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    verification: Verification | None = None
    restore_tested_at: datetime | None = None
    drilled_at: datetime | None = None
    problem: Trouble | None = None
    holds: tuple[str, ...] = ()

    @property
    def taken_at(self) -> datetime:
        """The moment whose state it holds: the end of its window, else what its name or its files say."""
        if self.window is not None:
            return self.window.end.time
        return name_time(self.name) or self.modified_at

    @property
    def end(self) -> Position | None:
        return None if self.window is None else self.window.end

    @property
    def seconds(self) -> float | None:
        """How long it took to take."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def restorable(self) -> bool:
        """Whether point-in-time recovery can start from it."""
        return self.problem is None and self.window is not None

    @property
    def verified(self) -> bool:
        """Whether its contents were read back and found good: checksums at least."""
        return self.verification is not None and self.verification.good and self.verification.level >= 2

    @property
    def known_bad(self) -> bool:
        """Whether its newest verification found damage."""
        return self.verification is not None and not self.verification.good

    @property
    def rungs(self) -> tuple[tuple[int, datetime], ...]:
        """When each level was last reached, lowest first; none where damage was found."""
        if self.known_bad:
            return ()
        looked = () if self.verification is None else self.verification.rungs
        return looked if self.drilled_at is None else (*looked, (6, self.drilled_at))

    def age_seconds(self, now: datetime) -> float:
        return (now - self.taken_at).total_seconds()


def name_time(name: str) -> datetime | None:
    """The UTC time that a snapshot's name says; None if it is no such name."""
    if not NAME.fullmatch(name):
        return None
    try:
        # Of thousands of names; ``strptime`` takes ten times as long.
        day = int(name[:4]), int(name[4:6]), int(name[6:8])
        return datetime(*day, int(name[9:11]), int(name[11:13]), int(name[13:]), tzinfo=UTC)
    except ValueError:
        return None


def is_snapshot_name(name: str) -> bool:
    return name_time(name) is not None


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One snapshot with all stores that have it; the same name with other contents is another row.

    Args:
        previous: The next older one that it can be compared with: of the same deployment and scope, written
            the same way, and not known to be damaged.
    """

    entries: tuple[SnapshotEntry, ...]
    previous: SnapshotEntry | None = None

    @property
    def best(self) -> SnapshotEntry:
        """The copy to look at: one without a problem if there is one, in the order of the stores."""
        return self.entries[0] if len(self.entries) == 1 else min(self.entries, key=_badness)

    def to_json(self, now: datetime) -> dict[str, Any]:
        """One element of ``snapshots[]`` of ``mdr snapshots list --json``."""
        entry = self.best
        verifications = [e.verification for e in self.entries if e.verification is not None]
        newest = max(verifications, key=lambda v: v.at, default=None)
        tested = max((e.restore_tested_at for e in self.entries if e.restore_tested_at), default=None)
        return {
            "name": entry.name,
            "stores": [e.store for e in self.entries],
            "age_seconds": round(entry.age_seconds(now), 1),
            "taken_at": utc(entry.taken_at),
            "window": window_json(entry.window),
            "stored_bytes": entry.stored_bytes,
            "bytes": entry.bytes,
            "documents": entry.documents,
            "verified": any(e.verified for e in self.entries),
            "damaged_in": [e.store for e in self.entries if e.known_bad or e.problem is not None],
            "verified_at": utc(newest.at) if newest else None,
            "verified_level": newest.level if newest else None,
            "verified_good": newest.good if newest else None,
            "rungs": self._rungs(),
            "holds": sorted({hold for e in self.entries for hold in e.holds}),
            "seconds": entry.seconds,
            "previous": None if self.previous is None else self.previous.name,
            "stored_bytes_change": self._change("stored_bytes"),
            "documents_change": self._change("documents"),
            "restore_tested_at": utc(tested) if tested else None,
            "origin": entry.origin,
            "scope": list(entry.scope) if entry.scope is not None else None,
            "identity": entry.identity.model_dump(mode="json") if entry.identity else None,
            "problem": None if entry.problem is None else entry.problem.message,
        }

    def _rungs(self) -> list[dict[str, Any]]:
        """The newest time of each level, of whichever copy."""
        times: dict[int, datetime] = {}
        for entry in self.entries:
            for level, at in entry.rungs:
                times[level] = max(at, times.get(level, at))
        return [{"level": n, "name": LEVELS[n], "at": utc(at)} for n, at in sorted(times.items())]

    def _change(self, what: Literal["stored_bytes", "documents"]) -> int | None:
        if self.previous is None:
            return None
        now, before = getattr(self.best, what), getattr(self.previous, what)
        return None if now is None or before is None else int(now - before)


def rows(entries: Iterable[SnapshotEntry]) -> list[CatalogueRow]:
    """Copies of one snapshot brought together, newest first, each with what it can be compared with."""
    groups: dict[tuple[str, str], list[SnapshotEntry]] = {}
    for entry in entries:
        key = entry.checksum or f"{entry.origin} {entry.end} {entry.stored_bytes}"
        groups.setdefault((entry.name, key), []).append(entry)
    found = [CatalogueRow(tuple(group)) for group in groups.values()]
    found.sort(key=lambda row: (row.best.taken_at, row.best.name))
    newest: dict[tuple[object, ...], SnapshotEntry] = {}
    for number, row in enumerate(found):
        kind = _kind(row.best)
        found[number] = replace(row, previous=newest.get(kind))
        if row.best.problem is None and not row.best.known_bad:
            newest[kind] = row.best
    return found[::-1]


def _kind(entry: SnapshotEntry) -> tuple[object, ...]:
    """What two snapshots must have in common for their sizes to say something."""
    whose = None if entry.identity is None else (entry.identity.set_name, entry.identity.replica_set_id)
    return entry.origin, entry.engine, entry.compression, entry.scope, whose


def choose(
    entries: Iterable[SnapshotEntry],
    *,
    name: str | None = None,
    at: Position | None = None,
    identity: Identity | None = None,
) -> SnapshotEntry:
    """The named snapshot, else the newest whole one that can be replayed to ``at`` (its window ends there or
    before); None for ``at`` means the newest of all. The first store that has a good copy wins.

    Raises:
        WrongUse: No such name, or none that fits.
        Trouble: The named one's own problem.
    """
    known = sorted(entries, key=lambda e: e.taken_at, reverse=True)
    if name is not None:
        return _named(known, name)
    fitting = [
        entry
        for entry in known
        if entry.restorable
        and not entry.known_bad
        and entry.scope is None
        and entry.window is not None
        and (at is None or entry.window.end <= at)
        and (identity is None or entry.identity is None or entry.identity.same_deployment(identity))
    ]
    if not fitting:
        when = "" if at is None else f" that ends at or before {at} ({utc(at.time)})"
        raise WrongUse(
            "no-snapshot",
            f"There is no whole snapshot{when}.",
            "See: mdr snapshots list; take one: mdr backup",
        )
    newest = fitting[0]
    return next((e for e in entries_of(fitting, newest) if e.verified), newest)


def entries_of(entries: Iterable[SnapshotEntry], like: SnapshotEntry) -> list[SnapshotEntry]:
    """The copies of the same snapshot."""
    return [e for e in entries if e.name == like.name and e.checksum == like.checksum]


def _named(known: list[SnapshotEntry], name: str) -> SnapshotEntry:
    named = [entry for entry in known if entry.name == name]
    if not named:
        some = ", ".join(entry.name for entry in known[:5]) or "there is none"
        raise WrongUse("snapshot-unknown", f"There is no snapshot {name!r}.", f"Newest: {some}")
    best = min(named, key=_badness)
    if best.problem is not None:
        raise best.problem
    if best.known_bad:
        raise Failed(
            "snapshot-corrupt",
            f"Snapshot {name} is damaged in every store that has it: its newest verification says so.",
            f"Use another snapshot. What was found: mdr snapshots verify {name}",
        )
    return best


def _badness(entry: SnapshotEntry) -> int:
    return 2 if entry.problem is not None else int(entry.known_bad)


def latest_verifications(documents: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Verification]:
    """From the ledger: the newest verification by snapshot and checksum. A good one of a
    lower level takes the place of none: neither of a good one that saw more, nor of a bad one.
    """
    found: dict[tuple[str, str], Verification] = {}
    for document in sorted(documents, key=lambda d: str(d.get("at"))):
        at = parse_time(document.get("at"))
        name, level = document.get("snapshot"), document.get("level")
        if at is None or not isinstance(name, str) or not isinstance(level, int):
            continue
        key = name, str(document.get("checksum", ""))
        new = Verification(level, at, document.get("good") is True)
        old = found.get(key)
        if old is None or not new.good or new.level >= old.level:
            found[key] = replace(new, rungs=_climbed(old, new))
        elif old.good:
            found[key] = replace(old, rungs=_climbed(old, new))
    return found


def _climbed(old: Verification | None, new: Verification) -> tuple[tuple[int, datetime], ...]:
    """Each level holds those below it."""
    if not new.good:
        return ()
    times = dict(old.rungs if old is not None else ())
    return tuple(sorted((times | dict.fromkeys(range(1, new.level + 1), new.at)).items()))


_TIMES = ("finished_at", "ended_at", "at", "timestamp")


def latest_tests(documents: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """From the ledger's restores, drills and verifications: when a snapshot was last restored from with
    success."""
    found: dict[str, datetime] = {}
    for document in documents:
        name = document.get("snapshot")
        at = parse_time(next((document[key] for key in _TIMES if document.get(key)), None))
        good = document.get("success") is True or document.get("state") == "done"
        if document.get("schema") == "mdr.verification":
            # Rung 5 is a restore that was compared.
            level = document.get("level")
            good = document.get("good") is True and isinstance(level, int) and level >= 5
        if isinstance(name, str) and at is not None and good and (name not in found or at > found[name]):
            found[name] = at
    return found


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 time with an offset; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def utc(moment: datetime) -> str:
    """RFC 3339 with Z, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def window_json(window: Window | None) -> dict[str, str] | None:
    return None if window is None else {"start": str(window.start), "end": str(window.end)}
