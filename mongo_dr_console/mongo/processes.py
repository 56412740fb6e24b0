"""Processes that work below a folder of ours, told from others by what they were started with.

A process id alone says nothing: after a reboot, or a day, it may be anybody's. So a process is ours only
where its own command line says that it was started by us and for that folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_OUR_MODULES = (
    "mongo_dr_console.sandbox.keeper",
    "mongo_dr_console.sandbox.workload",
    "mongo_dr_console.workers.job",
    "kafka.Kafka",
    "mongo_dr_console.agent",
)
_DIE_WITH_PARENT = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,9)\n"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1)\n"
    "os.execv(sys.argv[2],sys.argv[2:])\n"
)


@dataclass(frozen=True, slots=True)
class OurProcess:
    """A process and the words it was started with."""

    pid: int
    words: tuple[str, ...]

    @property
    def is_mongod(self) -> bool:
        return "--dbpath" in self.words

    def runs(self, module: str) -> bool:
        return module in self.words


def below(folder: Path) -> list[OurProcess]:
    """The mongods, brokers, MinIOs, keepers, workloads and jobs that were started for a folder, by
    whomever."""
    return [p for p in _all_processes() if belongs(p.words, folder)]


def belongs(words: Sequence[str], folder: Path) -> bool:
    """Whether a command line is that of a process of ours for this folder.

    An editor that has a file of the folder open is not: only what we start ourselves is.
    """
    if words[1:2] == ["server"] and Path(words[0]).name.startswith("minio"):
        return _is_below(words[-1], folder)
    if "--dbpath" in words[:-1]:
        return _is_below(words[words.index("--dbpath") + 1], folder)
    for module in _OUR_MODULES:
        if module in words[:-1]:
            return _is_below(words[words.index(module) + 1], folder)
    return False


def _is_below(path: str, folder: Path) -> bool:
    return Path(path) == folder or folder in Path(path).parents


def still_ours(process: OurProcess) -> bool:
    """Whether that process id still stands for the same command line."""
    return _words(process.pid) == process.words


def end(found: Callable[[], list[OurProcess]], *, seconds: float = 10) -> list[OurProcess]:
    """Kills what a look-up finds until it finds nothing; gives back what would not die."""
    deadline = time.monotonic() + seconds
    while remaining := found():
        if time.monotonic() > deadline:
            return remaining
        for process in remaining:
            kill(process)
        time.sleep(0.02)
    return []


def kill(process: OurProcess, number: int = signal.SIGKILL) -> bool:
    """Sends a signal, after another look that it is still the process that was found."""
    if not still_ours(process):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, number)
        return True
    return False


def die_with_parent(command: Sequence[str]) -> list[str]:
    """The command, started so that the kernel ends it when its parent is gone (Linux; elsewhere unchanged).

    The thread that starts it must live as long as the process does: Linux counts that thread as the parent.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]


def _all_processes() -> list[OurProcess]:
    if not _PROC.joinpath("self", "cmdline").exists():
        return _from_ps()
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [OurProcess(pid, words) for pid in pids if (words := _words(pid))]


def _words(pid: int) -> tuple[str, ...]:
    """A zombie and a process that is gone have none."""
    if not _PROC.joinpath("self", "cmdline").exists():
        return next((p.words for p in _from_ps(pid)), ())
    try:
        raw = _PROC.joinpath(str(pid), "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(raw).split("\0")[:-1])


def _from_ps(pid: int | None = None) -> list[OurProcess]:
    # ps joins the words by blanks, so a folder with a blank in its name is not recognised there.
    which = ["-p", str(pid)] if pid is not None else ["-ax"]
    ps = subprocess.run(
        ["ps", *which, "-o", "pid=,command="], capture_output=True, text=True, check=False, timeout=10
    )
    rows = (line.split(None, 1) for line in ps.stdout.splitlines())
    return [OurProcess(int(row[0]), tuple(row[1].split())) for row in rows if len(row) == 2]
