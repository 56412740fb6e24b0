"""Recordings that are there: where a profile's are kept, which is the last one, and what is in one.

``<state>/recordings/<profile>/<kind>-<start>-<pid>/<number>.jsonl``: a folder for each run of a console or an
agent, and in it files that can each be read by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mongo_dr_console.config import Profile
from mongo_dr_console.model.recording import Recorded, decode
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.folders import jobs_folder

Kind = Literal["console", "agent"]
LAST: dict[str, Kind] = {"last": "console", "agent": "agent"}
"""What may be said instead of a file: the newest one of a console, or of the agent."""

PATTERN = "*.jsonl"


@dataclass(frozen=True, slots=True)
class Recording:
    """What is in a recording, in order.

    Args:
        readings: One at least.
        lost: How many lines could not be read: damaged, or of a newer version.
    """

    readings: tuple[Recorded, ...]
    lost: int = 0


def recordings_folder(profile: Profile) -> Path:
    """Where those of all profiles with the same state folder are."""
    return jobs_folder(profile).parent / "recordings"


def runs_of(folder: Path, kind: Kind) -> list[Path]:
    """The folders of a profile's runs, the oldest first; none where nothing was recorded."""
    found = [p for p in folder.glob(f"{kind}-*") if any(p.glob(PATTERN))]
    return sorted(found, key=lambda p: p.name)


def last_of(roots: Iterable[Path], kind: Kind) -> Path:
    """The newest recording in the folders of some profiles.

    Raises:
        WrongUse: There is none.
    """
    runs = [run for root in roots for run in runs_of(root, kind)]
    if not runs:
        raise WrongUse(
            "recording-none",
            f"There is no recording of {'the agent' if kind == 'agent' else 'a console'} on this host yet.",
            "A console records what it sees unless it was started with --no-record.",
        )
    return max(runs, key=lambda run: run.name)


def read_recording(path: Path) -> Recording:
    """All readings of a file, or of all files of a folder; lines that cannot be read are left out.

    Raises:
        WrongUse: It cannot be read, or is no recording.
    """
    path = path.expanduser()
    found: list[Recorded] = []
    lost: list[int] = []
    try:
        files = sorted(path.glob(PATTERN)) if path.is_dir() else [path]
        for file in files:
            content = file.read_bytes()
            # What is being written at this moment is no damage.
            whole = content[: content.rfind(b"\n") + 1]
            found += decode(whole.splitlines(keepends=True), lambda: lost.append(1))
    except OSError as error:
        raise WrongUse(
            "recording-unreadable", f"The recording {path} cannot be read: {error.strerror}."
        ) from None
    if not found:
        raise no_recording(path)
    return Recording(tuple(sorted(found, key=lambda recorded: recorded.at)), len(lost))


def no_recording(path: Path) -> WrongUse:
    return WrongUse(
        "recording-wrong",
        f"{path} is not a recording of this console.",
        "A recording is made with: mdr console --record FILE",
    )
