"""All jobs of this profile: what is at work, what ended how; enter goes to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.readings import all_jobs
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.jobslist import job_items, matching
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "attach", id="jobs.attach")]


class JobsScreen(Screen[None]):
    """The jobs, the newest first; follows the readings."""

    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    JobsScreen #head { padding: 0 1; }
    JobsScreen #rows { height: 1fr; }
    JobsScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="jobs.back"),
        Binding("slash", "filter", "filter", id="jobs.filter"),
    ]

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield LinesView(id="head")
        yield _Rows(id="rows")
        yield Input(id="filter", placeholder="part of an id, a kind, a state, an owner")
        yield OwnKeys()

    def on_mount(self) -> None:
        self.console.feed.refresh("jobs")
        self.show(self.console.view)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        if not self.size.width:
            return
        width = self.size.width - 2
        known = all_jobs(view.readings)
        text = self.query_one("#filter", Input).value
        jobs = matching(known, text)
        items, header = job_items(jobs, view.now, width - 2)
        self.query_one("#head", LinesView).set_lines(self._head(view, known, jobs, text, width))
        self.query_one(RowList).set_items(items, header)
        self.query_one(OwnKeys).refresh_keys()

    def _head(
        self, view: View, known: tuple[JobFacts, ...], shown: list[JobFacts], text: str, width: int
    ) -> list[Line]:
        running = sum(job.state == "running" for job in known)
        of = f"{len(shown)} of {len(known)}" if text else f"{len(known)}"
        rows = [rule(f"Jobs: {of}, {running} running", width)]
        reading = view.readings.jobs
        if reading is None:
            return [*rows, line(("? the jobs of this host were not read yet", "unknown"))]
        if reading.error is not None:
            rows += wrapped(f"? {reading.error.message}", width, "unknown", "  ")
        if not shown:
            none = "No job fits the filter." if known else "There are no jobs. A backup would be one: B"
            rows.append(line((none, "dim")))
        return rows

    def action_back(self) -> None:
        """Takes the filter away, or leaves the list."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(RowList).focus()
        elif self.app.screen is self:
            self.app.pop_screen()

    def action_filter(self) -> None:
        """Shows only jobs that hold a text."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self.show(self.console.view)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        self.query_one(RowList).focus()

    @on(RowList.Picked)
    def _picked(self, picked: RowList.Picked) -> None:
        from mongo_dr_console.ui.screens.job import JobScreen

        self.app.push_screen(JobScreen(picked.key))
