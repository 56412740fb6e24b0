"""From a profile to the sinks of its stream, and to what the stream left in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mongo_dr_console.config import Profile
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.patience import STREAMING
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stream.keep import Keep
from mongo_dr_console.stream.segment_archive import SegmentArchive
from mongo_dr_console.stream.segment_sink import SegmentSink
from mongo_dr_console.stream.sink import Alone, Leave, StreamSink

SinkMaker = Callable[[Identity], StreamSink]


def sink_makers(profile: Profile, leave: Leave | None = None) -> dict[str, SinkMaker]:
    """By the sinks' names; each makes a sink that is not open yet.

    Args:
        leave: Asked before each write; None: nobody else writes.
    """
    leave = leave or Alone()
    found: dict[str, SinkMaker] = {}
    segments = profile.oplog.segments
    for name in () if segments is None else segments.stores:
        found[f"segments:{name}"] = _segments(profile, name, leave)
    kafka = profile.oplog.kafka
    if kafka is not None:
        from mongo_dr_console.stream.kafka_sink import NAME, KafkaSink

        found[NAME] = lambda identity: KafkaSink(kafka, identity, leave=leave)
    return found


def _segments(profile: Profile, name: str, leave: Leave) -> SinkMaker:
    store, config = open_store(name, profile.stores[name], STREAMING), profile.oplog.segments
    assert config is not None
    seconds, size = config.seconds, config.bytes
    return lambda identity: SegmentSink(store, identity, seconds=seconds, max_bytes=size, leave=leave)


def keeps_of(profile: Profile, stores: Iterable[Store], *, within: float | None = None) -> dict[str, Keep]:
    """What keeps the stream's oplog, by name, in the order in which it is preferred.

    Args:
        stores: Of the profile, those that can be used.
        within: How many seconds a look into the topic may take, see ``KafkaKeep``.
    """
    found: dict[str, Keep] = {}
    for store in stores:
        archive = SegmentArchive(store)
        found[archive.name] = archive
    if profile.oplog.kafka is not None:
        from mongo_dr_console.stream.kafka_keep import KafkaKeep
        from mongo_dr_console.stream.kafka_sink import NAME

        found[NAME] = KafkaKeep(profile.oplog.kafka, within=within)
    return found
