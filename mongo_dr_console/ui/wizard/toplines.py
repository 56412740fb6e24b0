"""What stands around a step: the facts above it, the list of steps, what the keys do. Pure."""

from __future__ import annotations

from mongo_dr_console.model.present import numbers_line
from mongo_dr_console.model.wizard import Step, WizardState, summary
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, Span, fit, fitted, line
from mongo_dr_console.ui.view import View


def fact_rows(view: View, width: int) -> list[Line]:
    """RPO and RTO now, and the verdict."""
    numbers = numbers_line(view.readings, view.limits, view.now)
    texts = [*numbers.cells]
    # Where there is no room the ranges and targets in brackets go first, from the right.
    for place in (2, 2, 1, 0):
        if len("   ".join(texts)) + 2 <= width:
            break
        texts[place] = texts[place].rpartition(" (")[0] or texts[place]
    level = numbers.level
    mark: Span = ("  ", "") if level is None else (f"{level.glyph} ", _role(ROLE_OF_LEVEL[level]))
    verdict = view.verdict
    return [
        fitted(line(mark, "   ".join(texts)), width),
        fitted(
            line((f"{verdict.level.glyph} ", _role(ROLE_OF_LEVEL[verdict.level])), verdict.text),
            width,
        ),
    ]


def step_list(state: WizardState, now: Step, furthest: Step, width: int) -> list[Line]:
    """The steps below one another, with what was chosen in each."""
    found: list[Line] = []
    for step in Step:
        found.append(_named(step, now, furthest))
        chosen = summary(state, step) if step <= furthest else ""
        found.append(line((f"    {fit(chosen, max(0, width - 5))}", "dim")) if chosen else Line())
    return found


def step_bar(now: Step, furthest: Step, width: int) -> Line:
    """The steps beside one another; the one that is on is always there in full."""
    spans: list[Span] = []
    for step in Step:
        spans += [*_named(step, now, furthest).spans, (" ", "")]
    whole = Line(tuple(spans))
    if whole.width <= width + 1:
        return fitted(whole, width)
    return fitted(line(f"Step {int(now)} of {len(Step)}: ", (now.title, "focus")), width)


def _named(step: Step, now: Step, furthest: Step) -> Line:
    if step is now:
        return line(("▶ ", "focus"), (f"{int(step)} {step.title}", "focus"))
    if step < furthest or (step < now):
        return line(("✓ ", "fine"), f"{int(step)} {step.title}")
    return line((f"  {int(step)} {step.title}", "dim"))


def _role(name: str) -> Role:
    return name  # type: ignore[return-value]
