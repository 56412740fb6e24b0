"""A job's page as lines: who asked for it, how far each step is, its log, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len

from mongo_dr_console.model.eta import Pace, left_text
from mongo_dr_console.model.jobview import JobState, JobView, NoteView, StepState, StepView
from mongo_dr_console.model.journal import KEPT_NOTES
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.progresstext import done_parts, progress_parts
from mongo_dr_console.model.words import clock, duration, moment
from mongo_dr_console.ui.lines import Line, Role, fit, fitted, joined, line, pad, plain, wrapped

INDENT = "  "


class Sign(NamedTuple):
    """A state as it is drawn: glyph, role, word."""

    glyph: str
    role: Role
    word: str


STATES: dict[JobState, Sign] = {
    "running": Sign("●", "info", "running"),
    "done": Sign("✓", "fine", "done"),
    "partial": Sign("!", "warning", "partial"),
    "failed": Sign("✗", "critical", "FAILED"),
    "stopped": Sign("!", "warning", "stopped"),
}
_STEPS: dict[StepState, Sign] = {
    "running": STATES["running"],
    "done": STATES["done"],
    "failed": STATES["failed"],
    "stopped": STATES["stopped"],
}
_NOTES: dict[str, Sign] = {
    "info": Sign(" ", "", ""),
    "warning": Sign("!", "warning", "warning: "),
    "error": Sign("✗", "critical", "error: "),
}
_STEP_WIDTH, _WORD_WIDTH = 11, 8
_LEAST_DETAIL = 10
_LABEL = 11


def sign_of(view: JobView) -> Sign:
    """The job's state; one that was asked to stop and works on says so."""
    if view.state == "running" and view.stop_requested:
        return Sign("●", "warning", "stopping")
    if view.state == "running" and view.attempt == 0:
        return Sign("●", "info", "starting")
    return STATES[view.state]


def header_lines(view: JobView, now: datetime, width: int) -> list[Line]:
    """What it is, how it stands, since when; whose it is and where it runs."""
    sign = sign_of(view)
    begun = view.started_at or view.created_at
    until = view.ended_at or (now if view.state == "running" else None)
    spent = "" if until is None else duration(max(0.0, round((until - begun).total_seconds())))
    more = f"attempt {view.attempt}" if view.attempt > 1 else ""
    right = f"{'took' if view.ended_at else 'for'} {spent}" if spent else ""
    left = line(
        (f"{sign.glyph} {sign.word}", sign.role), "  ", (view.kind, "strong"), " job ", (view.job, "strong")
    )
    first = joined(left, line(("  ".join(p for p in (more, right) if p), "")), width)
    return [first, fitted(line((_whose(view, begun), "dim")), width)]


def _whose(view: JobView, begun: datetime) -> str:
    where = f", process {view.pid} on {view.host}" if view.pid and view.state == "running" else ""
    since = "since" if view.state == "running" else "began"
    return f"{since} {moment(begun)}  by {view.owner or 'nobody known'}{where}"


# Steps


def step_lines(steps: Sequence[StepView], pace: Pace, width: int, room: int | None = None) -> list[Line]:
    """All steps, a bar below each one that runs; where there is too little room the first finished ones are
    counted only."""
    if not steps:
        return [line(("no step has begun yet", "dim"))]
    groups = [_step(step, pace, width) for step in steps]
    hidden = 0
    while room is not None and hidden < len(groups) - 1 and _height(groups, hidden) > room:
        hidden += 1
    shown = [row for group in groups[hidden:] for row in group]
    if not hidden:
        return shown
    count = f"{hidden} earlier step{'' if hidden == 1 else 's'}"
    good = all(s.state == "done" for s in steps[:hidden])
    sign = STATES["done"] if good else Sign("!", "warning", "not all done")
    return [line((f"{sign.glyph} ", sign.role), f"{count} {sign.word}"), *shown]


def _height(groups: Sequence[Sequence[Line]], hidden: int) -> int:
    return sum(len(group) for group in groups[hidden:]) + bool(hidden)


def _step(step: StepView, pace: Pace, width: int) -> list[Line]:
    sign = _STEPS[step.state]
    word = pad(sign.word, _WORD_WIDTH)
    head = line((f"{sign.glyph} ", sign.role), pad(step.step, _STEP_WIDTH), " ", (word, sign.role), " ")
    row = [fitted(line(*head.spans, _told(step, pace, max(10, width - head.width))), width)]
    if step.state == "running" and step.percent is not None:
        row.append(line(INDENT, (bar(step.percent, min(60, width - 8)), "info"), f" {step.percent:3.0f}%"))
    return row


def _told(step: StepView, pace: Pace, room: int) -> str:
    """What is known of a step, the most important that fits."""
    if step.state == "done":
        what, detail = done_parts(step)
        return _with_detail(fit(what, room), detail, room)
    parts = progress_parts(step)
    if step.state == "running" and (left := pace.left(step)) is not None:
        parts["left"] = left_text(left)
    if step.state == "running":
        parts.pop("percent", None)  # it stands on the bar
    detail = parts.pop("detail", "")
    names = list(parts)
    order = [names.index(name) for name in ("rate", "left") if name in parts]
    return _with_detail(fitting([parts[name].strip() for name in names], room, order), detail, room)


def _with_detail(text: str, detail: str, room: int) -> str:
    """A name of others', last and cut; left out where a cut one would say nothing."""
    left = room - cell_len(text) - 2
    shown = fit(plain(detail), left) if left >= _LEAST_DETAIL else ""
    return "  ".join(part for part in (text, shown) if part)


