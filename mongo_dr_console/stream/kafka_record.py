"""How an oplog entry lies in a Kafka topic: key, value, time, headers, and the batch of records on the wire.

Key is the namespace, value the entry's BSON or its canonical Extended JSON, time the entry's wall clock time.
Headers: ``prev`` on every record (position of the entry before it: so a hole shows, and a record without it
is not ours), ``sha256`` with JSON (of the BSON), ``run`` on the last record of a transaction (see ``Run``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.entryhead import FIXED_SIZES, after_value
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import TornDocument
from mongo_dr_console.stream.chain import Link

PREVIOUS, SHA256, RUN = "prev", "sha256", "run"
"""Names of the headers."""

LARGEST_VALUE = rawbson.MAX_DOCUMENT
OVERHEAD = 64 * 1024
"""More than key, headers and the frame of a batch with one record can take."""

_INT32 = struct.Struct("<i").unpack_from
_INT64 = struct.Struct("<q").unpack_from
_STAMP = struct.Struct("<II")
_STRING, _DATE, _TS = 2, 9, 17


class EntryFacts(NamedTuple):
    """What a record says of its entry: namespace, the eight bytes of ``ts``, wall clock time in ms."""

    namespace: bytes
    stamp: bytes
    wall: int


def entry_facts(raw: bytes) -> EntryFacts:
    """Read without decoding the rest.

    Raises:
        TornDocument: Not an oplog entry.
    """
    namespace, stamp, wall = None, None, None
    at, end = 4, len(raw) - 1
    try:
        while at < end:
            kind = raw[at]
            stop = raw.index(0, at + 1)
            key, at = raw[at + 1 : stop], stop + 1
            size = FIXED_SIZES.get(kind)
            if size is not None:
                if kind == _TS and key == b"ts":
                    stamp = raw[at : at + 8]
                elif kind == _DATE and key == b"wall":
                    (wall,) = _INT64(raw, at)
                at += size
                continue
            if kind == _STRING and key == b"ns":
                namespace = raw[at + 4 : at + 3 + _INT32(raw, at)[0]]
            at = after_value(raw, kind, at)
    except (IndexError, ValueError, struct.error):
        raise TornDocument(at, "a field that cannot be read") from None
    if stamp is None:
        raise TornDocument(0, "no oplog entry: ts is missing")
    if wall is None:
        wall = _STAMP.unpack(stamp)[1] * 1000
    return EntryFacts(namespace or b"", stamp, wall)


def stamp_of(position: Position) -> bytes:
    """The eight bytes of a BSON timestamp, as header ``prev`` has them."""
    return _STAMP.pack(position.i, position.t)


def position_of(stamp: bytes) -> Position:
    i, t = _STAMP.unpack(stamp)
    return Position(t, i)


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of the topic that one writer, and those that went on after it, wrote without a break.

    Args:
        offset: All of its records have this offset or a later one, all of earlier runs an earlier one.
        after: The entry before its first one.
        identity: Whose oplog it is.
    """

    offset: int
    after: Link
    identity: Identity

    def to_bytes(self) -> bytes:
        """The header ``run``."""
        return json.dumps(
            {
                "offset": self.offset,
                "after": [str(self.after.position), self.after.term, self.after.hash],
                "env": self.identity.environment,
                "set": self.identity.set_name,
                "id": self.identity.replica_set_id,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def of(cls, data: bytes) -> Run:
        """Raises ValueError for anything else."""
        try:
            found = json.loads(data)
            position, term, digest = found["after"]
            return cls(
                int(found["offset"]),
                Link(Position.parse(position), int(term), str(digest)),
                Identity(environment=found["env"], set_name=found["set"], replica_set_id=found["id"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a run: {error}") from None


def json_value(raw: bytes) -> bytes:
    """The entry as canonical Extended JSON where that comes back byte for byte and is no larger than an entry
    may be; else the entry itself, since nothing may be refused or changed."""
    try:
        text = extjson.dumps(raw).encode()
        if len(text) <= LARGEST_VALUE and extjson.loads(text) == raw:
            return text
    except extjson.NotCanonical:
        pass
    return raw


def is_json(value: bytes) -> bool:
    """BSON ends with a zero byte, Extended JSON with a brace: a topic may hold both."""
    return value[:1] == b"{" and value[-1:] == b"}"


# The wire: a batch of records, version 2 of the format (0.11 and later)

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _CHECKED_FROM = 17, 21
_TRANSACTIONAL = 0x10


def _varint(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_SMALL = [_varint(value) for value in range(1 << 14)]


def varint(value: int) -> bytes:
    """Signed, zigzag, as Kafka's records have it."""
    return _SMALL[value] if 0 <= value < 16384 else _varint(value)


def _header(name: str, value: bytes) -> bytes:
    return varint(len(name)) + name.encode() + varint(len(value)) + value


_ONE_HEADER = varint(1) + varint(len(PREVIOUS)) + PREVIOUS.encode() + varint(8)


class BatchBuilder:
    """Encodes records: four times as fast as kafka-python's own builder, which checks types for each."""

    def __init__(self) -> None:
        self._buffer = bytearray(_HEADER.size)
        self._first = self._newest = 0
        self._keys: dict[bytes, bytes] = {}
        self.count = 0

    @property
    def size(self) -> int:
        return len(self._buffer)

    def add(
        self, facts: EntryFacts, value: bytes, previous: bytes, more: tuple[tuple[str, bytes], ...]
    ) -> None:
        """One record.

        Args:
            previous: For the header ``prev``.
            more: Further headers.
        """
        if not self.count:
            self._first = self._newest = facts.wall
        elif facts.wall > self._newest:
            self._newest = facts.wall
        key = self._keys.get(facts.namespace)
        if key is None:
            key = self._keys[facts.namespace] = varint(len(facts.namespace)) + facts.namespace
        front = b"".join(
            (b"\x00", varint(facts.wall - self._first), varint(self.count), key, varint(len(value)))
        )
        headers = _ONE_HEADER + previous
        if more:
            added = b"".join(_header(name, data) for name, data in more)
            headers = varint(1 + len(more)) + headers[1:] + added
        buffer = self._buffer
        buffer += varint(len(front) + len(value) + len(headers))
        buffer += front
        buffer += value
        buffer += headers
        self.count += 1

    def finish(self, crc: Callable[[memoryview], int], producer: int, epoch: int, sequence: int) -> bytearray:
        """The batch, of a transaction; the builder is empty afterwards."""
        buffer, count = self._buffer, self.count
        _HEADER.pack_into(
            buffer,
            0,
            0,
            len(buffer) - 12,
            0,
            2,
            0,
            _TRANSACTIONAL,
            count - 1,
            self._first,
            self._newest,
            producer,
            epoch,
            sequence,
            count,
        )
        struct.pack_into(">I", buffer, _CRC_AT, crc(memoryview(buffer)[_CHECKED_FROM:]))
        self._buffer, self.count = bytearray(_HEADER.size), 0
        return buffer
