"""Makes oplog entries as a 6.0 server writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import bson
from bson import Binary, Int64, Timestamp

from mongo_dr_console.model.position import Position, Span

START = 1_795_313_400


@dataclass
class Oplog:
    """An oplog that is written to; time passes only by ``wait``."""

    now: float = START
    entries: list[bytes] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def put(self, op: str, namespace: str, o: dict[str, Any], **more: Any) -> Position:
        second = int(self.now)
        last = self.positions[-1] if self.positions else Position(0, 0)
        position = Position(second, last.i + 1 if last.t == second else 1)
        session = more.pop("session", None)
        entry: dict[str, Any] = {}
        if session is not None:
            entry |= {
                "lsid": {"id": Binary(session, 4), "uid": b"u" * 32},
                "txnNumber": Int64(more.pop("txn", 1)),
            }
        entry |= {"op": op, "ns": namespace, "ui": Binary(b"c" * 16, 4), "o": o, **more}
        wall = datetime.fromtimestamp(self.now, UTC)
        entry |= {"ts": position.timestamp, "t": Int64(1), "v": Int64(2), "wall": wall}
        self.entries.append(bson.encode(entry))
        self.positions.append(position)
        return position

    def command(self, database: str, o: dict[str, Any], **more: Any) -> Position:
        return self.put("c", f"{database}.$cmd", o, **more)

    def drop(self, namespace: str, records: int = 1) -> Position:
        database, _, name = namespace.partition(".")
        return self.command(database, {"drop": name}, o2={"numRecords": records})

    def delete(self, namespace: str, identity: Any, session: bytes | None = None) -> Position:
        return self.put("d", namespace, {"_id": identity}, session=session)

    def update(
        self, namespace: str, identity: Any, diff: dict[str, Any], session: bytes | None = None
    ) -> Position:
        body = {"$v": 2, "diff": diff}
        return self.put("u", namespace, body, o2={"_id": identity}, session=session)

    def insert(self, namespace: str, identity: Any, session: bytes | None = None) -> Position:
        return self.put("i", namespace, {"_id": identity}, o2={"_id": identity}, session=session)

    def transaction(self, session: bytes, operations: Iterable[tuple[str, str, dict[str, Any]]]) -> Position:
        inner = [{"op": op, "ns": ns, "ui": Binary(b"c" * 16, 4), "o": o} for op, ns, o in operations]
        nothing = {"ts": Timestamp(0, 0), "t": Int64(-1)}
        return self.put("c", "admin.$cmd", {"applyOps": inner}, session=session, prevOpTime=nothing)


@dataclass
class Recorded:
    """An oplog that was written, as a source that can only be read."""

    oplog: Oplog
    name: str = "recorded"
    batch: int = 7

    def windows(self) -> list[Span]:
        places = self.oplog.positions
        return [Span(places[0], places[-1])] if places else []

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        pairs = zip(self.oplog.positions, self.oplog.entries, strict=True)
        wanted = [raw for position, raw in pairs if start <= position <= end]
        for at in range(0, len(wanted), self.batch):
            yield b"".join(wanted[at : at + self.batch])
