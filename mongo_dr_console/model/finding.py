"""What ``mdr doctor`` finds, each with the fix. The checks are pure; ``workers.examine`` asks."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.level import Level, worst
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.words import duration

PROVEN_VERSIONS = ("6.0",)
"""Servers on which every rule that restore and replay build on was tried out."""
OLDEST_VERSION = (4, 4)

_CLOCK_WARNING, _CLOCK_CRITICAL = 2.0, 30.0
_WINDOW_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        subject: What was looked at.
        fix: What to do; empty where all is well.
    """

    level: Level
    code: str
    subject: str
    text: str
    fix: str = ""


class DoctorDocument(BaseModel):
    """``mdr doctor --json``.

    Args:
        level: The worst of all: the exit code is 0, 1, 3 and 2 in this order.
        findings: In the order in which they were looked at.
        fixed: What ``--fix`` did.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_name: Literal["mdr.doctor"] = Field(default="mdr.doctor", alias="schema")
    profile: str
    level: Level
    findings: tuple[Finding, ...]
    fixed: tuple[str, ...] = ()


def overall(findings: Iterable[Finding]) -> Level:
    return worst(f.level for f in findings)


def fine(code: str, subject: str, text: str) -> Finding:
    return Finding(Level.FINE, code, subject, text)


def file_mode(subject: str, path: str, mode: int) -> Finding:
    """A file that holds a secret, or names where one is, is its owner's alone."""
    bits = stat.S_IMODE(mode)
    if bits & 0o077:
        return Finding(
            Level.WARNING,
            "file-mode",
            subject,
            f"{path} has mode {bits:04o}: others on this host can read it.",
            f"chmod 600 {path}",
        )
    return fine("file-mode", subject, f"{path} is its owner's alone ({bits:04o}).")


def server_version(version: str) -> Finding:
    """Whether the rules were tried out on this server."""
    series = ".".join(version.split(".")[:2])
    if series in PROVEN_VERSIONS:
        return fine("server-version", "server", f"mongod {version}: proven.")
    try:
        number = tuple(int(part) for part in series.split("."))
    except ValueError:
        number = OLDEST_VERSION
    if number < OLDEST_VERSION:
        return Finding(
            Level.CRITICAL,
            "server-version",
            "server",
            f"mongod {version} is too old: its oplog cannot be replayed by this version.",
            "Use the tools of that server's time, or upgrade it.",
        )
    return Finding(
        Level.WARNING,
        "server-version",
        "server",
        f"mongod {version} is unproven: the rules of replay and cut-over were tried out on 6.0.",
        "Rehearse a restore into another deployment before relying on it.",
    )


def clock_difference(seconds: float) -> Finding:
    """Server's clock less ours, in seconds."""
    level = Level.FINE
    if abs(seconds) > _CLOCK_WARNING:
        level = Level.CRITICAL if abs(seconds) > _CLOCK_CRITICAL else Level.WARNING
    ahead = "ahead of" if seconds > 0 else "behind"
    if level is Level.FINE:
        text = f"This host's clock and the server's agree within {_CLOCK_WARNING:.0f}s."
        return fine("clock", "clock", text)
    return Finding(
        level,
        "clock",
        "clock",
        f"The server's clock is {duration(abs(seconds))} {ahead} this host's: "
        "ages and times like -10m are off.",
        "Put both under NTP.",
    )


def oplog_window(facts: OplogFacts, backup_seconds: float | None) -> Finding:
    """The oplog must reach over a backup with room to spare: a backup copies at its end what was written."""
    reach = facts.window_when_full_seconds
    window = max(facts.window_seconds, reach or 0.0)
    text = f"The oplog reaches back {duration(facts.window_seconds)} (when full {duration(reach)})"
    if backup_seconds is None:
        return fine("oplog-window", "oplog", f"{text}; no backup was measured yet.")
    text += f"; the last backup took {duration(backup_seconds)}."
    grow = "Make it larger: db.adminCommand({replSetResizeOplog: 1, size: <MB>}) on each member."
    if window < backup_seconds:
        return Finding(Level.CRITICAL, "oplog-window", "oplog", text, grow)
    if window < _WINDOW_FACTOR * backup_seconds:
        return Finding(Level.WARNING, "oplog-window", "oplog", text, grow)
    return fine("oplog-window", "oplog", text)
