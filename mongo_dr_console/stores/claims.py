"""Who is at work in a store: a prune, and those that read what a prune could take.

Both say so in the store itself, under ``claims/``, so that another host sees it too:

- ``claims/prune/<n>.json``: one prune at a time. Before it removes anything it names that here (``going``),
  then looks at who reads, then removes.
- ``claims/read/<job>.json``: a restore, a copy, a verification. It says so, then looks at what is going.

Whoever comes second sees the first, in whatever order the four steps fall. A claim that nobody has touched
for a while, or whose process of this host is dead, counts for nothing. Ages are the store's own: two files of
it are compared, not clocks of two hosts.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.host import this_boot
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Note, Report
from mongo_dr_console.model.retention import Use
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.stores.store import Store, StoredObject

PRUNE, READ = "claims/prune/", "claims/read/"
LASTS_SECONDS = 90.0
"""After so long without a sign of life a claim counts for nothing."""
_SIGN_SECONDS = 20.0
_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims.

    Args:
        what: Kind of job: ``restore``.
        job: Its id.
        owner: ``user@host``.
        boot, pid: Of the process.
    """

    what: str
    job: str
    owner: str
    host: str
    boot: str
    pid: int

    @property
    def who(self) -> str:
        return f"{self.what} {self.job} of {self.owner}"


@dataclass(slots=True)
class Claim:
    """One claim that stands in a store, kept fresh until ``release``."""

    store: Store
    path: str
    claimant: Claimant
    facts: dict[str, Any] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _lost: bool = False

    def content(self) -> bytes:
        document = {
            "schema": "mdr.claim",
            **asdict(self.claimant),
            "at": utc(datetime.now(UTC)),
            **self.facts,
        }
        return json.dumps(document).encode()

    def keep(self) -> None:
        """Gives signs of life from now on."""
        threading.Thread(target=self._live, name=f"claim-{self.claimant.job}", daemon=True).start()

    def say(self, **facts: Any) -> StoredObject:
        """Writes it anew with other facts."""
        with self._turn:
            self.facts.update(facts)
            return self.store.write(self.path, [self.content()])

    def release(self) -> None:
        """Takes it back; what cannot be removed runs out by itself."""
        self._ended.set()
        with self._turn, suppress(Trouble):
            self.store.delete(self.path)

    def _live(self) -> None:
        while not self._ended.wait(_SIGN_SECONDS):
            with self._turn, suppress(Trouble):
                if not self._ended.is_set():
                    self.store.write(self.path, [self.content()])


@dataclass(frozen=True, slots=True)
class Seen:
    """A claim as somebody else finds it."""

    path: str
    at: datetime
    document: dict[str, Any]

    @property
    def who(self) -> str:
        told = self.document
        return f"{told.get('what', 'job')} {told.get('job', '?')} of {told.get('owner', '?')}"

    def alive(self, now: datetime) -> bool:
        """Whether it counts.

        Args:
            now: By the store's clock.
        """
        return (now - self.at).total_seconds() < LASTS_SECONDS and not _is_dead(self.document)

    def touches(self, snapshot: str | None, start: Position | None, end: Position | None) -> bool:
        """Whether a prune's claim names something of these."""
        if snapshot is not None and snapshot in self.document.get("going", []):
            return True
        span = _positions(self.document)
        return (
            start is not None and end is not None and span is not None and span[0] < end and start < span[1]
        )


def look(store: Store, prefix: str, now: datetime | None = None) -> list[Seen]:
    """The claims that count.

    Args:
        now: By the store's clock; None: by that of this host.
    """
    found = []
    for stored in store.list(prefix):
        with suppress(ValueError, Failed):
            document = json.loads(b"".join(store.read(stored.path)))
            if isinstance(document, dict):
                found.append(Seen(stored.path, stored.modified_at, document))
    moment = now or datetime.now(UTC)
    return [seen for seen in found if seen.alive(moment)]


def uses(store: Store, now: datetime | None = None) -> list[Use]:
    """What others read from this store just now."""
    found = []
    for seen in look(store, READ, now):
        span = _positions(seen.document) or (None, None)
        found.append(Use(store.name, str(seen.document.get("snapshot") or ""), seen.who, *span))
    return found


# Reading


