"""Walking BSON without decoding it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

MIN_DOCUMENT = 5
MAX_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
"""The largest document there can be: 16 MiB and the server's own overhead on oplog entries."""

# Only for looking inside: dates out of Python's range and broken UTF-8 must not stop a restore, and the bytes
# themselves are passed on untouched.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)

_LENGTH = struct.Struct("<i")
_LARGE = 1024 * 1024


class TornDocument(ValueError):
    """Bytes that are not a whole BSON document; ``offset`` counts from the start of the stream."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"not a BSON document at byte {offset}: {why}")
        self.offset = offset


def entry_hash(raw: bytes) -> str:
    """The hash of the chain: SHA-256 of an entry's raw BSON, the same on all members (server-rules 14)."""
    return hashlib.sha256(raw).hexdigest()


def length_at(buffer: bytes | bytearray, at: int) -> int | None:
    """The length of the document that begins there; None where the buffer does not hold all of it.

    Raises:
        TornDocument: A length that cannot be.
    """
    if len(buffer) - at < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer, at)
    if not MIN_DOCUMENT <= length <= MAX_DOCUMENT:
        raise TornDocument(at, f"a length of {length} bytes")
    return int(length) if at + length <= len(buffer) else None


def split(buffer: bytes | memoryview, offset: int = 0) -> Iterator[bytes]:
    """The documents in a buffer that holds whole documents back to back.

    Raises:
        TornDocument: A length that cannot be, or bytes left over.
    """
    view = memoryview(buffer)
    at, size = 0, len(view)
    while at < size:
        if size - at < MIN_DOCUMENT:
            raise TornDocument(offset + at, f"{size - at} bytes left over")
        (length,) = _LENGTH.unpack_from(view, at)
        if not MIN_DOCUMENT <= length <= MAX_DOCUMENT:
            raise TornDocument(offset + at, f"a length of {length} bytes")
        if at + length > size:
            raise TornDocument(offset + at, f"{at + length - size} of {length} bytes are missing")
        if view[at + length - 1] != 0:
            raise TornDocument(offset + at, "the closing zero byte is missing")
        yield bytes(view[at : at + length])
        at += length


def documents(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The documents of a stream that was cut into chunks anywhere; memory is bounded by one document and
    one chunk.

    Raises:
        TornDocument: The stream ends within a document, or has bytes that are none.
    """
    consumed = 0
    for whole in whole_chunks(chunks):
        yield from split(whole, consumed)
        consumed += len(whole)


def whole_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A stream that was cut into chunks anywhere, cut between documents. A large one that goes over several
    chunks comes alone, put together once; nothing that was yielded is held on to.

    Raises:
        TornDocument: The stream ends within a document, or has bytes that are none.
    """
    held: list[bytes] = []
    size = consumed = 0
    for chunk in chunks:
        rest = chunk
        del chunk
        if held:
            held.append(rest)
            size += len(rest)
            if size < 4 or size < (wanted := _first_length(held, consumed)):
                continue
            over = size - wanted if wanted > _LARGE else 0
            if over:
                held[-1], rest = rest[:-over], rest[-over:]
            else:
                rest = b""
            joined = b"".join(held)
            held.clear()
            if wanted > _LARGE:
                consumed += wanted
                yield joined
            else:
                rest = joined
            del joined
        whole = whole_prefix(rest, consumed)
        if whole:
            part, rest = rest[:whole], rest[whole:]
            consumed += whole
            yield part
            del part
        size = len(rest)
        if rest:
            held.append(rest)
        del rest
    if size:
        raise TornDocument(consumed, f"the stream ends after {size} bytes of a document")


def _first_length(held: list[bytes], offset: int) -> int:
    head = held[0] if len(held[0]) >= 4 else b"".join(held)
    (length,) = _LENGTH.unpack_from(head, 0)
    if not MIN_DOCUMENT <= length <= MAX_DOCUMENT:
        raise TornDocument(offset, f"a length of {length} bytes")
    return int(length)


def batches(chunks: Iterable[bytes], most: int, size: int) -> Iterator[tuple[bytes, int]]:
    """The documents of a stream that was cut into chunks anywhere, in batches back to back; yields
    (bytes, documents). Each has ``most`` documents and ``size`` bytes at the most, or is one larger document.

    Raises:
        TornDocument: The stream ends within a document, or has bytes that are none.
    """
    rest = b""
    consumed = 0
    for chunk in chunks:
        buffer = rest + chunk if rest else chunk
        at = begin = found = 0
        while at + 4 <= len(buffer):
            (length,) = _LENGTH.unpack_from(buffer, at)
            after = at + length
            if not MIN_DOCUMENT <= length <= MAX_DOCUMENT:
                raise TornDocument(consumed + at, f"a length of {length} bytes")
            if after > len(buffer):
                break
            if buffer[after - 1]:
                raise TornDocument(consumed + at, "the closing zero byte is missing")
            if found == most or (found and after - begin > size):
                yield buffer[begin:at], found
                begin, found = at, 0
            at, found = after, found + 1
        if found:
            yield buffer[begin:at], found
        rest = buffer[at:]
        consumed += at
        # Not to be held on to while the next one is made.
        del buffer, chunk
    if rest:
        raise TornDocument(consumed, f"the stream ends after {len(rest)} bytes of a document")


def whole_prefix(buffer: bytes, offset: int = 0) -> int:
    """How many bytes from the start are whole documents.

    Raises:
        TornDocument: A length that cannot be; ``offset`` is where the buffer lies in its stream.
    """
    at, size = 0, len(buffer)
    while size - at >= 4:
        (length,) = _LENGTH.unpack_from(buffer, at)
        if not MIN_DOCUMENT <= length <= MAX_DOCUMENT:
            raise TornDocument(offset + at, f"a length of {length} bytes")
        if at + length > size:
            break
        at += length
    return at


def count(buffer: bytes | memoryview) -> int:
    """How many documents lie in a buffer of whole documents."""
    at, size, found = 0, len(buffer), 0
    while at < size:
        at += _LENGTH.unpack_from(buffer, at)[0]
        found += 1
    return found
