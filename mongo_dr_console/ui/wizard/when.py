"""Step 2: what happened, and so where replay stops: at an event, at a time, or at the snapshot's end."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input

from mongo_dr_console.model.position import Bound, Limit
from mongo_dr_console.model.span import Window
from mongo_dr_console.model.strip import Kind, Strip, default_span, strip
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.wizard import (
    Base,
    Step,
    Way,
    problem,
    propose_scope,
    propose_way,
    settle,
    stops_at,
    with_base,
)
from mongo_dr_console.model.words import moment
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import line
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.choice_bar import ChoiceBar
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.widgets.strip_view import StripView
from mongo_dr_console.ui.wizard.bases import BaseList, BasesScreen
from mongo_dr_console.ui.wizard.step import StepView, indented
from mongo_dr_console.ui.wizard.whenlines import base_line, event_items, lost_line, meaning, way_line

_WAYS: tuple[tuple[Way, str], ...] = (
    ("event", "undo an event"),
    ("time", "go to a time"),
    ("snapshot", "the snapshot as it is"),
)


class TimeField(Input):
    """Where a time is typed: up goes to the strip, down to what it means."""

    HELP = (
        "A time with its offset (2026-11-22T02:11:31Z), -10m, a position t:i, event:ID, or latest. Before "
        "leaves out the operation there, through applies it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "next", id="time.next"),
        Binding("up", "leave(-1)", "strip", id="time.up"),
        Binding("down", "leave(1)", "before or through", id="time.down"),
    ]

    def action_leave(self, way: int) -> None:
        """Goes to the strip above, or to the choice below."""
        if way < 0:
            self.screen.focus_previous()
        else:
            self.screen.focus_next()


class WhenStep(StepView):
    STEP: ClassVar[Step] = Step.WHEN
    HELP = (
        "What happened, and where to go back to: leave an event out and keep what was written since, go to a "
        "time, or take a snapshot as it is."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "way('event')", "event", id="when.event"),
        Binding("t", "way('time')", "time", id="when.time"),
        Binding("s", "way('snapshot')", "snapshot", id="when.snapshot"),
        Binding("c", "base", "change base", id="when.base"),
        Binding("o", "app.run_command('operations')", "operations", show=False, id="when.operations"),
    ]
    DEFAULT_CSS = """
    WhenStep #ways-pages { height: 1fr; }
    WhenStep #way-event, WhenStep #way-time, WhenStep #way-snapshot { height: 1fr; }
    WhenStep #outcome { height: auto; }
    WhenStep #said { height: auto; max-height: 3; }
    """

    def compose(self) -> ComposeResult:
        yield ChoiceBar(_WAYS, id="ways")
        with ContentSwitcher(initial="way-event", id="ways-pages"):
            with Vertical(id="way-event"):
                yield RowList(id="events")
                yield ChoiceBar(
                    (("skip", "leave it out, keep later writes (skip)"), ("before", "go back to before it")),
                    id="undoing",
                )
                yield LinesView(id="undoing-said")
            with Vertical(id="way-time"):
                yield StripView(id="strip")
                with Horizontal(classes="field"):
                    yield LinesView([line("  Time")])
                    yield TimeField(id="time", select_on_focus=False, placeholder="2026-11-22T02:11:31Z")
                yield LinesView(id="said")
                yield ChoiceBar(
                    (("before", "before: that operation is left out"), ("through", "through: it is applied")),
                    id="bound",
                )
            with Vertical(id="way-snapshot"):
                yield BaseList(id="base-list")
        yield LinesView(id="outcome")

    def enter(self) -> None:
        wizard = self.wizard
        if wizard.furthest is Step.WHEN and wizard.state.way == "event" and wizard.state.event is None:
            wizard.state = propose_way(wizard.state, wizard.known)
        if wizard.state.event is not None:
            self.query_one("#events", RowList).go_to(wizard.state.event.id)
        field = self.query_one("#time", Input)
        if field.value != wizard.state.text:
            field.value = wizard.state.text
        self.redraw()
        when_drawn(self, self.redraw)

    def first(self) -> Widget | None:
        state = self.wizard.state
        if state.way == "event":
            return self.query_one("#events" if state.event is None else "#undoing")
        return self.query_one("#time" if state.way == "time" else "#base-list RowList")

    def show(self, view: View) -> None:
        self.redraw()

    def on_resize(self) -> None:
        when_drawn(self, self.redraw)

    def redraw(self) -> None:
        if not self.size.width:
            return
        wizard = self.wizard
        facts = wizard.known
        state = with_base(wizard.state, facts)
        width = self.size.width - 2
        self.query_one("#ways", ChoiceBar).chosen = state.way
        self.query_one("#ways-pages", ContentSwitcher).current = f"way-{state.way}"
        if state.way == "event":
            items = event_items(facts, state.event, width - 2)
            self.query_one("#events", RowList).set_items(items[1:], [items[0].line])
            self.query_one("#undoing", ChoiceBar).chosen = "skip" if state.keep_later else "before"
            said = f"{way_line(state)}{self._still_looking()}" if facts.undoable else self._no_events()
            self.query_one("#undoing-said", LinesView).set_lines(indented(said, width, "dim"))
        elif state.way == "time":
            self.query_one(StripView).update(partial(self._strip, width - 2), facts.coverage, facts.now)
            text, good = meaning(state, facts)
            self.query_one("#said", LinesView).set_lines(
                indented(text, width, "dim") if good else indented(text, width, "critical", "✗")
            )
            self.query_one("#bound", ChoiceBar).chosen = str(state.bound)
        else:
            self.query_one(BaseList).update(facts, None, state.base)
        self.query_one("#outcome", LinesView).set_lines(
            [*base_line(state, facts, width), *lost_line(state, facts, width)]
        )

    def leave(self) -> str:
        wizard, facts = self.wizard, self.wizard.known
        state = with_base(wizard.state, facts)
        if why := problem(state, Step.WHEN, facts):
            return why
        scope = state.scope if state.scope_chosen else propose_scope(state, facts)
        wizard.change(base=state.base, settled=settle(state, facts), scope=scope)
        return ""

    def action_way(self, way: Way) -> None:
        """Undoes an event, goes to a time, or takes the snapshot as it is."""
        self.wizard.change(way=way)
        self.screen.set_focus(self.first())

    def action_base(self) -> None:
        """Chooses another snapshot to start from."""
        wizard = self.wizard
        state = with_base(wizard.state, wizard.known)
        if state.way == "snapshot":
            self.screen.set_focus(self.query_one("#base-list RowList"))
            return
        self.app.push_screen(BasesScreen(wizard.known, self._stop(), state.base), self._base_chosen)

    def _base_chosen(self, base: Base | None) -> None:
        if base is not None and self.is_attached:
            self.wizard.change(base=base, base_chosen=True)

    def _stop(self) -> Limit | None:
        try:
            return stops_at(self.wizard.state, self.wizard.known)
        except WrongUse:
            return None

    def _strip(self, width: int, window: Window | None) -> Strip | None:
        facts = self.wizard.known
        if facts.coverage is None or width < 10:
            return None
        start, end = default_span(facts.coverage, facts.now) if window is None else window.bounds(facts.now)
        follows = window is None or window.end is None
        known = facts.coverage, facts.snapshots, facts.events
        return strip(*known, start, end, width, until_now=follows)

    def _no_events(self) -> str:
        reading = self.wizard.view.readings.events
        if reading is None or reading.value is None:
            return "The oplog has not been looked through yet; a time can be said all the same (t)."
        return (
            "No destructive event of the last 24 hours is known: say a time (t). An older one is brought "
            f"back from one of its operations (o, and u there).{self._still_looking()}"
        )

    def _still_looking(self) -> str:
        """How far back the oplog was looked through, while that goes on."""
        reading = self.wizard.view.readings.events
        found = None if reading is None else reading.value
        if found is None or found.complete or found.scanned_from is None:
            return ""
        return f" Looked through back to {moment(found.scanned_from.time)} so far."

    @on(ChoiceBar.Chosen, "#ways")
    def _way_chosen(self, event: ChoiceBar.Chosen) -> None:
        self.wizard.change(way=event.key)

    @on(ChoiceBar.Chosen, "#undoing")
    def _undoing_chosen(self, event: ChoiceBar.Chosen) -> None:
        self.wizard.change(keep_later=event.key == "skip")

    @on(ChoiceBar.Chosen, "#bound")
    def _bound_chosen(self, event: ChoiceBar.Chosen) -> None:
        self.wizard.change(bound=Bound(event.key))

    @on(RowList.Picked, "#events")
    @on(RowList.Ticked, "#events")
    def _event_picked(self, event: RowList.Picked | RowList.Ticked) -> None:
        found = next((e for e in self.wizard.known.events if e.id == event.key), None)
        self.wizard.change(event=found)
        self.screen.set_focus(self.query_one("#undoing"))

    @on(RowList.Picked, ".bases")
    @on(RowList.Ticked, ".bases")
    def _base_picked(self, event: RowList.Picked | RowList.Ticked) -> None:
        base = self.query_one(BaseList).base_of(event.key)
        if base is None:
            return
        again = with_base(self.wizard.state, self.wizard.known).base == base
        self.wizard.change(base=base, base_chosen=True)
        if isinstance(event, RowList.Picked) and again:
            self.wizard.action_next()

    @on(StripView.Picked)
    def _picked(self, event: StripView.Picked) -> None:
        position, field = event.position, self.query_one("#time", Input)
        if event.kind in (Kind.EVENT, Kind.SNAPSHOT):
            # Before an event, and with all that a snapshot has.
            self.wizard.change(bound=Bound.BEFORE if event.kind is Kind.EVENT else Bound.THROUGH)
        field.value = str(position) if position.i else moment(position.time)
        self.screen.set_focus(field)

    @on(Input.Changed, "#time")
    def _typed(self, event: Input.Changed) -> None:
        if event.value != self.wizard.state.text:
            self.wizard.change(text=event.value, settled="")

    @on(Input.Submitted, "#time")
    def _submitted(self) -> None:
        self.wizard.action_next()
