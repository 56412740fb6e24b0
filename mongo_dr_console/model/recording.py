"""Readings as lines of a recording. Pure.

A line is one JSON object: ``at``, ``profile``, ``environment``, ``source``, ``reading``. A reading whose
value is that of its source's line before is written without it, and the line says ``"same": true``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mongo_dr_console.model.moment import has_odd_time, moment_of
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import (
    ALERTS,
    COVERAGE,
    EVENTS,
    FAILOVER,
    JOBS,
    KAFKA,
    LOCK,
    OPLOG,
    SET,
    STREAM,
)

_STORE = "store:"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One reading, and when it came."""

    at: datetime
    profile: str
    environment: str
    reading: Reading[Any]

    @property
    def source(self) -> str:
        return self.reading.source


class Encoder:
    """Writes lines one after another, each value once for as long as it stays the same."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}

    def line(self, recorded: Recorded) -> bytes:
        """The line with its newline. Raises ValueError for a source that is not known."""
        reading, source = recorded.reading, recorded.source
        same = source in self._values and self._values[source] == reading.value
        self._values[source] = reading.value
        shown: Reading[Any] = replace(reading, value=None) if same else reading
        document = {
            "at": recorded.at.isoformat(),
            "profile": recorded.profile,
            "environment": recorded.environment,
            "source": source,
            **({"same": True} if same else {}),
            "reading": _adapter(_kind(source)).dump_python(shown, mode="json"),
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def decode(lines: Iterable[bytes], lost: Callable[[], None] = lambda: None) -> Iterator[Recorded]:
    """What was recorded, in order. A line that cannot be read (torn off, or of a newer version) is left out,
    and so are those that are the same as a line that is not there.

    Args:
        lost: Called for each line that is left out.
    """
    values: dict[str, object] = {}
    for line in lines:
        try:
            document = json.loads(line)
            source, same = str(document["source"]), document.get("same") is True
            if same and source not in values:
                lost()
                continue
            reading = _adapter(_kind(source)).validate_python(document["reading"])
            at = moment_of(document["at"])
            profile, environment = str(document["profile"]), str(document["environment"])
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
            lost()
            continue
        if has_odd_time(line) or reading.source != source:
            lost()
            continue
        if same:
            reading = replace(reading, value=values[source])
        values[source] = reading.value
        yield Recorded(at, profile, environment, reading)


def newest_part(content: bytes, size: int) -> bytes:
    """The last ``size`` bytes of a recording, in whole lines, with what they need of those before: the last
    line of each source that says its value."""
    if len(content) <= size:
        return content
    begin = content.find(b"\n", len(content) - size - 1) + 1
    return b"".join(_last_values(content[:begin].splitlines(keepends=True))) + content[begin:]


def part_since(content: bytes, since: datetime) -> bytes:
    """The lines from a moment on, with what they need of those before. Empty where there are none."""
    lines = content.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if (at := _at(line)) is not None and at >= since), None)
    if first is None:
        return b""
    return b"".join((*_last_values(lines[:first]), *lines[first:]))


def _last_values(lines: Iterable[bytes]) -> Iterable[bytes]:
    """The last line of each source that says its value."""
    last: dict[bytes, bytes] = {}
    for line in lines:
        source, same = _head(line)
        if source and not same:
            last[source] = line
    return last.values()


def _at(line: bytes) -> datetime | None:
    """When a line was written, without reading the whole of it."""
    front, _, _ = line.partition(b'","profile":')
    try:
        at = datetime.fromisoformat(front.removeprefix(b'{"at":"').decode("ascii"))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _head(line: bytes) -> tuple[bytes, bool]:
    """Source and whether it is the same, without reading the whole line."""
    front = line.partition(b',"reading":')[0]
    _, found, rest = front.partition(b'"source":')
    name, _, more = rest.partition(b",")
    return (name if found else b""), b'"same":true' in more


def _kind(source: str) -> str:
    return _STORE if source.startswith(_STORE) else source


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    # Of the facts some are only read and written here: loading them would hold up the first frame.
    from mongo_dr_console.model.alertfacts import AlertFacts
    from mongo_dr_console.model.backupfacts import StoreFacts
    from mongo_dr_console.model.coverage import Coverage
    from mongo_dr_console.model.eventfacts import EventFacts
    from mongo_dr_console.model.failoverdoc import FailoverFacts
    from mongo_dr_console.model.jobfacts import JobFacts
    from mongo_dr_console.model.lock import LockInfo
    from mongo_dr_console.model.oplogfacts import OplogFacts
    from mongo_dr_console.model.setstatus import SetStatus
    from mongo_dr_console.model.streamfacts import KeptTopic, StreamFacts

    readings: dict[str, Any] = {
        SET: Reading[SetStatus],
        OPLOG: Reading[OplogFacts],
        _STORE: Reading[StoreFacts],
        COVERAGE: Reading[Coverage],
        EVENTS: Reading[EventFacts],
        JOBS: Reading[tuple[JobFacts, ...]],
        LOCK: Reading[LockInfo | None],
        STREAM: Reading[StreamFacts | None],
        KAFKA: Reading[KeptTopic],
        ALERTS: Reading[AlertFacts | None],
        FAILOVER: Reading[FailoverFacts | None],
    }
    if kind not in readings:
        raise ValueError(f"not a source: {kind!r}")
    return TypeAdapter(readings[kind])
