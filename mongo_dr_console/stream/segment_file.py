"""The bytes of a segment: a skippable zstd frame with its header, then one zstd frame of whole raw entries.

So ``zstd -d`` gives plain oplog BSON. Name, header and contents each say what the others must be: a segment
that was cut off, changed, or put under another's name is noticed before an entry of it is used.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

import zstandard
from pydantic import ValidationError

from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.segment import Segment, SegmentHeader, SegmentName
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store

_SKIPPABLE = 0x184D2A5D
_START = struct.Struct("<II8s")
_CHECK = struct.Struct("<I")
_MAGIC = b"mdrsegm1"
_HEADER_READ = 4096
_LEVEL = 3
_MAX_PLAIN = 1024 * 1024 * 1024


class SegmentBuilder:
    """A segment that is being filled, in memory and compressed.

    Args:
        identity: Of the deployment.
        previous: The entry before the first one.
        tail: What the sink had last, where that is another.
        fence: Of the agent that writes it; 0 where there is but one.
    """

    def __init__(
        self, identity: Identity, previous: Link, tail: Link | None = None, *, fence: int = 0
    ) -> None:
        self.previous, self.last = previous, previous
        self.count, self.bytes = 0, 0
        self._identity, self._tail, self._fence = identity, tail, fence
        self._first = previous.position
        self._plain, self._stored = hashlib.sha256(), hashlib.sha256()
        self._pieces: list[bytes] = []
        self._stream: Any = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()

    def add(self, batch: bytes, last: Link, count: int) -> None:
        """Whole raw entries of one term that follow the last ones; ``last`` is the last of them."""
        if not self.count:
            self._first = head(batch).position
        self._plain.update(batch)
        self._keep(self._stream.compress(batch))
        self.last, self.count, self.bytes = last, self.count + count, self.bytes + len(batch)

    def finish(self) -> tuple[SegmentHeader, list[bytes]]:
        """The header, and everything that the segment consists of."""
        self._keep(self._stream.flush())
        header = SegmentHeader(
            identity=self._identity,
            previous=self.previous,
            first=self._first,
            last=self.last,
            count=self.count,
            bytes=self.bytes,
            sha256=self._plain.hexdigest(),
            stored_bytes=sum(map(len, self._pieces)),
            stored_sha256=self._stored.hexdigest(),
            tail=self._tail if self._tail != self.previous else None,
            fence=self._fence or None,
        )
        facts = header.model_dump_json(by_alias=True, exclude_none=True).encode()
        start = _START.pack(_SKIPPABLE, len(_MAGIC) + len(facts) + _CHECK.size, _MAGIC)
        return header, [start + facts + _CHECK.pack(zlib.crc32(start + facts)), *self._pieces]

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._stored.update(piece)
            self._pieces.append(piece)


def read_header(store: Store, path: str) -> Segment:
    """What a segment says about itself, its entries unread.

    Raises:
        Failed: ``segment-damaged``: the header is no header, or one of another segment than the name says.
        Unreachable: The store does not answer.
    """
    start = b"".join(store.read(path, 0, _HEADER_READ))
    header, _ = _header(start, path, store.name)
    return Segment(path, header)


def read_entries(store: Store, path: str, expected: SegmentHeader | None) -> tuple[SegmentHeader, bytes]:
    """Its header and all its entries, back to back, after everything was compared.

    Args:
        expected: The header that was read before; None for one of which the name alone was known.

    Raises:
        Failed: ``segment-damaged``.
        Unreachable: The store does not answer.
    """
    name = store.name
    data = b"".join(store.read(path))
    header, offset = _header(data, path, name)
    stored = data[offset:]
    if expected is not None and header != expected:
        raise damaged(path, name, "it is not the one that was there before")
    if len(stored) != header.stored_bytes:
        raise damaged(path, name, f"{len(stored)} of its {header.stored_bytes} bytes are there")
    if hashlib.sha256(stored).hexdigest() != header.stored_sha256 or header.bytes > _MAX_PLAIN:
        raise damaged(path, name, "its bytes were changed")
    try:
        plain = zstandard.ZstdDecompressor().decompress(stored, max_output_size=header.bytes)
    except zstandard.ZstdError:
        raise damaged(path, name, "its entries cannot be unpacked") from None
    if len(plain) != header.bytes or hashlib.sha256(plain).hexdigest() != header.sha256:
        raise damaged(path, name, "its entries were changed")
    return header, plain


def _header(data: bytes, path: str, store: str) -> tuple[SegmentHeader, int]:
    """The header and where the entries begin."""
    if len(data) < _START.size:
        raise damaged(path, store, f"it has {len(data)} bytes")
    magic, length, mark = _START.unpack_from(data)
    end = 8 + length
    if (magic, mark) != (_SKIPPABLE, _MAGIC) or not _START.size + _CHECK.size < end <= len(data):
        raise damaged(path, store, "it does not begin as a segment does")
    fields, check = data[: end - _CHECK.size], data[end - _CHECK.size : end]
    if check != _CHECK.pack(zlib.crc32(fields)):
        raise damaged(path, store, "its header was changed")
    try:
        header = SegmentHeader.model_validate_json(fields[_START.size :])
    except ValidationError:
        raise damaged(path, store, "its header cannot be understood") from None
    said = SegmentName.parse(path)
    if said != header.name:
        raise damaged(path, store, f"it is another one, {header.name.path}, under this name")
    return header, end


def damaged(path: str, store: str, why: str) -> Failed:
    return Failed(
        "segment-damaged",
        f"Segment {path} in store {store} is damaged: {why}. What it held cannot be replayed from there.",
        "mdr coverage shows what other sources have. A good copy can be put back in its place.",
    )
