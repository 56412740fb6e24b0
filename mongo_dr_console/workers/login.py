"""Whether a job outlives the login that started it, and what it takes.

A session of its own is enough on most systems. Where logind kills a user's processes when his last session
ends, the job needs a scope of the user's service manager, and that manager must itself stay ("linger").
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROPERTY = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager", "KillUserProcesses",
)  # fmt: skip
_SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect")


@dataclass(frozen=True, slots=True)
class Outliving:
    """``prefix`` goes before the job's command; ``warning`` is said before the start."""

    prefix: tuple[str, ...] = ()
    warning: str = ""


def decide(*, kills: bool, lingers: bool, user_manager: bool) -> Outliving:
    """Pure: what to start the job with.

    Args:
        kills: logind ends a user's processes with his last session (``KillUserProcesses=yes``).
        lingers: The user's service manager stays after that.
        user_manager: It runs, and systemd-run can be had.
    """
    if not kills:
        return Outliving()
    if user_manager and lingers:
        return Outliving(prefix=_SCOPE)
    return Outliving(
        warning="This system ends your processes when you log out (KillUserProcesses=yes): the job will not "
        "outlive this login. Allow it once with: loginctl enable-linger"
    )


def outliving() -> Outliving:
    """What this system needs; nothing where there is no logind (containers, macOS)."""
    if os.geteuid() == 0 or not Path("/run/systemd/seats").is_dir() or shutil.which("busctl") is None:
        return Outliving()
    if _answer(_PROPERTY) != "b true":
        return Outliving()
    lingers = _answer(("loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value")) == "yes"
    bus = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) / "bus"
    return decide(
        kills=True, lingers=lingers, user_manager=bus.exists() and shutil.which("systemd-run") is not None
    )


def _answer(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
