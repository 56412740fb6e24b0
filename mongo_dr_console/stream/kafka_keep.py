"""The Kafka topic as a place that keeps the stream's oplog."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import KeptTopic
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stream.kafka_broker import SECONDS, Broker
from mongo_dr_console.stream.kafka_history import links_from
from mongo_dr_console.stream.kafka_log import KafkaLog
from mongo_dr_console.stream.kafka_sink import NAME
from mongo_dr_console.stream.kafka_source import KafkaRun, KafkaSource, run_of, stretch_of
from mongo_dr_console.stream.keep import Left

_RETENTION = "retention.ms"


class KafkaKeep:
    """The topic's runs as ``stream.keep.Keep``. Single entries that were read are kept: a committed record
    never changes.

    Args:
        config: Of the profile.
        seconds: How long one request may take.
        within: How long a look may take in all, in seconds: ``left`` and every ``link_in`` until the next
            one. A watcher must not wait for a broker that hangs; a restore may.
    """

    def __init__(self, config: KafkaConfig, *, seconds: float = SECONDS, within: float | None = None) -> None:
        self.name = NAME
        self.condemned = 0
        self._config, self._within = config, within
        self._source = KafkaSource(config, seconds=seconds)
        self._runs: dict[Link, KafkaRun] = {}
        self._links: dict[tuple[int, Position], Link | None] = {}
        self._retention: float | None = None

    def left(self) -> Left:
        """Its runs. A history that was left (a forced reconfiguration) is known by the entry at which the
        next run begins.

        Raises:
            Unreachable, Refused, Failed: As Kafka says; ``kafka-topic-missing`` while nothing was streamed.
        """
        self._source.until = None if self._within is None else time.monotonic() + self._within
        with self._source.connect() as broker:
            log = KafkaLog(broker)
            runs = [run_of(log.topic, stretch) for stretch in log.stretches()]
            self._source.foreign = log.foreign
            found = [self._with_forks(log, run, runs) for run in reversed(runs)]
            self._retention = _retention(broker)
        self._runs = {run.links[-1]: run for run in found}
        return Left(tuple(Stretch(self.name, run.links, run.identity, kept=self._retention) for run in found))

    def look(self) -> KeptTopic:
        """What is there, for people. Raises as ``left``."""
        stretches = self.left().stretches
        return KeptTopic(
            topic=self._config.topic,
            bootstrap=", ".join(self._config.bootstrap),
            oldest=min((s.start for s in stretches), default=None),
            newest=max((s.end for s in stretches), default=None),
            retention_seconds=self._retention,
            foreign=self._source.foreign,
        )

    def _with_forks(self, log: KafkaLog, run: KafkaRun, runs: list[KafkaRun]) -> KafkaRun:
        first, last = run.links[0], run.links[-1]
        links = {link.position: link for link in run.links}
        for other in runs:
            fork = other.links[0].position
            if other is not run and first.position < fork < last.position and fork not in links:
                found = self._asked(log, run, fork)
                if found is not None:
                    links[fork] = found
        return replace(run, links=tuple(links[p] for p in sorted(links)))

    def _asked(self, log: KafkaLog, run: KafkaRun, position: Position) -> Link | None:
        key = run.offset, position
        if key not in self._links:
            links = links_from(log, stretch_of(log, run), position)
            reached = next((link for link in links if link.position >= position), None)
            self._links[key] = reached if reached is not None and reached.position == position else None
        return self._links[key]

    def link_in(self, stretch: Stretch, position: Position) -> Link | None:
        """As ``stream.keep.Keep``."""
        run = self._runs.get(stretch.last)
        for link in () if run is None else run.links:
            if link.position == position:
                return link
        if run is None:
            return None
        if (run.offset, position) in self._links:
            return self._links[run.offset, position]
        with self._source.connect() as broker:
            return self._asked(KafkaLog(broker), run, position)

    def read_in(self, stretch: Stretch, start: Position, end: Position) -> Iterator[bytes]:
        """As ``stream.keep.Keep``; however long that takes."""
        self._source.until = None
        run = self._runs.get(stretch.last)
        return iter(()) if run is None else self._source.read_run(run, start, end)


def _retention(broker: Broker) -> float | None:
    """In seconds; None where it is not limited, or not known: whoever may only read cannot ask."""
    try:
        text = broker.settings((_RETENTION,)).get(_RETENTION, "")
    except Refused:
        return None
    milliseconds = int(text) if text.lstrip("-").isdigit() else -1
    return None if milliseconds < 0 else milliseconds / 1000
