"""Who writes: a process, told from any other, so that what a dead one left can be removed at once."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mongo_dr_console.host import this_boot

LEASE = timedelta(hours=1)
"""After so long without a sign of life, a writer of which nothing can be known is taken for dead."""

_living: set[str] = set()


def sign() -> dict[str, Any]:
    """The mark of a piece of work of this process; ``forget`` it at its end."""
    token = secrets.token_hex(8)
    _living.add(token)
    pid = os.getpid()
    return {
        "token": token,
        "host": socket.gethostname(),
        "system": _system(),
        "pid": pid,
        "started": _started(pid),
    }


def forget(mark: Mapping[str, Any]) -> None:
    """That work is over."""
    _living.discard(str(mark.get("token")))


def is_dead(mark: Mapping[str, Any], seen: datetime, now: datetime) -> bool:
    """Whether the work behind a mark cannot go on any more.

    Args:
        seen: When its last sign of life came.
    """
    system, pid = mark.get("system"), mark.get("pid")
    if system and system == _system() and isinstance(pid, int):
        if pid == os.getpid() and mark.get("started") == _started(pid):
            return mark.get("token") not in _living
        return _started(pid) is None or _started(pid) != mark.get("started")
    return now - seen > LEASE


def _system() -> str | None:
    """This boot of this host and this space of process ids; None where that cannot be told."""
    boot = this_boot()
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return None
    return f"{boot} {space}" if boot else None


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else fields[18]
