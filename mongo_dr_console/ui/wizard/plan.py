"""Step 5: exactly what will be done, before anything is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget

from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.model.redaction import redacted
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.wizard import Step, intent
from mongo_dr_console.model.words import duration
from mongo_dr_console.ui.background import Problem, problem_of
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.wizard.planlines import plan_page
from mongo_dr_console.ui.wizard.step import StepView


class PlanStep(StepView):
    """The plan of the intent that was put together; it is made anew when the intent is another one."""

    STEP: ClassVar[Step] = Step.PLAN
    HELP = "Exactly what will be done. Nothing was changed by making it, and leaving it changes nothing."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy command", id="plan.copy"),
        Binding("w", "write", "write as JSON", id="plan.write"),
        Binding("p", "again", "plan again", id="plan.again"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="plan-scroll"):
            yield LinesView(id="plan-text")

    def on_mount(self) -> None:
        self.plan: Plan | None = None
        """The plan that is shown; None while there is none."""
        self._of: Intent | None = None
        self._problem: Problem | None = None
        self._since = self.wizard.view.now
        self._without_values = False

    def enter(self) -> None:
        try:
            wanted = intent(self.wizard.state)
        except WrongUse as error:
            self.plan, self._problem = None, problem_of(error)
            return
        if self.plan is None or wanted != self._of:
            self._make(wanted)
        self.redraw()

    def first(self) -> Widget | None:
        return self.query_one("#plan-scroll")

    def show(self, view: View) -> None:
        waits = self.plan is None and self._problem is None
        if waits or self._without_values != self.console.values_hidden:
            self.redraw()

    def on_resize(self) -> None:
        when_drawn(self, self.redraw)

    def redraw(self) -> None:
        self._without_values = self.console.values_hidden
        if self.size.width:
            self.query_one("#plan-text", LinesView).set_lines(self._lines(self.size.width - 4))

    def not_now(self) -> set[str]:
        return {"plan.copy", "plan.write"} if self.plan is None else set()

    def leave(self) -> str:
        if self.plan is not None:
            return ""
        if self._problem is not None:
            return "There is no plan: see above. Go back and change what was chosen, or plan again with p."
        return "The plan is being made."

    def take(self, plan: Plan) -> None:
        """Shows another plan of the same intent: it was made anew."""
        self.plan = plan
        self.redraw()

    def action_again(self) -> None:
        """Makes the plan once more."""
        if self._of is not None:
            self._make(self._of)
            self.redraw()

    def action_copy(self) -> None:
        """Copies the command that does the same."""
        if self.plan is not None:
            self.app.copy_to_clipboard(self.plan.command)
            self.console.say("The command was copied.")

    def action_write(self) -> None:
        """Writes the plan as JSON into a file of its own, for mdr restore run --plan."""
        if self.plan is not None:
            plan = self.plan
            self.ask(lambda: self.console.desk.save_plan(plan), self._written, group="write")

    def _written(self, answer: object) -> None:
        if isinstance(answer, Problem):
            self.console.say_problem(answer)
        else:
            self.console.say(f"The plan was written to {answer}")

    def _make(self, wanted: Intent) -> None:
        self._of, self.plan, self._problem, self._since = wanted, None, None, self.console.clock()
        self.wizard.complain("")
        self.query_one("#plan-scroll").scroll_home(animate=False)
        self.ask(lambda: self.console.desk.plan(wanted), self._answered, group="plan")

    def _answered(self, answer: Plan | Problem) -> None:
        if isinstance(answer, Problem):
            self._problem = answer
        else:
            self.plan = answer
        self.redraw()

    def _lines(self, width: int) -> list[Line]:
        if self.plan is not None:
            return plan_page(redacted(self.plan) if self._without_values else self.plan, width)
        if self._problem is not None:
            return problem_lines(self._problem, width)
        passed = (self.wizard.view.now - self._since).total_seconds()
        return [
            line(("Making the plan …", "strong"), (f"  {duration(max(0.0, passed))}", "dim")),
            *wrapped("The oplog and the live collections are looked at; nothing is changed.", width, "dim"),
        ]


def problem_lines(problem: Problem, width: int) -> list[Line]:
    """Why there is no plan, and what to do."""
    found = wrapped(f"✗ No plan can be made: {problem.message}", width, "critical", "  ")
    if problem.hint:
        found += [Line(), *wrapped(f"→ {problem.hint}", width, "", "  ")]
    unsaid = "" if "Nothing was changed" in problem.message else "Nothing was changed. "
    return [*found, Line(), *wrapped(f"{unsaid}Go back to choose otherwise; p plans again.", width, "dim")]
