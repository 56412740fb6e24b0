"""Positions in the oplog, and the limit at which replay stops."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bson.timestamp import Timestamp
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

MAX_ORDINAL = 0xFFFFFFFF

_COLON = re.compile(r"(\d{1,10}):(\d{1,10})")
_TIMESTAMP = re.compile(r"Timestamp\(\s*(\d{1,10})\s*,\s*(\d{1,10})\s*\)")


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """Seconds since 1970 and ordinal of an oplog entry; written ``t:i`` everywhere.

    >>> Position.parse("1763777491:3") < Position.parse("Timestamp(1763777491, 4)")
    True
    >>> str(Position(1763777491, 3))
    '1763777491:3'
    """

    t: int
    i: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Reads ``t:i`` or ``Timestamp(t, i)``; raises ValueError for anything else."""
        match = _COLON.fullmatch(text.strip()) or _TIMESTAMP.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not a position: {text!r} (wanted seconds:ordinal)")
        t, i = int(match[1]), int(match[2])
        if t > MAX_ORDINAL or i > MAX_ORDINAL:
            raise ValueError(f"not a position: {text!r} (each part has 32 bits)")
        return cls(t, i)

    @classmethod
    def of(cls, timestamp: Timestamp) -> Position:
        return cls(timestamp.time, timestamp.inc)

    @property
    def timestamp(self) -> Timestamp:
        return Timestamp(self.t, self.i)

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.t, UTC)

    def __str__(self) -> str:
        return f"{self.t}:{self.i}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> Position:
            if isinstance(value, Position):
                return value
            if isinstance(value, str):
                return cls.parse(value)
            raise ValueError("a position is written as 't:i'")

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema()
            ),
            json_schema_input_schema=core_schema.str_schema(),
        )


class Bound(StrEnum):
    """Whether the entry at the limit is left out (before) or applied (through)."""

    BEFORE = "before"
    THROUGH = "through"


@dataclass(frozen=True, slots=True)
class Limit:
    """Where replay stops. ``before`` is what mongorestore's ``--oplogLimit`` means.

    >>> limit = Limit(Position(5, 2), Bound.BEFORE)
    >>> limit.admits(Position(5, 1)), limit.admits(Position(5, 2))
    (True, False)
    """

    position: Position
    bound: Bound

    def admits(self, position: Position) -> bool:
        if self.bound is Bound.BEFORE:
            return position < self.position
        return position <= self.position

    def __str__(self) -> str:
        return f"{self.bound} {self.position}"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of positions, both ends included."""

    start: Position
    end: Position

    def contains(self, position: Position) -> bool:
        return self.start <= position <= self.end
