"""How a job ended, as lines: its result, what went wrong, what can be done next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mongo_dr_console.model.eta import Pace
from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.resulttext import result_lines
from mongo_dr_console.model.words import counted, moment
from mongo_dr_console.ui.jobpages import header_lines, labelled, log_lines, rule, sign_of, step_lines
from mongo_dr_console.ui.lines import Line, line, wrapped

_LABEL = 14


def takes_back(view: JobView) -> str | None:
    """The restore that can be taken back from this job's page; None where there is none."""
    placed = view.kind == "restore" and view.result is not None and view.result.get("take_back")
    return view.job if placed and view.state in ("done", "partial") else None


def settles(view: JobView) -> str | None:
    """The restore whose collections set aside can be dropped from this job's page: its own, or the one that
    it took back."""
    if view.kind == "undo" and view.state == "done" and view.result is not None and not is_merge(view):
        return str(view.result.get("undone") or "") or None
    return None if is_merge(view) else takes_back(view)


def is_merge(view: JobView) -> bool:
    """Whether documents were merged, so that no collection was set aside."""
    return bool((view.result or {}).get("merged"))


def still_open(view: JobView, settlements: Sequence[JobView]) -> tuple[str | None, str | None]:
    """What can be taken back and settled from here, after what was done about it since."""
    kinds = {s.kind for s in settlements if s.state in ("done", "running")}
    undo, accept = takes_back(view), settles(view)
    if "accept" in kinds:
        return None, None
    return (None if "undo" in kinds else undo), accept


def result_page(
    view: JobView,
    settlements: Sequence[JobView],
    journal: str,
    pace: Pace,
    width: int,
    keys: Mapping[str, str] | None = None,
) -> list[Line]:
    """Everything below the header, the most important first. ``keys``: those that the user has given other
    places, by the id of their binding."""
    rows = [rule("How it ended", width), *_ended(view, width)]
    if facts := result_lines(view):
        rows += [rule("Result", width), *_facts(facts, width)]
    if nexts := _next(view, settlements, keys or {}, width):
        rows += [rule("What can be done", width), *nexts]
    rows += [rule("Steps", width), *step_lines(view.steps, pace, width)]
    rows += [rule("Log", width), *log_lines(view.notes, width, journal)]
    rows += [rule("Report", width), *_report(view, journal, width)]
    return rows


def report_text(view: JobView, settlements: Sequence[JobView], journal: str, now: datetime) -> str:
    """The page as plain text, for a ticket."""
    width = 100
    rows = [*header_lines(view, now, width), *result_page(view, settlements, journal, Pace(), width)]
    return "\n".join(row.text.rstrip() for row in rows) + "\n"


_ENDED = {
    "done": "All of it was done.",
    "partial": "It was done but for what is said here.",
    "failed": "It failed.",
    "stopped": "It stopped at a safe point, as was asked.",
}


def _ended(view: JobView, width: int) -> list[Line]:
    sign = sign_of(view)
    at = "" if view.ended_at is None else f" at {moment(view.ended_at)}"
    rows = [line((f"{sign.glyph} {sign.word}", sign.role), f"{at}, exit code {view.exit_code}")]
    if view.error is None:
        return [*rows, *wrapped(_ENDED.get(view.state, ""), width)]
    rows += wrapped(view.error.message, width, sign.role)
    if view.error.hint:
        rows += labelled("next:", view.error.hint, width, 6)
    return rows


def _facts(texts: Sequence[str], width: int) -> list[Line]:
    rows: list[Line] = []
    for text in texts:
        label, fact = text[2 : 2 + _LABEL], text[2 + _LABEL :]
        bad = label.strip() == "conflict"
        parts = wrapped(fact, width - _LABEL - 2)
        for number, part in enumerate(parts):
            head = f"! {label}" if bad and not number else f"  {label if not number else ' ' * _LABEL}"
            rows.append(line((head, "warning" if bad else "dim"), *part.spans))
    return rows


