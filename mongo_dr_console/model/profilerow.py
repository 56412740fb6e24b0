"""One profile among several, in a row: its verdict, RPO now, RTO now, margin, and how old that is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.level import Level
from mongo_dr_console.model.readings import Limits, Readings, live_coverage, rto_now
from mongo_dr_console.model.verdict import verdict
from mongo_dr_console.model.words import UNKNOWN, duration

HEADER = ("PROFILE", "ENVIRONMENT", "VERDICT", "RPO NOW", "RTO NOW", "MARGIN", "AGE")


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """What the list of profiles says of one.

    Args:
        cells: As in ``HEADER``.
        text: What has to be heard first.
        consequence: What can be got back now.
    """

    name: str
    level: Level
    cells: tuple[str, ...]
    text: str
    consequence: str


def profile_row(readings: Readings, limits: Limits, now: datetime) -> ProfileRow:
    """A profile as its own pollers know it. Its age is that of what RPO and margin follow from."""
    found = verdict(readings, limits, now)
    coverage = live_coverage(readings, now)
    rto = rto_now(readings)
    age = None if readings.coverage is None else readings.coverage.age(now)
    cells = (
        readings.profile,
        readings.environment,
        found.level.word,
        duration(None if coverage is None else coverage.rpo_seconds),
        UNKNOWN if rto is None else f"~{duration(rto.seconds)}",
        duration(None if coverage is None else coverage.margin_seconds),
        UNKNOWN if age is None else _age(age.total_seconds()),
    )
    return ProfileRow(readings.profile, found.level, cells, found.text, found.consequence)


def broken_row(name: str, environment: str, why: str) -> ProfileRow:
    """A profile that cannot be watched at all."""
    cells = (name, environment, Level.UNKNOWN.word, *[UNKNOWN] * 4)
    return ProfileRow(name, Level.UNKNOWN, cells, why, "")


def _age(seconds: float) -> str:
    # Seconds of what is of now would tick for nothing.
    return "<5s" if seconds < 5 else duration(round(seconds))
