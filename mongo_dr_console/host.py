"""Who works here: a user on a host, and which run of the host that is."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path


def this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def this_owner() -> str:
    """``user@host``, as in the lock and in a job's plan."""
    return f"{this_user()}@{socket.gethostname()}"


def this_boot() -> str:
    """An id of this run of the host; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
