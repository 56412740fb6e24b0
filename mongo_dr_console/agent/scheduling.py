"""The duty of the schedule: jobs are started when they are due, each run once, whoever leads meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from mongo_dr_console.agent.against import Against
from mongo_dr_console.agent.duty import Post
from mongo_dr_console.agent.wanted import NothingToDo, request_for
from mongo_dr_console.model.lease import Patience
from mongo_dr_console.model.runs import OPEN, SILENT_SECONDS, Began, Decided, Ended, Run
from mongo_dr_console.model.schedule import Decision, Entry, Hold, Kind, Skip, Start, Wait, decide
from mongo_dr_console.model.scheduleview import Held
from mongo_dr_console.model.trouble import Trouble, WrongUse
from mongo_dr_console.model.words import moment
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.lease import steady
from mongo_dr_console.stores.runs import Runs
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.access import needed_for, reaches
from mongo_dr_console.workers.scheduled import REQUEST
from mongo_dr_console.workers.schedules import entries_of

_LOOK_SECONDS = 1.0
_OPEN_LOOK_SECONDS = 5.0
_LOOKED_AT, _AHEAD = 20, timedelta(hours=1)
_BEGIN_SECONDS = 60.0
"""A job that was started and has not said that it began after so long never will."""


def launched(post: Post, kind: Kind, request: dict[str, Any]) -> str:
    """A job like any other, whose owner is the agent."""
    owner = f"agent@{socket.gethostname()}"
    job = jobs.create(post.name, post.profile, post.config_file, kind, request, owner=owner)
    jobs.launch(job)
    return job.id


class Scheduling:
    """Looks once a second what is due; the store is asked only where something is, or runs.

    Args:
        post: Of the agent.
        clock: The time; for tests.
    """

    name = "schedule"

    def __init__(self, post: Post, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._post, self._clock = post, clock
        self._entries = entries_of(post.name, post.profile)
        for entry in self._entries:
            _require_access(post, entry.kind)
        self._against = Against(post).why_not
        self._threads = [
            threading.Thread(target=self._run, args=(entry,), name=f"mdr-schedule-{entry.kind}", daemon=True)
            for entry in self._entries
        ]
        self._stop = threading.Event()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Jobs that were started are processes of their own, and go on."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, entry: Entry) -> None:
        seeing = OneKind(self._post, entry, self._against, self._clock)
        told = ""
        while not self._stop.is_set() and self._post.term.holds():
            try:
                seeing.look()
                told = ""
            except Trouble as trouble:
                told = self._once(told, f"schedule, {entry.kind}: {trouble.message}")
            except Exception as error:  # whatever it is, it is said, and tried again
                told = self._once(told, f"schedule, {entry.kind}: {type(error).__name__}: {error}")
            self._stop.wait(_LOOK_SECONDS)

    def _once(self, told: str, text: str) -> str:
        if text != told:
            self._post.tell(text)
        return text


class OneKind:
    """Sees to one kind of job, in one thread.

    Args:
        against: Why a kind may not begin just now; empty: it may.
        clock: The time.
        begin: Starts a job with its request, and returns its id.
        steady: Seconds of a clock that only runs forward.
    """

    def __init__(
        self,
        post: Post,
        entry: Entry,
        against: Callable[[Kind], str],
        clock: Callable[[], datetime],
        begin: Callable[[Post, Kind, dict[str, Any]], str] = launched,
        steady: Callable[[], float] = steady,
    ) -> None:
        assert post.shared is not None
        self._post, self._entry, self._against, self._clock = post, entry, against, clock
        self._begin, self._steady = begin, steady
        self._runs = Runs(post.shared.store, post.shared.folder)
        self._last: Run | None = None
        self._read_at: float | None = None
        self._held: Hold | None = None
        self._taken: datetime | None = None
        self._mine: dict[str, float] = {}
        self._silence = Patience(SILENT_SECONDS)

    def look(self) -> Decision:
        """Does what is to be done now.

        Raises:
            Trouble: The store does not answer, or the job cannot be started.
        """
        now = self._clock()
        since = self._runs.since(self._entry, now)
        self._read(now)
        if self._last is not None and self._last.state in OPEN:
            self._look_after(self._last)
        known = [since, *([] if self._last is None else [self._last.due])]
        last = max([*known, *([] if self._taken is None else [self._taken])])
        decision = decide(self._entry, now, last, self._held, self._why_not)
        match decision:
            case Start(due, missed):
                self._start(due, 1, missed)
            case Skip(due, reason):
                self._skip(due, reason)
            case Hold():
                self._hold(decision)
            case Wait():
                self._again(now)
        return decision

    def _read(self, now: datetime) -> None:
        """What became of the newest run: read once, and again while it is under way."""
        moment = self._steady()
        is_open = self._last is not None and self._last.state in OPEN
        if self._read_at is None or (is_open and moment - self._read_at >= _OPEN_LOOK_SECONDS):
            # What somebody decided whose clock was far ahead must not stop everything until then.
            found = self._runs.of_kind(self._entry.kind, _LOOKED_AT)
            self._last = next((run for run in found if run.due <= now + _AHEAD), None)
            self._read_at = moment

    def _why_not(self) -> str:
        if self._last is not None and self._last.state in OPEN:
            return f"the run of {moment(self._last.due)} is still under way"
        return self._against(self._entry.kind)

    # Deciding

    def _start(self, due: datetime, attempt: int, missed: int = 0) -> None:
        try:
            request = request_for(self._entry.kind, self._post.profile)
        except NothingToDo as nothing:
            self._skip(due, str(nothing))
            return
        path = self._runs.path(self._entry.kind, due, attempt)
        if not self._decide(due, attempt, Decided(decision="start", missed=missed, **self._signed())):
            return
        self._mine[path] = self._steady()
        self._held = None
        # Between the two the term may end: the next leader gives this run up, and the job finds that.
        if not self._post.term.holds():
            return
        again = f", attempt {attempt}" if attempt > 1 else ""
        try:
            job = self._begin(self._post, self._entry.kind, request | {REQUEST: path})
            self._post.tell(f"{self._entry.kind} of {moment(due)} begins{again}: job {job}")
        except Trouble as trouble:
            self._runs.begin(path, Began(job="", host=socket.gethostname(), at=self._clock()))
            self._runs.end(path, Ended(state="failed", error=trouble.message, at=self._clock()))
            raise
        finally:
            self._read_at = None

    def _skip(self, due: datetime, reason: str) -> None:
        if self._decide(due, 1, Decided(decision="skipped", reason=reason, **self._signed())):
            self._post.tell(f"{self._entry.kind} of {moment(due)} is skipped: {reason}")
        self._held = None

    def _decide(self, due: datetime, attempt: int, document: Decided) -> bool:
        self._read_at = None
        if not self._post.term.holds():
            return False
        decided = self._runs.decide(self._entry.kind, due, attempt, document)
        if not decided:
            self._taken = due
        return decided

    def _hold(self, hold: Hold) -> None:
        if hold != self._held:
            self._held = hold
            self._runs.hold(self._entry.kind, Held(due=hold.due, reason=hold.reason))
            self._post.tell(f"{self._entry.kind} of {moment(hold.due)} waits: {hold.reason}")

    def _signed(self) -> dict[str, object]:
        post = self._post
        return {
            "fence": post.term.fence,
            "profile": post.name,
            "host": socket.gethostname(),
            "at": self._clock(),
        }

    # Looking after

    def _again(self, now: datetime) -> None:
        """A backup whose run was lost is made at once."""
        run = self._last
        if run is None or not run.is_again:
            return
        reason = self._why_not() if self._entry.is_open(now) else f"the window {self._entry.window} is closed"
        if reason:
            self._hold(Hold(run.due, reason))
        else:
            self._start(run.due, run.attempt + 1)

    def _look_after(self, run: Run) -> None:
        """Whether a run that is under way still is."""
        path = self._runs.path(run.kind, run.due, run.attempt)
        if run.began is None:
            begun = self._mine.get(path)
            if begun is not None and self._steady() - begun < _BEGIN_SECONDS:
                return
            said = self._runs.begin(path, Began(job="", host=socket.gethostname(), at=self._clock()))
            if not said.job:
                self._lose(path, run, f"the agent on {run.decided.host} ended before a job began it")
        elif not run.began.job:
            self._lose(path, run, f"the agent on {run.decided.host} ended before a job began it")
        elif self._is_gone(run.began):
            self._lose(path, run, f"its process on {run.began.host} died")
        else:
            now = self._steady()
            if self._silence.is_over((path, run.sign), now, now):
                self._lose(path, run, f"nothing was heard of its job on {run.began.host}")

    def _is_gone(self, began: Began) -> bool:
        now = datetime.now(UTC)
        return owner.is_dead(began.mark, now, now)

    def _lose(self, path: str, run: Run, why: str) -> None:
        if self._post.term.holds() and self._runs.end(path, Ended(state="lost", error=why, at=self._clock())):
            self._post.tell(f"{run.kind} of {moment(run.due)} is lost: {why}")
            with suppress(Trouble):
                self._runs.tidy(run.kind)
        self._read_at = None


def _require_access(post: Post, kind: Kind) -> None:
    needed = needed_for(kind)
    if not reaches(post.profile.access, needed):
        raise WrongUse(
            "schedule-access",
            f"profiles.{post.name}.schedule.{kind} needs access = {needed!r}, and the profile has "
            f"{post.profile.access!r}: nothing would ever run.",
            f'Set access = "{needed}" in the profile, or take {kind} out of its schedule.',
        )
