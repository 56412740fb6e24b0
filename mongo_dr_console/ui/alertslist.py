"""The alerts as lines: who watches, those that run to choose from, silences, ways, and what is over. Pure."""

from __future__ import annotations

from datetime import datetime

from mongo_dr_console.model.alert import Alert
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.alerttext import (
    agent_text,
    alert_cells,
    past_text,
    silence_text,
    since,
    state_word,
    way_text,
)
from mongo_dr_console.model.level import Level
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, Role, line, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem

_HEADER = ("ALERT", "LEVEL", "WHAT", "FOR", "STATE", "TEXT")
_PAST_SHOWN = 5


def alert_items(facts: AlertFacts | None, now: datetime, width: int) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header."""
    if facts is None or not facts.running_alerts:
        return [], []
    alerts = facts.running_alerts
    rows = [(_cells(alert, facts, now), ROLE_OF_LEVEL[alert.level], alert.level.glyph) for alert in alerts]
    header, *lines = table(_HEADER, rows, width)
    return [RowItem(alert.id, row) for alert, row in zip(alerts, lines, strict=True)], [header]


def _cells(alert: Alert, facts: AlertFacts, now: datetime) -> tuple[str, ...]:
    name, level, what, lasts, state, text = alert_cells(alert, facts, now)
    return name, level, what, lasts, state or "-", text


def head_lines(facts: AlertFacts | None, error: str, now: datetime, width: int) -> list[Line]:
    """How many run, and who watches."""
    running = () if facts is None else facts.running_alerts
    critical = sum(alert.level is Level.CRITICAL for alert in running)
    rows = [rule(f"Alerts: {len(running)} running, {critical} critical", width)]
    if error:
        rows += wrapped(f"? Which alerts run is not known: {error}", width, "unknown", "  ")
    role: Role = "dim"
    mark = "  "
    if facts is None or facts.stale(now):
        role, mark = "warning", "! "
    rows += wrapped(mark + agent_text(facts, now), width, role, "  ")
    if not running and facts is not None and not facts.stale(now):
        rows.append(line(("✓ ", "fine"), "No alert runs."))
    return rows


def chosen_lines(facts: AlertFacts | None, chosen: str, now: datetime, width: int) -> list[Line]:
    """All of the alert under the cursor, since its row may be cut."""
    running = () if facts is None else facts.running_alerts
    alert = next((a for a in running if a.id == chosen), None)
    if alert is None or facts is None:
        return []
    told = "nobody was told yet" if alert.told_at is None else f"last told {since(alert.told_at, now)} ago"
    state = state_word(alert, facts, now)
    done = f"; {state}" if state else ""
    return [
        rule(alert.name, width),
        *wrapped(alert.text, width),
        *wrapped(f"{alert.id}, began {since(alert.began_at, now)} ago, {told}{done}", width, "dim"),
    ]


def rest_lines(facts: AlertFacts | None, now: datetime, width: int) -> list[Line]:
    """Silences, ways, and what is over."""
    if facts is None:
        return []
    rows: list[Line] = []
    silences = [s for s in facts.state.silences if now < s.until]
    if silences:
        rows.append(rule("Silences", width))
    for silence in silences:
        rows += wrapped(silence_text(silence, now), width, "", "  ")
    rows.append(rule("Sent by", width))
    for way in facts.ways:
        bad = way.trouble is not None
        mark, role = ("✗ ", "critical") if bad else ("✓ ", "fine")
        text, *more = wrapped(way_text(way, facts.waiting(way.name), now), width - 2, "", "  ")
        rows.append(Line(((mark, role), *text.spans)))  # type: ignore[arg-type]
        rows += [Line((("  ", ""), *one.spans)) for one in more]
    past = list(reversed(facts.state.past[-_PAST_SHOWN:]))
    if past:
        rows.append(rule("Over", width))
    for alert in past:
        rows += wrapped(past_text(alert, now), width, "dim", "  ")
    return rows
