"""The screen of the schedule as lines. Pure."""

from __future__ import annotations

from datetime import datetime

from mongo_dr_console.model.scheduleview import ScheduledKind, ScheduleDocument, last_words, notes, who_leads
from mongo_dr_console.model.words import moment
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, Role, line, table, wrapped

_HEADER = ("KIND", "WHEN", "LAST (UTC)", "STATE", "NEXT (UTC)")


def schedule_page(document: ScheduleDocument, now: datetime, width: int) -> list[Line]:
    """Who sees to it, each kind with its runs, and why one waits, was skipped or failed."""
    leads: Role = "" if document.leading else "warning"
    glyph = "●" if document.leading else "!"
    rows = [rule("Schedule", width), *wrapped(f"{glyph} {who_leads(document, now)}", width, leads, "  ")]
    if not document.kinds:
        text = f"Nothing is scheduled: [profiles.{document.profile}.schedule] is empty."
        return [*rows, line(""), *wrapped(text, width, "dim")]
    body = [
        ((k.kind, k.expression, *last_words(k), "never" if k.next is None else moment(k.next)), *_mark(k))
        for k in document.kinds
    ]
    rows += [line(""), *table(_HEADER, body, width), line("")]
    for kind in document.kinds:
        glyph, role = _mark(kind)[1] or "·", _mark(kind)[0]
        for text in notes(kind):
            rows += wrapped(f"{glyph} {kind.kind}: {text}", width, role, "  ")
    return [*rows, line(""), *wrapped(_bounds(document), width, "dim")]


def _mark(kind: ScheduledKind) -> tuple[Role, str]:
    state = None if kind.last is None else kind.last.state
    if state in ("failed", "lost"):
        return "critical", "✗"
    if kind.held is not None or state in ("partial", "stopped", "skipped"):
        return "warning", "!"
    if state in ("starting", "running"):
        return "info", "●"
    return ("fine", "✓") if state == "done" else ("dim", "·")


def _bounds(document: ScheduleDocument) -> str:
    parts = [f"The expressions are in {document.timezone}."]
    if document.window is not None:
        parts.append(f"Runs begin between {document.window} only.")
    if document.jitter_seconds:
        parts.append(f"Each begins up to {document.jitter_seconds:.0f} s later than its time.")
    return " ".join(parts)
