"""An oplog range saved to a file, because a restore's own writes roll the oplog over.

The file is a row of pairs: a skippable zstd frame with facts about the next one, and a zstd frame of whole
raw entries. So ``zstd -d`` gives plain oplog BSON, a reader can hop over what it does not want, and a tail
that was torn by a kill is found and cut back to the last whole pair. A finished range has a sidecar
``<name>.json`` beside it, written last; without it the file is still growing, or was left half-done.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stream.chain import Chain

_SKIPPABLE = 0x184D2A5D
_HEADER = struct.Struct("<II8sIIIIIQQ32s")
_CHECK = struct.Struct("<I")
_HEAD_SIZE = _HEADER.size + _CHECK.size
_FACTS = _HEAD_SIZE - 8
_MAGIC = b"mdrsave1"
_LEVEL = 3
_MAX_PLAIN = 256 * 1024 * 1024


class SavedFacts(BaseModel):
    """The sidecar: the range, both ends included, and what its entries add up to.

    ``sha256`` is over the uncompressed entries; ``bytes`` counts them; ``stored_bytes`` is the file's size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: str = Field(default="mdr.saved-range", alias="schema")
    first: Position
    last: Position
    count: int
    bytes: int
    stored_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """One pair; ``offset`` is where its compressed entries begin."""

    first: Position
    last: Position
    count: int
    offset: int
    stored: int
    plain: int
    sha256: bytes

    @property
    def end(self) -> int:
        return self.offset + self.stored

    def header(self) -> bytes:
        fields = _HEADER.pack(
            _SKIPPABLE,
            _FACTS,
            _MAGIC,
            self.first.t,
            self.first.i,
            self.last.t,
            self.last.i,
            self.count,
            self.plain,
            self.stored,
            self.sha256,
        )
        return fields + _CHECK.pack(zlib.crc32(fields))


class SavedRange:
    """A saved range, finished or still growing, as a source.

    Args:
        path: The file of frames.
        name: How it is called in messages.
    """

    def __init__(self, path: Path, name: str = "saved oplog") -> None:
        self.path = path
        self.name = name

    @property
    def facts(self) -> SavedFacts | None:
        """What the sidecar says, None while the range is not finished.

        Raises:
            Failed: The sidecar is there and cannot be understood.
        """
        try:
            return SavedFacts.model_validate_json(_sidecar(self.path).read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, ValueError):
            raise _corrupt(self.path, "its sidecar cannot be understood") from None

    def windows(self) -> list[Span]:
        """The range that was flushed so far; empty when that is nothing."""
        frames = list(self._frames())
        return [Span(frames[0].first, frames[-1].last)] if frames else []

    @property
    def last(self) -> Position | None:
        """The newest position that can be read."""
        windows = self.windows()
        return windows[-1].end if windows else None

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole raw entries with ``start <= ts <= end``, each checked against its checksum.

        Of a range that is still growing, what is whole at this moment.

        Raises:
            Failed: code ``saved-range-corrupt``.
        """
        with self.path.open("rb") as file:
            for frame in self._frames():
                if frame.last < start:
                    continue
                if frame.first > end:
                    return
                batch = self._entries(file, frame)
                if frame.first < start or frame.last > end:
                    batch = b"".join(_within(batch, start, end))
                if batch:
                    yield batch
                del batch

    def verify(self) -> SavedFacts:
        """Reads everything and compares with the sidecar; for a growing range, adds it up.

        Raises:
            Failed: code ``saved-range-corrupt``.
        """
        said = self.facts
        found = self._add_up()
        if said is not None and said != found:
            raise _corrupt(self.path, "its contents are not those that were saved")
        return found

    def _add_up(self) -> SavedFacts:
        # Their order was checked when they were written; the checksums prove that they are the same.
        digest, size, count, first, last = hashlib.sha256(), 0, 0, None, None
        with self.path.open("rb") as file:
            for frame in self._frames():
                digest.update(self._entries(file, frame))
                size, count = size + frame.plain, count + frame.count
                first, last = first or frame, frame
        if first is None or last is None:
            raise Failed("saved-range-empty", f"The saved oplog range {self.path.name} has no entries.")
        return SavedFacts(
            first=first.first,
            last=last.last,
            count=count,
            bytes=size,
            stored_bytes=last.end,
            sha256=digest.hexdigest(),
        )

    def _frames(self) -> Iterator[_Frame]:
        facts = self.facts
        offset = 0
        for frame in _frames(self.path):
            offset = frame.end
            yield frame
        if facts is not None and offset != facts.stored_bytes:
            raise _corrupt(self.path, f"{offset} of its {facts.stored_bytes} bytes are whole")

    def _entries(self, file: BinaryIO, frame: _Frame) -> bytes:
        file.seek(frame.offset)
        stored = file.read(frame.stored)
        try:
            plain = zstandard.ZstdDecompressor().decompress(stored, max_output_size=frame.plain)
        except zstandard.ZstdError:
            raise _corrupt(self.path, f"the entries from {frame.first} on cannot be unpacked") from None
        if len(plain) != frame.plain or hashlib.sha256(plain).digest() != frame.sha256:
            raise _corrupt(self.path, f"the entries from {frame.first} to {frame.last} were changed")
        return plain


class SavedRangeWriter:
    """Appends to a range that grows; what was flushed is on disk and can be read by others.

    Goes on at the end of an existing file: ``recover`` it first. Entries must come in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chain = Chain()
        if path.exists():
            frames = list(_frames(path))
            if path.stat().st_size != (frames[-1].end if frames else 0):
                raise _corrupt(path, "it ends within an entry and must be recovered before it is appended to")
            self._chain.last = frames[-1].last if frames else None
        self._file = path.open("ab")
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)

    @property
    def last(self) -> Position | None:
        """The newest entry that was appended."""
        return self._chain.last

    def append(self, batch: bytes) -> None:
        """Adds a batch of whole raw entries.

        Raises:
            Failed: The entries do not come after the last ones, or the disk is full; the file stays readable
                as it was flushed last.
        """
        positions = [self._chain.feed(raw) for raw in rawbson.split(batch)]
        if not positions:
            return
        stored = self._compressor.compress(batch)
        frame = _Frame(
            first=positions[0],
            last=positions[-1],
            count=len(positions),
            offset=0,
            stored=len(stored),
            plain=len(batch),
            sha256=hashlib.sha256(batch).digest(),
        )
        try:
            self._file.write(frame.header())
            self._file.write(stored)
        except OSError as error:
            raise _unwritten(self.path, error) from None

    def flush(self) -> None:
        """Puts everything that was appended, up to ``last``, on disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritten(self.path, error) from None

    def close(self) -> None:
        """Flushes and closes; the range may be gone on with later."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def __enter__(self) -> SavedRangeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def save_range(batches: Iterable[bytes], path: Path) -> SavedRange:
    """Saves a range whole: under a temporary name, flushed, read again and compared, then renamed.

    Args:
        batches: Whole raw entries in order, as ``StreamSource.read`` gives them.
        path: Where the file goes; its sidecar lies beside it.

    Raises:
        Failed: Nothing to save, entries out of order, a full disk, or a copy that reads back differently.
            Nothing is left at ``path`` then.
    """
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    _sidecar(path).unlink(missing_ok=True)
    written, size = hashlib.sha256(), 0
    try:
        with SavedRangeWriter(partial) as writer:
            for batch in batches:
                writer.append(batch)
                written.update(batch)
                size += len(batch)
        facts = SavedRange(partial).verify()
        if (facts.sha256, facts.bytes) != (written.hexdigest(), size):
            raise _corrupt(partial, "it reads back differently than it was written")
        partial.replace(path)
        _write_sidecar(path, facts)
    except Trouble:
        partial.unlink(missing_ok=True)
        raise
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritten(path, error) from None
    return SavedRange(path)