def _next(view: JobView, settlements: Sequence[JobView], keys: Mapping[str, str], width: int) -> list[Line]:
    rows: list[Line] = []
    for done in settlements:
        sign = sign_of(done)
        what = "taken back" if done.kind == "undo" else "settled"
        text = {
            "done": f"it was {what} by job {done.job}",
            "running": f"job {done.job} is at it ({done.kind})",
        }
        said = text.get(done.state, f"{done.kind} by job {done.job} ended {done.state}")
        rows.append(line((f"{sign.glyph} ", sign.role), said))
    undo, accept = still_open(view, settlements)
    if undo is not None:
        what = "the collections as they were before get their names back"
        if is_merge(view):
            what = "what was brought back goes again, but for what was written since"
        rows += _key(keys.get("job.undo", "u"), f"undo: {what}", width)
    if accept is not None:
        rows += _key(
            keys.get("job.accept", "c"),
            "accept: what was set aside is dropped; there is no undo after it",
            width,
        )
    if resumable(view):
        rows += _key(keys.get("job.resume", "r"), "resume: it goes on from where it was", width)
    return rows


def resumable(view: JobView) -> bool:
    return view.state in ("failed", "stopped", "partial")


def _key(key: str, text: str, width: int) -> list[Line]:
    return labelled(f"  {key}", text, width, 5, mark="key")


def _report(view: JobView, journal: str, width: int) -> list[Line]:
    rows = labelled("journal", journal, width, 10) if journal else []
    ledgers = [s.detail for s in view.steps if s.step == "ledger" and s.state == "done" and s.detail]
    for path in ledgers:
        rows += labelled("ledger", f"{path} in the store", width, 10)
    return [*rows, line((f"as JSON   mdr jobs show {view.job} --json", "dim"))]


# What is said before a restore is taken back or settled


def undo_lines(view: JobView, writes: int | None, asked: bool, width: int) -> list[Line]:
    """What an undo does, and what becomes of the writes made since.

    Args:
        writes: How many operations reached the restored collections since.
        asked: Whether that could be found out; if not, None means that nobody knows.
    """
    names = _said(view, "namespaces", "to")
    if is_merge(view):
        head = f"Job {view.job} is taken back. What it brought back goes, and what it replaced comes again:"
        rows = [*wrapped(head, width), *_names(names, width)]
        return [*rows, *wrapped("A document that was written since stays as it is now.", width)]
    rows = wrapped(
        f"Job {view.job} is taken back. The collections as they were before it get their names back:", width
    )
    rows += _names(names, width)
    if writes:
        since = f"{counted(writes, 'write')} reached the restored collections since."
        rows += wrapped(f"! {since} They are not in what comes back.", width, "warning", "  ")
    elif writes == 0:
        rows += wrapped("Nothing was written to the restored collections since.", width)
    else:
        why = "the oplog does not reach back so far" if asked else "it could not be counted now"
        rows += wrapped(
            f"! How much was written to them since is not known: {why}. It is not in what comes back.",
            width, "warning", "  ",
        )  # fmt: skip
    those = "" if writes == 0 else " with those writes"
    text = f"The restored collections are set aside{those}, and stay until you accept."
    return [*rows, *wrapped(text, width)]


def accept_lines(view: JobView, width: int) -> list[Line]:
    """What an accept does."""
    kept = _said(view, "set_aside", "kept_as")
    rows = wrapped("What was set aside is dropped for good:", width)
    rows += _names(kept, width)
    if view.kind == "undo":
        what = "The writes made to the restored collections go with it."
    else:
        what = "What is live now stays as it is, with all writes made since."
    rows += wrapped(what, width)
    return [*rows, *wrapped("! There is no undo after it.", width, "warning", "  ")]


def _said(view: JobView, what: str, key: str) -> list[str]:
    """One value of each row of a list in the result, as far as the journal is whole."""
    rows = (view.result or {}).get(what)
    rows = rows if isinstance(rows, list) else []
    return [str(row[key]) for row in rows if isinstance(row, dict) and key in row]


def _names(names: Sequence[str], width: int, shown: int = 4) -> list[Line]:
    rows = [row for name in names[:shown] for row in labelled("", name, width, 2, "strong")[:2]]
    if len(names) > shown:
        rows.append(line((f"  and {len(names) - shown:,} more", "dim")))
    return rows
