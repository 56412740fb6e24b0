"""What tells the entries of a sink from those of the oplog, and their order, in little memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.position import MAX_ORDINAL, Position
from mongo_dr_console.stream.kafka_source import KafkaSource
from mongo_dr_console.stream.segment_archive import SegmentSource
from support import streamkit

_END = Position(MAX_ORDINAL, MAX_ORDINAL)


@dataclass
class Digest:
    """What tells entries and their order, in little memory."""

    hashes: list[tuple[Position, str]] = field(default_factory=list)
    terms: set[int] = field(default_factory=set)
    size: int = 0
    largest: int = 0

    @classmethod
    def of(cls, batches: Iterable[bytes], after: Position) -> Digest:
        made = cls()
        for batch in batches:
            for raw in rawbson.split(batch):
                found = head(raw)
                if found.position > after:
                    made.hashes.append((found.position, rawbson.entry_hash(raw)))
                    made.terms.add(found.term)
                    made.size += len(raw)
                    made.largest = max(made.largest, len(raw))
        return made


def in_kafka(config: KafkaConfig, after: Position) -> Digest:
    return Digest.of(KafkaSource(config).read(Position(0, 0), _END), after)


def in_segments(folder: Path, after: Position) -> Digest:
    archive, (run,) = streamkit.segment_runs(folder)
    source = SegmentSource(archive, run)
    (window,) = source.windows()
    return Digest.of(source.read(window.start, window.end), after)


def differing(found: Digest, wanted: Digest) -> list[str]:
    """Told apart before they are compared: a difference of megabytes is no message."""
    end = found.hashes[-1][0]
    there = [pair for pair in wanted.hashes if pair[0] <= end]
    pairs = zip(found.hashes, there, strict=False)
    first = next((f"{a} instead of {b}" for a, b in pairs if a != b), "")
    counts = "" if len(found.hashes) == len(there) else f"{len(found.hashes)} instead of {len(there)}"
    return [text for text in (first, counts) if text]
