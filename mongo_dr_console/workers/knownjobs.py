"""All jobs under a folder, read again and again: of each journal only what is new."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mongo_dr_console.model.jobview import JobView, settled
from mongo_dr_console.model.journal import Replay, decode
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers.jobs import PLAN, STOP, JobFolder, is_alive, load, read_plan


@dataclass(slots=True)
class _Known:
    """A job as far as its journal was read.

    Args:
        stamp: The journal's size and time of change then.
        dead: What it ended as without a last word, with the stamp of the journal that says so.
    """

    replay: Replay
    view: JobView
    offset: int = 0
    stamp: tuple[int, int] = (0, 0)
    dead: tuple[tuple[int, int], JobView] | None = None


class KnownJobs:
    """Says the same as ``jobs.list_jobs``, without reading an ended job's journal a second time.

    Args:
        root: Where the jobs are.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Known] = {}

    def views(self) -> list[JobView]:
        """All jobs, newest first; folders that are no jobs are left out."""
        names = [path.name for path in self._root.iterdir()] if self._root.is_dir() else []
        for gone in self._known.keys() - set(names):
            del self._known[gone]
        found = []
        for name in names:
            with suppress(Failed, OSError):
                found.append(self._view(JobFolder(self._root / name)))
        return sorted(found, key=lambda view: view.created_at, reverse=True)

    def _view(self, folder: JobFolder) -> JobView:
        known = self._known.get(folder.id)
        if known is None:
            if not (folder.path / PLAN).exists():
                raise FileNotFoundError(folder.path)
            known = self._begin(folder)
        # Asked before the journal is read, as in ``jobs.load``.
        alive = known.view.state == "running" and is_alive(folder)
        self._read_on(folder, known)
        if known.view.state != "running":
            return known.view
        if not alive and known.view.attempt:
            return self._dead(folder, known)
        view = settled(known.view, alive=alive, now=datetime.now(UTC))
        asked = view.state == "running" and (folder.path / STOP).exists()
        return replace(view, stop_requested=view.stop_requested or asked)

    def _dead(self, folder: JobFolder, known: _Known) -> JobView:
        if known.dead is None or known.dead[0] != known.stamp:
            # Its last line may be whole but for its newline, which only a reader of everything takes.
            known.dead = known.stamp, load(folder)
        return known.dead[1]

    def _begin(self, folder: JobFolder) -> _Known:
        replay = Replay(read_plan(folder))
        self._known[folder.id] = known = _Known(replay, replay.view())
        return known

    def _read_on(self, folder: JobFolder, known: _Known) -> None:
        try:
            facts = folder.journal.stat()
        except FileNotFoundError:
            return
        stamp = (facts.st_size, facts.st_mtime_ns)
        if stamp == known.stamp:
            return
        with folder.journal.open("rb") as file:
            file.seek(known.offset)
            text = file.read()
        whole, newline, _ = text.rpartition(b"\n")
        for part in whole.split(b"\n"):
            line = decode(part) if part else None
            if line is not None:
                known.replay.feed(line)
        known.offset += len(whole) + len(newline)
        known.stamp = stamp
        known.view = known.replay.view()