@contextmanager
def reading(
    store: Store,
    claimant: Claimant,
    report: Report,
    *,
    snapshot: str | None = None,
    start: Position | None = None,
    end: Position | None = None,
) -> Iterator[None]:
    """Keeps a snapshot, and the segments from ``start`` to ``end``, from being pruned in the meantime.

    Where the store cannot be written to, nothing is kept, and that is noted.

    Raises:
        Refused: ``snapshot-going``: a prune is removing it.
    """
    span = {} if start is None or end is None else {"start": str(start), "end": str(end)}
    claim = Claim(store, f"{READ}{claimant.job}.json", claimant, {"snapshot": snapshot, **span})
    now = _said(claim, report)
    try:
        if now is not None:
            _wait_for_prune(claim, now, snapshot, start, end)
            claim.keep()
        yield
    finally:
        claim.release()


def _said(claim: Claim, report: Report) -> datetime | None:
    try:
        # A disk that is not mounted must not be written beneath.
        claim.store.folders()
        return claim.say().modified_at
    except Trouble as trouble:
        name = claim.store.name
        text = f"store {name} cannot be told that this is read, so a prune could take it: {trouble}"
        report(Note(text, "warning"))
        return None


def _wait_for_prune(
    claim: Claim, now: datetime, snapshot: str | None, start: Position | None, end: Position | None
) -> None:
    """A prune looks before each step, and leaves alone what is read: it is in the middle of one at most."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        going = [s for s in look(claim.store, PRUNE, now) if s.touches(snapshot, start, end)]
        if not going:
            return
        if time.monotonic() > deadline:
            raise Refused(
                "snapshot-going",
                f"Store {claim.store.name}: {going[0].who} is removing what is needed here"
                f"{f' ({snapshot})' if snapshot else ''}. Nothing was changed.",
                "Use another snapshot or another store's copy: mdr snapshots list",
            )
        time.sleep(_LOOK_SECONDS)
        now = claim.say().modified_at


# Pruning


@dataclass(slots=True)
class PruneClaim:
    """The right to prune a store."""

    claim: Claim

    @property
    def store(self) -> Store:
        return self.claim.store

    def announce(self, names: Sequence[str], span: tuple[Position, Position] | None = None) -> list[Use]:
        """Says what is going next; returns what others read: that must not go.

        Raises:
            Refused: ``prune-running``: another prune took over.
        """
        ends = {"start": None, "end": None}
        if span is not None:
            ends = {"start": str(span[0]), "end": str(span[1])}  # type: ignore[dict-item]
        now = self.claim.say(going=list(names), **ends).modified_at
        _require_alone(self.claim, now)
        return uses(self.store, now)

    def release(self) -> None:
        self.claim.release()


def claim_prune(store: Store, claimant: Claimant) -> PruneClaim:
    """One prune a store.

    Raises:
        Refused: ``prune-running``, with who is at it.
    """
    there = {s.path: s for s in store.list(PRUNE)}
    numbers = [int(n) for path in there if (n := path.removeprefix(PRUNE).removesuffix(".json")).isdigit()]
    while True:
        number = max(numbers, default=0) + 1
        claim = Claim(store, f"{PRUNE}{number:08}.json", claimant)
        if store.write_if_absent(claim.path, [claim.content()]):
            break
        numbers.append(number)
    try:
        _require_alone(claim, claim.say().modified_at)
    except BaseException:
        claim.release()
        raise
    for path in there:
        # Those that count for nothing any more, or _require_alone had refused.
        store.delete(path)
    claim.keep()
    return PruneClaim(claim)


def _require_alone(claim: Claim, now: datetime) -> None:
    others = [s for s in look(claim.store, PRUNE, now) if s.path != claim.path]
    if others:
        raise Refused(
            "prune-running",
            f"Store {claim.store.name} is being pruned already: {others[0].who}. Nothing was removed by "
            "this one.",
            "Wait for its end: mdr jobs list, on the host that runs it.",
        )


def _positions(document: dict[str, Any]) -> tuple[Position, Position] | None:
    try:
        return Position.parse(str(document["start"])), Position.parse(str(document["end"]))
    except (KeyError, ValueError):
        return None


def _is_dead(document: dict[str, Any]) -> bool:
    """Whether its process ran on this host, since its start, and does not any more."""
    if not document.get("boot") or document["boot"] != this_boot():
        return False
    try:
        os.kill(int(document["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError, TypeError, OverflowError):
        return False
    return False
