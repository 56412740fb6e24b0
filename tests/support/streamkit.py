"""A stream into segments for tests: pumps on a real set, and what they must have written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mongo_dr_console.config import load_config
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import Run, runs
from mongo_dr_console.mongo.oplog import majority_position, raw_batches
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stream.pump import Pump, Way
from mongo_dr_console.stream.segment_archive import SegmentArchive, SegmentSource
from mongo_dr_console.stream.segment_sink import SegmentSink
from mongo_dr_console.stream.sink import StreamSink
from mongo_dr_console.stream.watch import SetWatch
from support.agentkit import add_segments
from support.prepared import PreparedProfile

SinkOf = Callable[[Identity], StreamSink]


class Stream:
    """Pumps of one deployment; ``wait_for`` returns when a position is safe."""

    def __init__(self, uri: str, sinks: dict[str, SinkOf], bases: Sequence[Link] = ()) -> None:
        self.watch = SetWatch(uri)
        self._changed = threading.Condition()
        self._safe: dict[str, Position] = {}
        self.pumps = {
            name: Pump(name, Way(uri, "test", self.watch, sink, lambda: bases, self._moved))
            for name, sink in sinks.items()
        }

    def _moved(self, name: str, position: Position) -> None:
        with self._changed:
            self._safe[name] = position
            self._changed.notify_all()

    def wait_for(self, name: str, position: Position, seconds: float = 180) -> None:
        with self._changed:
            reached = self._changed.wait_for(
                lambda: self._safe.get(name, Position(0, 0)) >= position, seconds
            )
        assert reached, f"{name} is not at {position}: {self.pumps[name].facts}"

    def wait_until(self, reached: Callable[[], bool], seconds: float = 180) -> None:
        """Looks again each time something moved, and twice a second."""
        for _ in range(int(seconds * 2)):
            if reached():
                return
            with self._changed:
                self._changed.wait(0.5)
        raise AssertionError([p.facts for p in self.pumps.values()])


@contextmanager
def streaming(uri: str, sinks: dict[str, SinkOf], bases: Sequence[Link] = ()) -> Iterator[Stream]:
    stream = Stream(uri, sinks, bases)
    stream.watch.start()
    for pump in stream.pumps.values():
        pump.start()
    try:
        yield stream
    finally:
        stream.watch.stop()
        for pump in stream.pumps.values():
            pump.stop()
        for pump in stream.pumps.values():
            assert pump.join(120), pump.name


def into(folder: Path, name: str = "local", *, seconds: float = 1, max_bytes: int = 2**20) -> SinkOf:
    """Segments in a folder."""
    return lambda identity: SegmentSink(
        LocalStore(name, folder), identity, seconds=seconds, max_bytes=max_bytes
    )


def segment_runs(folder: Path) -> tuple[SegmentArchive, list[Run]]:
    archive = SegmentArchive(LocalStore("local", folder))
    found = archive.read()
    assert found.damaged == []
    return archive, runs(found.segments)


def entries_of(archive: SegmentArchive, run: Run) -> list[bytes]:
    source = SegmentSource(archive, run)
    (window,) = source.windows()
    return [raw for batch in source.read(window.start, window.end) for raw in rawbson.split(batch)]


def oplog_between(client: Any, after: Position, end: Position) -> list[bytes]:
    """The majority-committed oplog as the server has it."""
    found = [raw for batch in raw_batches(client, after, end) for raw in rawbson.split(batch)]
    return [raw for raw in found if head(raw).position > after]


def committed(client: Any) -> Position:
    return majority_position(client)[0]


def with_filler_ignored(prepared: PreparedProfile) -> PreparedProfile:
    """The same with segments; what ``roll_over`` drops is no part of the story."""
    text = prepared.config_file.read_text()
    ignored = text.replace("[profiles.test]", "[profiles.test]\nignore_events = ['filler.*']", 1)
    prepared.config_file.write_text(ignored)
    add_segments(prepared)
    return replace(prepared, profile=load_config(prepared.config_file).profiles["test"])


def roll_over(client: Any, position: Position) -> None:
    """Writes until the live oplog begins after a position."""
    while client.local["oplog.rs"].find_one({}, sort=[("$natural", 1)])["ts"] <= position.timestamp:
        client.filler.c.insert_many([{"text": "x" * 2**20} for _ in range(5)])
        client.admin.command("fsync")
        client.filler.c.drop()
