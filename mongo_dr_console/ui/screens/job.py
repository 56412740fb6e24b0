"""One job: its progress while it runs, its result when it has ended. Leaving the screen never stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen

from mongo_dr_console.model.eta import Pace
from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.redaction import redacted
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import gone_lines, header_lines, log_lines, remote_lines, rule, step_lines
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.resultpage import (
    report_text,
    result_page,
    resumable,
    still_open,
)
from mongo_dr_console.ui.screens import result
from mongo_dr_console.ui.screens.acting import allowed
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import StatusLine
from mongo_dr_console.workers.access import needed_for

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

POLL_SECONDS = 0.25
_AFTER_A_FAILURE = 2.0


class JobScreen(Screen[None]):
    """A job of this host, followed by its journal; or one of another host, as the deployment's lock tells it.

    Args:
        job: Its id.
        warning: Said above the steps (it cannot outlive the login).
    """

    DEFAULT_CSS = """
    JobScreen #header, JobScreen #steps { padding: 0 1; }
    JobScreen #body { height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "detach", "detach", id="job.detach"),
        Binding("escape", "detach", "back", id="job.back"),
        Binding("s", "stop", "stop…", id="job.stop"),
        Binding("r", "resume", "resume", id="job.resume"),
        Binding("u", "undo", "undo…", id="job.undo"),
        Binding("c", "accept", "accept…", id="job.accept"),
        Binding("y", "copy", "copy", id="job.copy"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="job.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="job.up"),
    ]

    def __init__(self, job: str, warning: str = "") -> None:
        super().__init__()
        self.job = job
        self.job_view: JobView | None = None
        """As it was when last looked at; None for a job of another host, and before the first look."""
        self._warning = warning
        self._pace = Pace()
        self._journal = ""
        self._problem: Problem | None = None
        self._elsewhere = False
        self._lock: LockInfo | None = None
        self._holds = False
        self._lock_trouble = ""
        self._settlements: tuple[JobView, ...] = ()
        self._following = False
        self._had_ended = False

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield LinesView(id="header")
        yield LinesView(id="steps")
        with VerticalScroll(id="body"):
            yield LinesView(id="text")
        yield OwnKeys(self._not_now)

    def on_mount(self) -> None:
        self.query_one("#body").focus()
        self.show(self.console.view)
        self._follow()

    def on_screen_resume(self) -> None:
        # An undo or an accept may have ended while its own screen stood above this one.
        if self.job_view is not None and self.job_view.state != "running":
            self._work(self._look_at_settlements(), "settlements")

    def on_resize(self, _: events.Resize) -> None:
        self.draw()

    # Following

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        reading = view.readings.lock
        lock = None if reading is None else reading.value
        self._holds = lock is not None and lock.job == self.job
        if reading is not None and lock is not None and self._holds:
            since = 0.0 if reading.taken_at is None else (view.now - reading.taken_at).total_seconds()
            self._lock = replace(lock, age_seconds=lock.age_seconds + max(0.0, since))
            self._lock_trouble = "" if reading.error is None else reading.error.message
        if self._ended() and not self._following and self._runs_again(view):
            self._follow()
        self.draw()

    def _ended(self) -> bool:
        return self.job_view is not None and self.job_view.state != "running"

    def _runs_again(self, view: View) -> bool:
        """Whether somebody resumed it meanwhile, from another terminal."""
        reading = view.readings.jobs
        known = () if reading is None or reading.value is None or reading.taken_at is None else reading.value
        ended = self.job_view.ended_at if self.job_view else None
        fresh = (
            reading is not None
            and reading.taken_at is not None
            and (ended is None or reading.taken_at > ended)
        )
        return fresh and any(j.job == self.job and j.state == "running" for j in known)

    def _follow(self) -> None:
        if not self._following:
            self._following = True
            self._work(self._watch(), "watch")

    async def _watch(self) -> None:
        try:
            await self._look_until_the_end()
        finally:
            self._following = False

    async def _look_until_the_end(self) -> None:
        """One look in flight, four a second, none after the end."""
        desk, job = self.console.desk, self.job
        watch = await in_thread(lambda: desk.watch(job))
        if isinstance(watch, Problem):
            self._elsewhere = watch.code == "job-unknown"
            self._problem = None if self._elsewhere else watch
            self.draw()
            return
        self._pace = Pace()
        self._journal = str(watch.folder.journal)
        while self.is_attached:
            found = await in_thread(watch.read)
            if not self.is_attached:
                return
            if isinstance(found, Problem):
                self._problem = found
                self.draw()
                await asyncio.sleep(_AFTER_A_FAILURE)
                continue
            self._problem = None
            self.job_view, lines = found
            for each in lines:
                self._pace.feed(each)
            if self._ended():
                self.console.feed.refresh("jobs")
                await self._look_at_settlements()
                return
            self.draw()
            await asyncio.sleep(POLL_SECONDS)

    async def _look_at_settlements(self) -> None:
        view, desk = self.job_view, self.console.desk
        if view is None or not any(still_open(view, ())):
            self._settlements = ()
        else:
            restore = next(job for job in still_open(view, ()) if job)
            found = await in_thread(lambda: desk.settlements(restore))
            mine = [] if isinstance(found, Problem) else [s for s in found if s.job != self.job]
            self._settlements = tuple(mine)
        if self.is_attached:
            self.draw()

    # Drawing

    def draw(self) -> None:
        """Shows what is known now."""
        if not self.is_mounted or not self.size.width:
            return
        width = self.size.width - 2
        header, steps, text = self._pages(width)
        for name, rows in (("header", header), ("steps", steps)):
            part = self.query_one(f"#{name}", LinesView)
            part.display = bool(rows)
            part.set_lines(rows)
        self._scrollable(text)
        self.query_one(OwnKeys).refresh_keys()

    @property
    def _shown(self) -> JobView | None:
        return redacted(self.job_view) if self.console.values_hidden else self.job_view

    def _pages(self, width: int) -> tuple[list[Line], list[Line], list[Line]]:
        """Header, steps, and what can be scrolled."""
        view, now = self._shown, self.console.clock()
        if view is None:
            return [], [], self._without_view(width)
        header = header_lines(view, now, width)
        if self._warning:
            header += wrapped(f"! {self._warning}", width, "warning", "  ")
        if self._problem is not None:
            header += _problem_lines(self._problem, width)
        if view.state != "running":
            page = result_page(
                view, self._settlements, self._journal, self._pace, width - 1, self.console.options.keys
            )
            return header, [], page
        room = max(4, self.size.height // 2 - len(header))
        steps = [rule("Steps", width), *step_lines(view.steps, self._pace, width, room), rule("Log", width)]
        return header, steps, log_lines(view.notes, width - 1, self._journal)

    def _without_view(self, width: int) -> list[Line]:
        if self._problem is not None:
            return _problem_lines(self._problem, width)
        if not self._elsewhere:
            return [line(f"job {self.job}: its journal is being read …")]
        if self._lock is not None and self._holds:
            return remote_lines(self._lock, self.console.clock(), width, self._lock_trouble)
        return gone_lines(self.job, self._lock, width)

    def _scrollable(self, text: list[Line]) -> None:
        """A log stays at its newest note unless somebody scrolled away; a result begins at its top."""
        part, body = self.query_one("#text", LinesView), self.query_one("#body", VerticalScroll)
        newest = body.is_vertical_scroll_end
        grown = len(part.lines) != len(text)
        part.set_lines(text)
        ended = self._ended()
        if ended and not self._had_ended:
            when_drawn(self, lambda: body.scroll_home(animate=False))
        elif not ended and grown and newest:
            when_drawn(self, lambda: body.scroll_end(animate=False))
        self._had_ended = ended

    def _not_now(self) -> set[str]:
        """The keys that could only say why they do nothing."""
        view = self.job_view
        if view is None:
            return {"job.detach", "job.stop", "job.resume", "job.undo", "job.accept"}
        if view.state == "running":
            return {"job.back", "job.resume", "job.undo", "job.accept"} | ({"job.stop"} & _asked(view))
        undo, accept = still_open(view, self._settlements)
        can = {"job.undo": undo is not None, "job.accept": accept is not None, "job.resume": resumable(view)}
        return {"job.detach", "job.stop", *(key for key, now in can.items() if not now)}

    # Keys

    def action_detach(self) -> None:
        """Leaves the screen; the job goes on."""
        if self.job_view is not None and self.job_view.state == "running":
            self.console.say(f"Detached; job {self.job} goes on. Attach again: J")
        if self.app.screen is self:
            self.app.pop_screen()

    def action_scroll(self, rows: int) -> None:
        """Scrolls by a row."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_copy(self) -> None:
        """Copies the page as text."""
        view = self._shown
        if view is None:
            self.app.copy_to_clipboard(self.query_one("#text", LinesView).text)
        else:
            now = self.console.clock()
            self.app.copy_to_clipboard(report_text(view, self._settlements, self._journal, now))
        self.console.say("The report was given to the terminal to copy.")

    def action_stop(self) -> None:
        """Asks the job to end at its next safe point; ``stop`` must be typed."""
        view = self.job_view
        if view is None:
            self._say_elsewhere("stop")
        elif view.state != "running":
            self.console.say(f"Job {self.job} is not running ({view.state}); there is nothing to stop.")
        elif allowed(self.console, needed_for(view.kind)):
            self._work(result.stop(self.console, view), "act")

    def action_resume(self) -> None:
        """Goes on with a job that failed, was stopped, or was done in part."""
        view = self.job_view
        if view is None:
            self._say_elsewhere("resume")
        elif not resumable(view):
            self.console.say(f"Job {self.job} is {view.state}; there is nothing to resume.")
        elif allowed(self.console, needed_for(view.kind)):
            self._work(self._resume(), "act")

    async def _resume(self) -> None:
        answer = await in_thread(lambda: self.console.desk.resume(self.job))
        if isinstance(answer, Problem):
            self.console.say_problem(answer)
            return
        self._warning = answer.warning
        self._follow()

    def action_undo(self) -> None:
        """Takes a swap back; the job's id must be typed."""
        view = self.job_view
        undo = None if view is None else still_open(view, self._settlements)[0]
        if view is None or undo is None:
            self.console.say(
                "There is nothing here to take back: a swap that is done and not settled could be."
            )
        elif allowed(self.console, "restore"):
            self._work(result.undo(self.console, view, undo), "act")

    def action_accept(self) -> None:
        """Drops what a swap has set aside; the job's id must be typed."""
        view = self.job_view
        accept = None if view is None else still_open(view, self._settlements)[1]
        if view is None or accept is None:
            self.console.say("There is nothing here to settle: a swap that is done and not settled could be.")
        elif allowed(self.console, "restore"):
            self._work(result.accept(self.console, view, self._settlements, accept), "act")

    # Small things

    def _work(self, work: Coroutine[Any, Any, None], group: str) -> None:
        self.run_worker(work, exit_on_error=False, exclusive=True, group=group)

    def _say_elsewhere(self, verb: str) -> None:
        where = f"on {self._lock.host}" if self._lock is not None else "on its own host"
        self.console.say(
            f"Job {self.job} is not of this host. To {verb} it, {where}: mdr jobs {verb} {self.job}"
        )


def _asked(view: JobView) -> set[str]:
    return {"job.stop"} if view.stop_requested else set()


def _problem_lines(problem: Problem, width: int) -> list[Line]:
    rows = wrapped(f"✗ {problem.message}", width, "critical", "  ")
    return [*rows, *(wrapped(problem.hint, width) if problem.hint else [])]