def finish(path: Path) -> SavedRange:
    """Closes a range that grew: verified, and its sidecar written, so that a later change is noticed."""
    facts = SavedRange(path).verify()
    _write_sidecar(path, facts)
    return SavedRange(path)


def recover(path: Path) -> Position | None:
    """Cuts a file whose writer was killed back to its last whole frame; returns the newest position in it.

    Whoever was told that a later position is on disk must compare.
    """
    if not path.exists():
        return None
    frames = list(_frames(path))
    with path.open("r+b") as file:
        # A power cut can leave bytes unwritten though the file has its length, so the last frames are read.
        while frames and not _reads(SavedRange(path), file, frames[-1]):
            frames.pop()
        end = frames[-1].end if frames else 0
        if path.stat().st_size > end:
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())
    return frames[-1].last if frames else None


def _reads(saved: SavedRange, file: BinaryIO, frame: _Frame) -> bool:
    try:
        saved._entries(file, frame)
    except Failed:
        return False
    return True


def _frames(path: Path) -> Iterator[_Frame]:
    """The whole frames, up to a tail that is not one."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        before: Position | None = None
        while size - at >= _HEAD_SIZE:
            file.seek(at)
            frame = _frame(file.read(_HEAD_SIZE), at)
            if frame is None or frame.end > size:
                return
            if before is not None and frame.first <= before:
                raise _corrupt(path, f"the entries at {frame.first} come after {before}")
            yield frame
            before, at = frame.last, frame.end


def _frame(header: bytes, at: int) -> _Frame | None:
    fields, check = header[: _HEADER.size], header[_HEADER.size :]
    # Frames are skipped by what their header says, unread, so the header has a checksum of its own.
    if check != _CHECK.pack(zlib.crc32(fields)):
        return None
    magic, length, mark, ft, fi, lt, li, count, plain, stored, digest = _HEADER.unpack(fields)
    if (magic, length, mark) != (_SKIPPABLE, _FACTS, _MAGIC) or plain > _MAX_PLAIN:
        return None
    return _Frame(Position(ft, fi), Position(lt, li), count, at + _HEAD_SIZE, stored, plain, digest)


def _within(batch: bytes, start: Position, end: Position) -> Iterator[bytes]:
    for raw in rawbson.split(batch):
        if start <= head(raw).position <= end:
            yield raw


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _write_sidecar(path: Path, facts: SavedFacts) -> None:
    partial = _sidecar(path).with_name(path.name + ".json.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(facts.model_dump(mode="json", by_alias=True), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(_sidecar(path))
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _corrupt(path: Path, why: str) -> Failed:
    return Failed(
        "saved-range-corrupt",
        f"The saved oplog range {path.name} is damaged: {why}. It cannot be replayed.",
        "Check the disk that it lies on; start the restore anew to save the range again.",
    )


def _unwritten(path: Path, error: OSError) -> Failed:
    return Failed(
        "saved-range-unwritten",
        f"The oplog range cannot be saved to {path.parent}: {error.strerror}. "
        "Nothing live was changed by this.",
        "Make room there, or set state_dir in the profile to a larger disk.",
    )
