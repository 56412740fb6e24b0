"""All jobs of this profile: what is at work, what ended how; enter goes to one."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from mongo_dr_console.model.readings import all_jobs
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.jobslist import job_items, matching
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.row_list import RowList


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "attach", id="jobs.attach")]


class JobsScreen(ListScreen):
    """The jobs of this host, the newest first, and the one of another host that has the deployment's lock."""

    ROWS = _Rows
    DEFAULT_CSS = """
    JobsScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="jobs.back"),
        Binding("slash", "filter", "filter", id="jobs.filter"),
    ]

    def body(self) -> ComposeResult:
        yield from super().body()
        yield Input(id="filter", placeholder="part of an id, a kind, a state, an owner")

    def on_mount(self) -> None:
        self.console.feed.refresh("jobs")

    @property
    def _wanted(self) -> str:
        return self.query_one("#filter", Input).value

    def fill(self, view: View, width: int) -> None:
        self.rows.set_items(*job_items(matching(all_jobs(view.readings), self._wanted), view.now, width - 2))

    def head(self, view: View, width: int) -> list[Line]:
        known, text = all_jobs(view.readings), self._wanted
        shown = matching(known, text)
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
            self.rows.focus()
        else:
            super().action_back()

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
        self.rows.focus()

    @on(RowList.Picked)
    def _picked(self, picked: RowList.Picked) -> None:
        from mongo_dr_console.ui.screens.job import JobScreen

        self.app.push_screen(JobScreen(picked.key))
