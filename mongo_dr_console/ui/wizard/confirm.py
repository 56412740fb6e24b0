"""Step 6: the only one that needs an armed console; what must be typed is typed, then the job starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Button, Input

from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.background import Problem
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.action_button import ActionButton
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.typed_field import TypedField
from mongo_dr_console.ui.wizard.plan import PlanStep
from mongo_dr_console.ui.wizard.planlines import brief, changed_lines, hazard_lines
from mongo_dr_console.ui.wizard.step import StepView
from mongo_dr_console.workers.access import reaches
from mongo_dr_console.workers.desk import Started

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class ConfirmStep(StepView):
    STEP: ClassVar[Step] = Step.CONFIRM
    HELP = (
        "The only step that changes anything: it wants an armed console (A), and the plan's own text where "
        "live data is replaced. The plan is asked for once more before the job starts."
    )
    DEFAULT_CSS = """
    ConfirmStep #confirm-scroll { height: 1fr; }
    ConfirmStep #confirm-said, ConfirmStep #confirm-access, ConfirmStep #confirm-hint { height: auto; }
    ConfirmStep #confirm-buttons { height: 1; margin-top: 1; }
    ConfirmStep #confirm-buttons Button { width: auto; min-width: 10; margin-right: 2; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="confirm-scroll"):
            yield LinesView(id="confirm-said")
        yield LinesView(id="confirm-access")
        with Horizontal(classes="field", id="typing"):
            yield LinesView([line(("  > ", "key"))])
            yield TypedField("", id="typed")
        yield LinesView(id="confirm-hint")
        with Horizontal(id="confirm-buttons"):
            yield ActionButton("Cancel", id="cancel", compact=True)
            yield ActionButton("Arm", id="arm", compact=True)
            yield ActionButton("Restore", id="restore", compact=True, disabled=True)

    def on_mount(self) -> None:
        self._differences: tuple[str, ...] = ()
        self._problem: Problem | None = None
        self._checking = False

    @property
    def plan(self) -> Plan | None:
        return self._planned.plan

    @property
    def _planned(self) -> PlanStep:
        page = self.wizard.page_of(Step.PLAN)
        assert isinstance(page, PlanStep)
        return page

    def enter(self) -> None:
        self._differences, self._problem, self._checking = (), None, False
        self.workers.cancel_group(self, "start")
        self._ask_anew()

    def first(self) -> Widget | None:
        # Enter at once changes nothing.
        return self.query_one("#cancel")

    def show(self, view: View) -> None:
        self.redraw()

    def on_resize(self) -> None:
        when_drawn(self, self.redraw)

    def redraw(self) -> None:
        plan, view = self.plan, self.wizard.view
        if not self.size.width or plan is None:
            return
        width = self.size.width - 4
        self.query_one("#confirm-said", LinesView).set_lines(
            confirm_lines(plan, self._differences, self._problem, width)
        )
        access = access_lines(view, self.console.desk.profile.access, width)
        self.query_one("#confirm-access", LinesView).set_lines(access or asking(plan, width))
        may = reaches(view.granted, "restore")
        armed = may and view.armed_seconds is not None
        field = self.query_one(TypedField)
        gone = [self.query_one("#arm")] if armed or not may else []
        gone += [] if armed and plan.destroys else [field]
        if self.screen.focused in gone:
            # Never on to Restore by itself.
            self.screen.set_focus(self.query_one("#cancel"))
        self.query_one("#arm").display = may and not armed
        self.query_one("#typing").display = field.display = armed and plan.destroys
        self.query_one("#restore", Button).disabled = bool(not armed or (plan.destroys and not field.matched))

    def field_for(self, letter: str) -> Input | None:
        """Focused is Cancel; whoever begins to type means the field."""
        field = self.query_one(TypedField)
        begins = field.display and not field.value and field.wanted.startswith(letter)
        return field if begins and isinstance(self.screen.focused, Button) else None

    @on(TypedField.Matched)
    def _matched(self) -> None:
        self._hint("")
        self.redraw()

    @on(TypedField.PasteRefused)
    def _pasted(self) -> None:
        self._hint("Pasting is not possible here: type it.")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if self.query_one(TypedField).matched:
            self.screen.set_focus(self.query_one("#restore"))
        elif self.plan is not None:
            self._hint(f"That is not {self.plan.confirm}.")

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        if not self.wizard.busy:
            self.wizard.action_back()
            self.console.say("Cancelled. Nothing was changed.")

    @on(Button.Pressed, "#arm")
    def _arm(self) -> None:
        self.console.run_command("arm")

    @on(Button.Pressed, "#restore")
    def _restore(self) -> None:
        plan, field = self.plan, self.query_one(TypedField)
        if plan is None or self._checking or self.wizard.busy or (plan.destroys and not field.matched):
            return
        self._checking, self._problem = True, None
        self._hint("The plan is being checked once more …")
        self.redraw()
        self.ask(lambda: self.console.desk.changes(plan), self._checked, group="start")

    def _checked(self, answer: tuple[Plan, list[str]] | Problem) -> None:
        self._checking = False
        if self.wizard.step is not Step.CONFIRM:
            return
        if isinstance(answer, Problem):
            self._failed(answer)
            return
        fresh, differences = answer
        if differences:
            self._planned.take(fresh)
            self._differences = tuple(differences)
            self._ask_anew()
            self.screen.set_focus(self.query_one("#cancel"))
            return
        plan, typed = self.plan, self.query_one(TypedField).value
        assert plan is not None
        # From here on the answer must be waited for: the job may be there already.
        self._wait("The job is being started; a moment.")
        self.ask(lambda: self.console.desk.restore(plan, typed), self._started, group="start")

    def _started(self, answer: Started | Problem) -> None:
        if isinstance(answer, Problem):
            self._failed(answer)
            return
        self._wait("")
        console = self.console
        console.call_later(follow, console, answer)

    def _failed(self, problem: Problem) -> None:
        self._wait("")
        self._problem = problem
        self.redraw()

    def _ask_anew(self) -> None:
        """What is wanted is that of the plan as it is now; what was typed for another is gone."""
        self.query_one(TypedField).wanted = "" if self.plan is None else self.plan.confirm
        self._hint("")
        self.redraw()
        when_drawn(self, self.redraw)

    def _wait(self, why: str) -> None:
        self.wizard.busy = why
        if why:
            self._problem = None
        self._hint(why)
        self.redraw()

    def _hint(self, text: str) -> None:
        width = max(20, self.size.width - 4)
        hint = self.query_one("#confirm-hint", LinesView)
        hint.set_lines(wrapped(f"! {text}", width, "warning", "  ") if text else [Line()])