def fitting(parts: Sequence[str], room: int, expendable: Sequence[int]) -> str:
    """Parts in one row; those that are expendable go, the first of them first, until the rest fits.

    >>> fitting(["10 of 20", "5/s", "2 s left"], 18, (1, 2)), fitting(["a", ""], 9, ())
    ('10 of 20  2 s left', 'a')
    """
    gone: set[int] = set()
    for index in (*expendable, None):
        text = "  ".join(part for i, part in enumerate(parts) if part and i not in gone)
        if cell_len(text) <= room or index is None:
            return text
        gone.add(index)
    raise AssertionError("unreachable")


def bar(percent: float, width: int) -> str:
    """
    >>> bar(50, 8), bar(0, 4), bar(99.9, 4), bar(100, 4)
    ('████░░░░', '░░░░', '███░', '████')
    """
    full = int(width * min(100.0, max(0.0, percent)) / 100)
    return "█" * full + "░" * (width - full)


# The log


def log_lines(notes: Sequence[NoteView], width: int, journal: str = "") -> list[Line]:
    """The notes, oldest first; where the older ones are not kept it says where they are."""
    found: list[Line] = []
    if len(notes) >= KEPT_NOTES and journal:
        found += wrapped(f"the newest {KEPT_NOTES} notes; all of them: {journal}", width, "dim")
    for note in notes:
        found += _note(note, width)
    return found or [line(("nothing was noted yet", "dim"))]


def _note(note: NoteView, width: int) -> list[Line]:
    sign = _NOTES.get(note.level, _NOTES["info"])
    head = f"{clock(note.at)} {sign.glyph} "
    rows = wrapped(f"{sign.word}{note.text}", width - len(head))
    first = line((clock(note.at), "dim"), " ", (f"{sign.glyph} ", sign.role), *rows[0].spans)
    return [first, *(line(" " * len(head), *row.spans) for row in rows[1:])]


# A job of another host


def remote_lines(lock: LockInfo, now: datetime, width: int, trouble: str = "") -> list[Line]:
    """What the deployment's lock says of a job whose log is on another host.

    Args:
        lock: As last read.
        trouble: Why it cannot be read now; empty if it can.
    """
    alive = lock.fresh or bool(trouble)
    sign = STATES["running"] if alive else Sign("?", "unknown", "unknown")
    spent = duration(max(0.0, round((now - lock.started).total_seconds())))
    head = line(
        (f"{sign.glyph} {sign.word}", sign.role), "  ", (lock.kind, "strong"), " job ", (lock.job, "strong")
    )
    rows = [
        joined(head, line(f"for {spent}"), width),
        fitted(line((f"since {moment(lock.started)}  by {lock.owner}", "dim")), width),
        line(""),
        *labelled("at", lock.where, width, _LABEL),
    ]
    if lock.percent is not None:
        rows.append(
            line(" " * _LABEL, (bar(lock.percent, min(60, width - 18)), "info"), f" {lock.percent:3.0f}%")
        )
    age = f"{duration(round(lock.age_seconds))} ago"
    rows += labelled("host", f"{lock.host}, process {lock.pid}", width, _LABEL)
    if alive:
        rows += labelled("heartbeat", age, width, _LABEL)
        if trouble:
            said = f"? The lock cannot be read now, this is how it was: {trouble}"
            rows += wrapped(said, width, "unknown", "  ")
        rows.append(line(""))
        rows += wrapped("It runs on another host; its log and its result are there:", width)
        rows += _there(lock.host, f"mdr jobs attach {lock.job}")
    else:
        dead = f"{age}: it seems to be dead, or cut off from the deployment"
        rows += labelled("heartbeat", dead, width, _LABEL, "warning")
        rows.append(line(""))
        rows += wrapped("What it left half-done stays as it is; only its resume can finish it:", width)
        rows += _there(lock.host, f"mdr jobs resume {lock.job}")
    return rows


def gone_lines(job: str, last: LockInfo | None, width: int) -> list[Line]:
    """A job that neither this host nor the deployment's lock knows (any more)."""
    if last is None:
        text = f"This host has no job {job}, and the deployment's lock is not held by it."
        return [*wrapped(text, width), *wrapped("The jobs of this host: J", width, "dim")]
    text = (
        f"Job {job} ({last.kind}) of {last.owner} does not hold the deployment's lock any more: it has "
        "ended. How it ended is told on its host:"
    )
    rows = [*wrapped(text, width), *_there(last.host, f"mdr jobs show {job}")]
    title = line(("? ended", "unknown"), "  ", (last.kind, "strong"), " job ", (job, "strong"))
    return [title, line(""), *rows]


def _there(host: str, command: str) -> list[Line]:
    """A command for another host, in one piece: it will be copied."""
    return [line(f"  {host}$ ", (command, "strong"))]


def labelled(label: str, text: str, width: int, deep: int, role: Role = "", mark: Role = "dim") -> list[Line]:
    """A fact under its label; what does not fit on the first row stands below it.

    >>> [row.text for row in labelled("host", "db-1 of Lyon", 14, 6)]
    ['host  db-1 of', '      Lyon']
    """
    first, *others = wrapped(text, width - deep, role)
    head = line((pad(label, deep), mark), *first.spans)
    return [head, *(line(" " * deep, *row.spans) for row in others)]


def rule(title: str, width: int) -> Line:
    """A heading across the page."""
    text = f"── {title} "
    return line((pad(text + "─" * max(0, width - len(text)), width), "title"))
