"""A plan on the screen: what is dangerous first, then all of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from mongo_dr_console.model.foldtext import fold
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.plantext import later_writes, plan_lines
from mongo_dr_console.model.words import duration
from mongo_dr_console.ui.lines import Line, Role, Span, line, plain, wrapped

_HAZARDS: dict[str, tuple[str, str, Role]] = {
    "danger": ("✗", "DANGER", "critical"),
    "warning": ("!", "warning", "warning"),
    "info": ("i", "note", "info"),
}
_LABEL = 16
"""Cells before the text of a line that begins with a label, in ``plan_lines``."""


def plan_page(plan: Plan, width: int) -> list[Line]:
    """Hazards on top, in short what it comes to, then the plan as it is printed everywhere."""
    return [*hazard_lines(plan, width), *brief(plan, width), Line(), *_whole(plan, width)]


def hazard_lines(plan: Plan, width: int) -> list[Line]:
    """What to know before confirming, the worst first; notes stand in the plan only."""
    found: list[Line] = []
    order = ["danger", "warning"]
    for hazard in sorted(
        (h for h in plan.hazards if h.severity in order), key=lambda h: order.index(h.severity)
    ):
        sign, word, role = _HAZARDS[hazard.severity]
        found += _labelled(f"{sign} {word}", role, hazard.text, width)
    return found


def brief(plan: Plan, width: int) -> list[Line]:
    """What it comes to: what is lost, how long it takes, what is replaced."""
    count = len(plan.namespaces)
    parts = [f"{count} collection{'' if count == 1 else 's'}", _live_ones(plan)]
    if plan.limit.follow:
        parts.append("later writes are kept")
    elif plan.lost_seconds is not None:
        parts.append(f"goes back {duration(plan.lost_seconds)}")
        parts.append(later_writes(plan))
    if plan.estimate_seconds is not None:
        parts.append(f"takes about {duration(plan.estimate_seconds)}")
    return wrapped("; ".join(parts) + ".", width, "strong")


def _live_ones(plan: Plan) -> str:
    found = []
    ways = (("in-place", "DROPS"), ("swap", "replaces"), ("merge", "brings documents back into"))
    for mode, done in ways:
        hit = sum(1 for n in plan.namespaces if n.live_uuid and n.mode == mode)
        if hit:
            found.append(f"{done} {hit} live one{'' if hit == 1 else 's'}")
    return " and ".join(found) or "replaces nothing that is live"


def changed_lines(differences: Sequence[str], width: int) -> list[Line]:
    """What is not the same as in the plan that was read."""
    if not differences:
        return []
    head = "The plan has changed since you read it. Nothing was started. What is different:"
    found = wrapped(f"! {head}", width, "warning", "  ")
    for text in differences:
        found += _indented(f"- {text}", width)
    return found


def _labelled(label: str, role: Role, text: str, width: int) -> list[Line]:
    parts = wrapped(text, max(20, width - 11))
    return [
        line((f"{label:<11}" if number == 0 else " " * 11, role), part.text)
        for number, part in enumerate(parts)
    ]


def _indented(text: str, width: int) -> list[Line]:
    return [line("  ", *part.spans) for part in wrapped(text, width - 2, "", "  ")]


def _whole(plan: Plan, width: int) -> Iterator[Line]:
    for text in plan_lines(plan):
        for number, part in enumerate(_folded(plain(text), width)):
            yield Line(tuple(_spans(part, first=number == 0)))


def _folded(text: str, width: int) -> Iterator[str]:
    """Folded at words, and then, since nothing may be cut off, anywhere."""
    for part in fold(text, width):
        row = part
        while cell_len(row) > width:
            used = size = 0
            for used, character in enumerate(row):  # noqa: B007
                size += cell_len(character)
                if size > width:
                    break
            yield row[:used]
            row = f"    {row[used:]}"
        yield row


def _spans(text: str, *, first: bool) -> Iterator[Span]:
    words = text.strip().split(" ", 2)
    if text.startswith("PLAN "):
        yield text, "title"
    elif (
        first and words[0] in ("✗", "!", "i") and len(words) > 1 and words[1] in ("DANGER", "WARNING", "INFO")
    ):
        yield text, {"✗": "critical", "!": "warning", "i": "info"}[words[0]]  # type: ignore[misc]
    elif first and text.startswith("  ") and text[2:3].isalpha() and text[_LABEL - 2 : _LABEL] == "  ":
        yield text[:_LABEL], "dim"
        yield text[_LABEL:], ""
    else:
        yield text, ""
