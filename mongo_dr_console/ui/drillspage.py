"""Drills as lines: the score card, the list, and one drill whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mongo_dr_console.model.drill import DrillRecord
from mongo_dr_console.model.readings import Threshold
from mongo_dr_console.model.scorecard import Measure, ScoreCard, score_card
from mongo_dr_console.model.words import UNKNOWN, duration, moment, ratio
from mongo_dr_console.ui.jobpages import STATES, Sign, labelled, rule
from mongo_dr_console.ui.lagring import history
from mongo_dr_console.ui.lines import Line, Role, joined, line, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem

_HEADER = ("BEGAN", "KIND", "RESULT", "RTO", "RPO", "WRITES LOST", "JOB")
_TREND = 24
_LABEL = 12
KINDS = ("small", "full")


def card_lines(records: Sequence[DrillRecord], limit: Threshold, now: datetime, width: int) -> list[Line]:
    """What the drills show: by kind how many succeeded, the last figures against their targets, the trend.

    Args:
        records: Newest first.
        limit: Age of the last restore test, in seconds.
    """
    rows = _last_good(records, limit, now, width)
    for kind in KINDS:
        card = score_card(records, kind)
        if card is not None:
            rows += _card(card, now, width)
    return rows


def _last_good(records: Sequence[DrillRecord], limit: Threshold, now: datetime, width: int) -> list[Line]:
    good = next((r for r in records if r.success), None)
    if good is None:
        text = "No drill has succeeded: nothing shows that a recovery would work."
        return wrapped(f"✗ CRITICAL  {text}" if records else f"! warning  {text}", width, "critical", "  ")
    age = max(0.0, (now - good.timestamp).total_seconds())
    text = f"the last drill that succeeded is {duration(age)} old (limit {duration(limit.critical)})"
    if not records[0].success:
        rows = wrapped(
            f"✗ CRITICAL  the newest drill failed: {records[0].problems[0]}", width, "critical", "  "
        )
        return [*rows, *wrapped(f"  {text}", width)]
    if age >= limit.critical:
        return wrapped(f"✗ CRITICAL  {text}: mdr drill run", width, "critical", "  ")
    return wrapped(f"✓ ok  {text}", width, "fine", "  ")


def _card(card: ScoreCard, now: datetime, width: int) -> list[Line]:
    row = abs(card.in_a_row)
    newest = f"the last {row} succeeded" if card.in_a_row > 0 else f"THE LAST {row} FAILED"
    role: Role = "" if card.in_a_row > 0 else "critical"
    rows = [
        line((f"{card.kind} drills", "strong"), f"  {card.good} of {card.drills} succeeded, ", (newest, role))
    ]
    return [*rows, *(_measure(name, m, width) for name, m in (("RTO", card.rto), ("RPO", card.rpo)))]


def _measure(name: str, found: Measure, width: int) -> Line:
    if found.last is None:
        return line(f"  {name}  ", ("? never measured by a drill that succeeded", "unknown"))
    sign, role = ("✓", "fine") if found.within else ("✗", "critical")
    against = "within" if found.within else "OVER"
    text = (
        f"{duration(found.last)} {against} {duration(found.target)}, median {duration(found.middle)}, "
        f"worst {duration(found.worst)}"
    )
    trend = "" if found.trend is None else f", {ratio(found.trend)} to before"
    scale = max(found.target, found.worst or 0.0)
    left = line(f"  {name}  ", (sign, role), f" {text}{trend}")  # type: ignore[arg-type]
    row = history(found.values[-_TREND:], scale, min(_TREND, len(found.values)))
    return joined(left, line((row, "dim"), (f" 0-{duration(scale)}", "dim")), width)


def drill_items(records: Sequence[DrillRecord], width: int) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header."""
    if not records:
        return [], []
    rows = [(_cells(r), sign.role, sign.glyph) for r in records for sign in [_sign(r)]]
    header, *lines = table(_HEADER, rows, width)
    return [RowItem(key_of(r), row) for r, row in zip(records, lines, strict=True)], [header]


def key_of(record: DrillRecord) -> str:
    """Which drill a row stands for; a job that was resumed may have several."""
    return f"{record.job} {moment(record.timestamp)}"


def _sign(record: DrillRecord) -> Sign:
    return Sign(*STATES["done"][:2], "good") if record.success else STATES["failed"]


def _cells(record: DrillRecord) -> tuple[str, ...]:
    return (
        moment(record.timestamp),
        record.kind,
        _sign(record).word,
        duration(record.rto_seconds),
        duration(record.rpo_seconds),
        _lost(record),
        record.job,
    )


def _lost(record: DrillRecord) -> str:
    return UNKNOWN if record.lost_writes is None else f"{record.lost_writes} of {record.writes}"


def drill_lines(record: DrillRecord, now: datetime, width: int) -> list[Line]:
    """One drill: how it ended, what it compared, each step with its time."""
    sign = _sign(record)
    title = line((f"{sign.glyph} {sign.word}", sign.role), f"  {record.kind} drill ", (record.job, "strong"))
    age = duration(max(0.0, (now - record.timestamp).total_seconds()))
    rows = [joined(title, line(f"{age} ago"), width)]
    for problem in record.problems:
        rows += wrapped(f"✗ {problem}", width, "critical", "  ")
    for label, text, role in _facts(record):
        rows += labelled(label, text, width, _LABEL, role)
    rows.append(rule("Steps", width))
    steps = [
        ((s.step, duration(s.seconds), "" if s.good else "did not come to its end"), done.role, done.glyph)
        for s in record.steps
        for done in [STATES["done" if s.good else "failed"]]
    ]
    if not steps:
        return [*rows, line(("none was begun", "dim"))]
    return [*rows, *table(("STEP", "TOOK", ""), steps, width)]


def _facts(record: DrillRecord) -> list[tuple[str, str, Role]]:
    documents = UNKNOWN if record.documents is None else f"{record.documents:,}"
    indexes = UNKNOWN if record.indexes is None else str(record.indexes)
    return [
        ("began", moment(record.timestamp), ""),
        _figure("RTO", record.rto_seconds, record.rto_target_seconds),
        _figure("RPO", record.rpo_seconds, record.rpo_target_seconds),
        ("compared", f"{documents} documents and {indexes} indexes", ""),
        ("writes lost", _lost(record), "critical" if record.lost_writes else ""),
        ("restored", f"snapshot {record.snapshot or 'none'} from store {record.store}", ""),
        ("oplog", f"from {_OPLOG[record.oplog]}", ""),
        ("deployment", str(record.identity), ""),
    ]


_OPLOG = {"stream": "the stream", "live": "the deployment's own oplog", "none": "nowhere: the snapshot alone"}


def _figure(name: str, value: float | None, target: float) -> tuple[str, str, Role]:
    if value is None:
        return name, "? it did not come to that", "unknown"
    if value <= target:
        return name, f"✓ {duration(value)}, within {duration(target)}", "fine"
    return name, f"✗ {duration(value)}, OVER {duration(target)}", "critical"
