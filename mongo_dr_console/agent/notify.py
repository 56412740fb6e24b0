"""Telling systemd how a service is: READY, RELOADING, STOPPING, and that it lives (WATCHDOG).

The protocol of sd_notify(3): a datagram to the socket that ``NOTIFY_SOCKET`` names; nothing where there is
none.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def notify(*words: str) -> None:
    """Sends lines such as ``READY=1``; never fails."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if name[:1] not in ("/", "@"):
        return
    address = "\0" + name[1:] if name[0] == "@" else name
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        # A service manager that does not read must not hold up the agent.
        out.setblocking(False)
        out.sendto("\n".join(words).encode(), address)


def reloading() -> None:
    """Systemd wants the moment with it (Type=notify-reload)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_seconds() -> float | None:
    """How often a sign of life is to be given, half of what systemd waits for; None: none is asked for."""
    try:
        usec = int(os.environ.get("WATCHDOG_USEC", "0"))
        wanted_of = int(os.environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return usec / 2e6 if usec > 0 and wanted_of == os.getpid() else None
