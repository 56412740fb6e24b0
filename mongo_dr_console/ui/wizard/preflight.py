"""Step 1: whether a restore could go well from here and now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from mongo_dr_console.model.finding import Finding
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.background import Problem
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, fitted, line, pad, wrapped
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.wizard.step import StepView


class PreflightStep(StepView):
    STEP: ClassVar[Step] = Step.PREFLIGHT
    HELP = "Whether a restore could go well from here and now, each finding with its remedy."

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "again", "look again", id="preflight.again")]

    def compose(self) -> ComposeResult:
        yield LinesView(id="preflight-head")
        with VerticalScroll(id="preflight-scroll"):
            yield LinesView(id="findings")

    def on_mount(self) -> None:
        self._found: list[Finding] | Problem | None = None

    def enter(self) -> None:
        readings = self.wizard.view.readings
        self.ask(lambda: self.console.desk.preflight(readings), self._answered, group="preflight")
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def action_again(self) -> None:
        """Looks at everything once more."""
        self._found = None
        self.enter()

    def _answered(self, answer: list[Finding] | Problem) -> None:
        self._found = answer
        self._draw()

    def _draw(self) -> None:
        width = max(20, self.query_one("#preflight-scroll").size.width - 2)
        head, body = preflight_lines(self._found, width)
        self.query_one("#preflight-head", LinesView).set_lines(head)
        self.query_one("#findings", LinesView).set_lines(body)


def preflight_lines(found: Sequence[Finding] | Problem | None, width: int) -> tuple[list[Line], list[Line]]:
    """The sentence on top, and the findings: the worst first, each with what to do."""
    if found is None:
        return [line(("Looking at deployment, stores and this host …", "dim"))], []
    if isinstance(found, Problem):
        return wrapped(f"? It could not be looked: {found.message} {found.hint}", width, "unknown"), []
    body: list[Line] = []
    for finding in sorted(found, key=lambda f: -f.level.rank):
        body += _finding_lines(finding, width)
    return _head(found, width), body


def _head(found: Sequence[Finding], width: int) -> list[Line]:
    counts = [(level, sum(f.level is level for f in found)) for level in Level]
    bad = [f"{n} {level.word}" for level, n in reversed(counts) if n and level is not Level.FINE]
    if not bad:
        return wrapped("✓ ok: nothing that was looked at keeps a restore from going well.", width, "fine")
    head = ", ".join(bad)
    all_of_them = f"{len(found)} finding{'' if len(found) == 1 else 's'}"
    text = f"{head}, of {all_of_them}. A plan can be made and read all the same."
    return [*wrapped(text, width, "strong"), Line()]


def _finding_lines(finding: Finding, width: int) -> list[Line]:
    role: Role = ROLE_OF_LEVEL[finding.level]
    word = finding.level.word.upper() if finding.level is Level.CRITICAL else finding.level.word
    label = f"{finding.level.glyph} {pad(word, 9)}"
    text = wrapped(f"{finding.subject}: {finding.text}", width - len(label))
    lines = [line((label, role), text[0].text)]
    lines += [line(" " * len(label), more.text) for more in text[1:]]
    if finding.fix:
        lines += [
            line(" " * len(label), (part.text, "dim"))
            for part in wrapped(f"→ {finding.fix}", width - len(label), indent="  ")
        ]
    return [fitted(one, width) for one in lines]
