"""The wizard: a page a step, from a look at what is there to the typed confirmation. Back is always free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button, ContentSwitcher, Input

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.when import event_by_id
from mongo_dr_console.model.wizard import Base, Known, Step, WizardState, known, undoing
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import wrapped
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.action_button import ActionButton
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import StatusLine
from mongo_dr_console.ui.wizard.confirm import ConfirmStep
from mongo_dr_console.ui.wizard.plan import PlanStep
from mongo_dr_console.ui.wizard.preflight import PreflightStep
from mongo_dr_console.ui.wizard.scope import ScopeStep
from mongo_dr_console.ui.wizard.step import StepView
from mongo_dr_console.ui.wizard.toplines import fact_rows, step_bar, step_list
from mongo_dr_console.ui.wizard.when import WhenStep
from mongo_dr_console.ui.wizard.where import WhereStep

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_STEPS: tuple[type[StepView], ...] = (
    PreflightStep,
    WhenStep,
    ScopeStep,
    WhereStep,
    PlanStep,
    ConfirmStep,
)


class WizardScreen(Screen[None]):
    """The walk to a restore. Nothing is changed before its last step is confirmed.

    Args:
        state: What is chosen to begin with.
    """

    CSS_PATH = "wizard.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "next", id="wizard.next"),
        Binding("escape,b", "back", "back", id="wizard.back"),
    ]

    def __init__(self, state: WizardState | None = None) -> None:
        super().__init__()
        self.state = state or WizardState()
        self._event = self.state.event
        self.step = Step.PREFLIGHT
        self.furthest = Step.PREFLIGHT
        self.busy = ""
        """Why it cannot be left at present; empty if it can."""
        self._problem = ""
        self._known: tuple[View, Known] | None = None

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def known(self) -> Known:
        """What is known at this moment."""
        if self._known is None:
            self._see(self.console.view)
        assert self._known is not None
        return self._known[1]

    @property
    def view(self) -> View:
        """The moment that was shown last."""
        if self._known is None:
            self._see(self.console.view)
        assert self._known is not None
        return self._known[0]

    @property
    def page(self) -> StepView:
        return self.page_of(self.step)

    def page_of(self, step: Step) -> StepView:
        return self.query_one(f"#step-{int(step)}", StepView)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield LinesView(id="facts")
        yield LinesView(id="bar")
        with Horizontal(id="middle"):
            yield LinesView(id="steps")
            with ContentSwitcher(initial="step-1", id="pages"):
                for page in _STEPS:
                    yield page(id=f"step-{int(page.STEP)}")
        yield LinesView(id="problem")
        with Horizontal(id="bottom"):
            yield ActionButton("Back", id="back", compact=True)
            yield ActionButton("Next", id="next", compact=True)
        yield OwnKeys(self._not_now)

    def on_mount(self) -> None:
        self._go(Step.PREFLIGHT)

    def on_resize(self) -> None:
        self.show(self.view)

    def show(self, view: View) -> None:
        """Shows this moment."""
        self._see(view)
        width = self.size.width
        self.query_one(StatusLine).show(view)
        self.query_one("#facts", LinesView).set_lines(fact_rows(view, width))
        self.page.show(view)
        self._draw_frame()

    def change(self, **changes: Any) -> None:
        """Changes what was chosen."""
        self.state = replace(self.state, **changes)
        self.complain("")
        self.page.redraw()
        self._draw_frame()

    def take(self, state: WizardState) -> None:
        """Goes back to where it is said what happened, with this chosen."""
        self._event = state.event or self._event
        self._see(self.view)
        self.state = state
        self._go(Step.WHEN)

    def field_for(self, letter: str) -> Input | None:
        """The field that a letter begins."""
        page = self.page if self.is_mounted else None
        return page.field_for(letter) if isinstance(page, ConfirmStep) else None

    def complain(self, why: str) -> None:
        """Says why it does not go on; empty: nothing is wrong."""
        self._problem = why
        self._draw_frame()

    def action_next(self) -> None:
        """Goes to the next step if this one is complete."""
        if self.step is Step.CONFIRM:
            return
        self.complain(self.page.leave())
        if not self._problem:
            self._go(Step(self.step + 1))

    def action_back(self) -> None:
        """Goes back a step; from the first one it leaves. What was chosen stays."""
        if self.busy:
            self.complain(self.busy)
        elif self.step is Step.PREFLIGHT:
            # Once: a second esc that was already on its way must not close what is below.
            if self.app.screen is self:
                self.app.pop_screen()
        else:
            self._go(Step(self.step - 1))

    @on(Button.Pressed, "#next")
    def _next(self) -> None:
        self.action_next()

    @on(Button.Pressed, "#back")
    def _back(self) -> None:
        self.action_back()

    def _go(self, step: Step) -> None:
        self.step, self._problem = step, ""
        self.furthest = max(self.furthest, step)
        self.query_one("#pages", ContentSwitcher).current = f"step-{int(step)}"
        button = self.query_one("#next", Button)
        button.display = step is not Step.CONFIRM
        self.page.enter()
        self.show(self.view)
        # At once, so that no key lands on what had the focus before; and again when all of it is laid out.
        self._focus(step)
        when_drawn(self, lambda: self._focus(step))

    def _focus(self, step: Step) -> None:
        if self.step is step and self.is_attached:
            if self.focused is None or self.page not in self.focused.ancestors:
                self.set_focus(self.page.first() or _first_of(self.page))
            self._draw_frame()

    def on_descendant_focus(self) -> None:
        self._draw_frame()

    def _not_now(self) -> set[str]:
        return self.page.not_now()

    def _see(self, view: View) -> None:
        self._known = (view, known(view.readings, view.now, self._event))

    def _draw_frame(self) -> None:
        width = self.size.width
        if not width:
            return
        self.query_one("#bar", LinesView).set_lines([step_bar(self.step, self.furthest, width)])
        side = self.query_one("#steps", LinesView)
        side.set_lines(step_list(self.state, self.step, self.furthest, side.size.width or 26))
        problem = self.query_one("#problem", LinesView)
        problem.display = bool(self._problem)
        problem.set_lines(wrapped(f"✗ {self._problem}", width, "critical", "  ") if self._problem else [])
        self.query_one(OwnKeys).refresh_keys()


def _first_of(page: StepView) -> Widget | None:
    return next((w for w in page.query("*").results(Widget) if w.focusable), None)


def open_wizard(
    app: ConsoleApp,
    *,
    event: str | None = None,
    snapshot: tuple[str, str] | None = None,
    state: WizardState | None = None,
) -> None:
    """Opens the wizard, where it is not open already.

    Args:
        state: What is chosen to begin with.
        event: The id of the event to undo.
        snapshot: Name and store of the snapshot to start from.
    """
    if any(isinstance(screen, WizardScreen) for screen in app.screen_stack):
        app.say("The restore wizard is open already.", level="warning")
        return
    view = app.view
    state = state or WizardState()
    if event is not None:
        found = _event(known(view.readings, view.now), event)
        state = replace(state, way="event") if found is None else undoing(found, state)
        if found is None:
            app.say(f"Event {event} is not known any more: choose another one, or a time.", level="warning")
    if snapshot is not None:
        state = replace(state, way="snapshot", base=Base(*snapshot), base_chosen=True)
    app.push_screen(WizardScreen(state))


def _event(facts: Known, wanted: str) -> Event | None:
    try:
        return event_by_id(list(facts.events), wanted)
    except WrongUse:
        return None
