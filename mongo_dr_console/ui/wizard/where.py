"""Step 4: into which deployment, and what happens to live data there."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from mongo_dr_console.model.wizard import Step, kept_renames, target_problem
from mongo_dr_console.ui.background import Problem
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import line, wrapped
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.wizard.step import StepView
from mongo_dr_console.ui.wizard.wherelines import (
    mode_items,
    mode_said,
    rename_items,
    renames_said,
    target_items,
)
from mongo_dr_console.workers.desk import Target


class WhereStep(StepView):
    STEP: ClassVar[Step] = Step.WHERE
    HELP = "Into which deployment, and what becomes of what is live there; what is chosen says it below."
    DEFAULT_CSS = """
    WhereStep #targets, WhereStep #modes { height: auto; max-height: 6; }
    WhereStep #mode-said, WhereStep #renames-said { height: auto; padding: 0 2; }
    WhereStep #renaming { height: 1fr; margin-top: 1; display: none; }
    WhereStep #renaming.-on { display: block; }
    WhereStep #renames { height: auto; max-height: 8; }
    """

    def compose(self) -> ComposeResult:
        yield LinesView([line(("  Into which deployment", "title"))])
        yield RowList(id="targets")
        yield LinesView([line(("  What happens to live data there", "title"))])
        yield RowList(id="modes")
        yield LinesView(id="mode-said")
        with Vertical(id="renaming"):
            yield LinesView([line(("  New names", "title"))])
            yield RowList(id="renames")
            with Horizontal(classes="field"):
                yield LinesView([line("  New name")])
                yield Input(id="new-name", select_on_focus=False)
            yield LinesView(id="renames-said")

    def on_mount(self) -> None:
        self._targets: tuple[Target, ...] = ()
        self._down = False
        self._go_to = ""
        """The deployment to put the cursor on once it is drawn."""

    def enter(self) -> None:
        self.ask(self.console.desk.targets, self._answered, group="targets")
        state = self.wizard.state
        self.wizard.change(renames=kept_renames(state.scope, state.renames if state.renames_chosen else ()))
        self.redraw()
        when_drawn(self, self.redraw)

    def first(self) -> Widget | None:
        return self.query_one("#targets" if self._target_problem else "#modes")

    def show(self, view: View) -> None:
        """Of the readings only whether the deployment answers counts here."""
        if self._down != self.wizard.known.down:
            self.redraw()

    def on_resize(self) -> None:
        when_drawn(self, self.redraw)

    def redraw(self) -> None:
        if not self.size.width:
            return
        state, width = self.wizard.state, self.size.width - 4
        targets = self.query_one("#targets", RowList)
        self._down = self.wizard.known.down
        targets.set_items(target_items(self._targets, state.target, down=self._down))
        if self._go_to:
            targets.go_to(self._go_to)
            self._go_to = ""
        modes = self.query_one("#modes", RowList)
        modes.set_items(mode_items(state))
        # Enter takes what the cursor is on: nothing but what is chosen.
        modes.go_to(state.mode)
        self.query_one("#mode-said", LinesView).set_lines(mode_said(state, width))
        self.query_one("#renaming").set_class(state.mode == "beside", "-on")
        names = self.query_one("#renames", RowList)
        names.set_items(rename_items(state.renames))
        names.display = bool(state.renames)
        self.query_one("#renaming .field").display = bool(state.renames)
        self.query_one("#renames-said", LinesView).set_lines(wrapped(renames_said(state), width, "dim"))
        self._show_name()

    def leave(self) -> str:
        self._take_name()
        return super().leave()

    def _answered(self, answer: tuple[Target, ...] | Problem) -> None:
        if isinstance(answer, Problem):
            self.wizard.complain(f"{answer.message} {answer.hint}".strip())
            return
        self._targets = answer
        if self._target_problem:
            self._go_to = next((t.name for t in answer if not t.refusal and not t.same), "")
        self.redraw()

    @property
    def _target_problem(self) -> str:
        return target_problem(self.wizard.state.target, self.wizard.known)

    @on(RowList.Picked, "#targets")
    @on(RowList.Ticked, "#targets")
    def _target(self, event: RowList.Picked | RowList.Ticked) -> None:
        found = next((t for t in self._targets if t.name == event.key), None)
        if found is None:
            return
        if found.refusal:
            self.wizard.complain(f"Nothing can be restored into {found.name}: its profile {found.refusal}.")
            return
        target = None if found.same else found.name
        if why := target_problem(target, self.wizard.known):
            self.wizard.complain(why)
            return
        self.wizard.change(target=target)
        self.screen.set_focus(self.query_one("#modes"))

    @on(RowList.Edge)
    def _to_next_list(self, event: RowList.Edge) -> None:
        """From the end of one list to the other."""
        shown = [rows for rows in self.query(RowList) if rows.keys and rows.is_on_screen]
        at = shown.index(event.rows) + event.way
        if 0 <= at < len(shown):
            self.screen.set_focus(shown[at])

    @on(RowList.Moved, "#modes")
    @on(RowList.Ticked, "#modes")
    def _mode(self, event: RowList.Moved | RowList.Ticked) -> None:
        self.wizard.change(mode=event.key)

    @on(RowList.Picked, "#modes")
    def _mode_picked(self, event: RowList.Picked) -> None:
        self.wizard.change(mode=event.key)
        self.wizard.action_next()

    @on(RowList.Moved, "#renames")
    def _other_name(self) -> None:
        self._show_name()

    @on(RowList.Picked, "#renames")
    def _edit(self) -> None:
        self.screen.set_focus(self.query_one("#new-name"))

    @on(Input.Submitted, "#new-name")
    def _named(self) -> None:
        self._take_name()
        self.screen.set_focus(self.query_one("#renames"))

    @on(Input.Blurred, "#new-name")
    def _left(self) -> None:
        self._take_name()

    def _show_name(self) -> None:
        """The new name of the row under the cursor, unless it is being typed."""
        field = self.query_one("#new-name", Input)
        if not field.has_focus:
            source = self.query_one("#renames", RowList).key
            field.value = next(
                (t.partition("=")[2] for t in self.wizard.state.renames if t.partition("=")[0] == source), ""
            )

    def _take_name(self) -> None:
        source = self.query_one("#renames", RowList).key
        wanted = self.query_one("#new-name", Input).value.strip()
        before = self.wizard.state.renames
        renames = tuple(f"{source}={wanted}" if t.partition("=")[0] == source else t for t in before)
        if self.wizard.state.mode == "beside" and renames != before:
            self.wizard.change(renames=renames, renames_chosen=True)
