"""What every step of the wizard is: a page that knows when it is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.containers import Vertical
from textual.widget import Widget

from mongo_dr_console.model.wizard import Step, problem
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.lines import Line, Role, wrapped
from mongo_dr_console.ui.view import View

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.ui.wizard.screen import WizardScreen

R = TypeVar("R")


def indented(text: str, width: int, role: Role = "", sign: str = "") -> list[Line]:
    """A sentence two cells in, with a sign before it."""
    parts = wrapped(text, width - 2)
    return [
        Line(((f"{sign if number == 0 else '':<2}", role), (part.text, role)))
        for number, part in enumerate(parts)
    ]


class StepView(Vertical):
    """One step.

    ``enter`` when it comes up, ``show`` with every view, ``leave`` before the next one: it takes what stands
    in the fields into the state, and says why the step is not complete.
    """

    STEP: ClassVar[Step]

    DEFAULT_CSS = "StepView { height: 1fr; }"

    @property
    def wizard(self) -> WizardScreen:
        return cast("WizardScreen", self.screen)

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def enter(self) -> None:
        """It comes up."""

    def show(self, view: View) -> None:
        """A moment has passed, or a reading came."""

    def redraw(self) -> None:
        """The state has changed."""

    def not_now(self) -> set[str]:
        """Ids of bindings that could only say why they do nothing now."""
        return set()

    def leave(self) -> str:
        """Why the step is not complete; empty if it is."""
        return problem(self.wizard.state, self.STEP, self.wizard.known)

    def first(self) -> Widget | None:
        """What gets the focus; None: the first that can have it."""
        return None

    def ask(self, call: Callable[[], R], then: Callable[[R | Problem], Any], *, group: str) -> None:
        """Calls in a thread; ``then`` gets the answer if the step is still there."""

        async def run() -> None:
            answer = await in_thread(call)
            if self.is_mounted and self.is_attached:
                then(answer)

        # Not called before it runs: a worker that is cancelled first would leave it unawaited.
        self.run_worker(run, exit_on_error=False, exclusive=True, group=group)  # type: ignore[arg-type]
