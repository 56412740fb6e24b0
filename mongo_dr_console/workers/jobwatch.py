"""A job watched over time: each look reads what its journal got since the last one, and no more."""

from __future__ import annotations

from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.journal import Line, Replay
from mongo_dr_console.workers.jobs import JobFolder, Tail, as_it_is, is_alive, read_plan


class JobWatch:
    """One watcher of one job; of any number, and the job does not notice.

    Not for two threads at a time: whoever looks waits for the answer before looking again.
    """

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self._tail = Tail(folder.journal)
        self._replay: Replay | None = None

    def read(self) -> tuple[JobView, list[Line]]:
        """The job as it is now, and the journal's lines that came since the last time; the first time all.

        Raises:
            Failed: Its plan cannot be read.
        """
        if self._replay is None:
            self._replay = Replay(read_plan(self.folder))
        # Asked before the journal is read: a process that ends in between has written its last line by then.
        alive = is_alive(self.folder)
        lines = self._tail.read()
        for line in lines:
            self._replay.feed(line)
        return as_it_is(self.folder, self._replay.view(), alive=alive), lines