async def follow(app: ConsoleApp, started: Started) -> None:
    """Goes to the job's screen, from which back leads to the dashboard."""
    from mongo_dr_console.ui.screens.job import JobScreen

    app.feed.refresh("jobs")
    # The lowest two are Textual's own and the dashboard.
    while len(app.screen_stack) > 2:
        await app.pop_screen()
    await app.push_screen(JobScreen(started.folder.id, started.warning))


def confirm_lines(
    plan: Plan, differences: tuple[str, ...], problem: Problem | None, width: int
) -> list[Line]:
    """What is about to be done, what is new about it, what went wrong."""
    found: list[Line] = []
    if problem is not None:
        found += wrapped(f"✗ {problem.message} {problem.hint}".strip(), width, "critical", "  ")
        found.append(Line())
    if differences:
        found += [*changed_lines(differences, width), Line()]
    found += [line((f"Restore plan {plan.id}", "title")), *hazard_lines(plan, width), *brief(plan, width)]
    found += wrapped(
        f"Into {plan.identity}, from snapshot {plan.snapshot.name} in {plan.snapshot.store}.", width
    )
    return found + _targets(plan, width)


def _targets(plan: Plan, width: int) -> list[Line]:
    found: list[Line] = []
    for planned in plan.namespaces[:8]:
        found += [
            line("  ", *part.spans) for part in wrapped(f"{planned.target}: {planned.effect}", width - 2)
        ]
    if len(plan.namespaces) > 8:
        found.append(line(f"  and {len(plan.namespaces) - 8} more, in the plan"))
    return found


def access_lines(view: View, bound: str, width: int) -> list[Line]:
    """Whether this console may do it now, and how it comes to may."""
    if not reaches(view.granted, "restore"):
        how = "Start it with: mdr console --allow-restore"
        if bound != "restore":
            how = f'The profile allows {bound!r} only; set access = "restore" in it if that is meant.'
        text = f"This console was started for {view.granted!r}: it can look at the plan, not do it. {how}"
        return wrapped(f"! {text}", width, "warning", "  ")
    if view.armed_seconds is None:
        text = "This console is not armed. Arm it with A or the button; that by itself changes nothing."
        return wrapped(f"! {text}", width, "warning", "  ")
    return []


def asking(plan: Plan, width: int) -> list[Line]:
    """What must be typed."""
    if not plan.destroys:
        text = "Nothing that is live is replaced or dropped, so nothing needs to be typed."
        return wrapped(f"{text} Tab goes to Restore.", width)
    return wrapped(f"Type {plan.confirm} to go on:", width, "strong")
