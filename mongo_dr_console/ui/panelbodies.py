"""Each of the dashboard's six panels at a width: what is special to it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from rich.cells import cell_len

from mongo_dr_console.model.oplogfacts import MemberLag, OplogFacts
from mongo_dr_console.model.panel import Panel, Row
from mongo_dr_console.model.readings import Threshold
from mongo_dr_console.model.setstatus import ARBITER, PRIMARY, SetStatus
from mongo_dr_console.model.span import Window
from mongo_dr_console.model.verdict import Level, grade, worst
from mongo_dr_console.model.words import UNKNOWN, duration, moment, size
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lagring import KEPT, LagRing, history
from mongo_dr_console.ui.lines import Line, Role, fit, line, pad, plain, wrapped
from mongo_dr_console.ui.panels import (
    NAMES,
    Body,
    Item,
    body_of,
    has_told,
    marked_cells,
    note_item,
    notes_of,
    row_text,
    trouble_lines,
)
from mongo_dr_console.ui.rangebody import range_body
from mongo_dr_console.ui.view import View

HEARD_SECONDS = 5.0
"""Below this, when a member was last heard of is only the beat of its heart."""
_PLENTY_SECONDS = 86400.0
"""A member that can still catch up after this long is not mentioned."""
_LONGEST_NAME = 22
_LONGEST_SOURCE = 12
_EVENT_ROWS = 2
_MARK = 2
_LAG_WIDTH = 7

Panels = Mapping[str, Panel]
"""By source, as ``present`` makes them."""


def body(
    number: int, view: View, panels: Panels, ring: LagRing, width: int, window: Window | None = None
) -> Body:
    """One panel, by its number.

    Args:
        window: The stretch of time that the restorable range shows; None: the one that is shown first.
    """
    source, title = NAMES[number]
    panel = panels.get(source)
    if panel is None:
        return Body(f"{number} {title}", Level.UNKNOWN, (line(("  not watched", "dim")),))
    special: dict[int, Callable[[], Body]] = {
        1: lambda: body_of(_set_shaped(panel, view), number, width),
        2: lambda: lag_body(panel, view, ring, width),
        3: lambda: body_of(_backups_shaped(panel), number, width),
        4: lambda: range_body(panel, view, width, window),
        5: lambda: events_body(panel, width),
    }
    return special[number]() if number in special else body_of(panel, number, width)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Members' names without what they have in common: the port, then the domain.

    >>> short_names(["m-1.db.svc:27017", "m-2.db.svc:27017"])
    {'m-1.db.svc:27017': 'm-1', 'm-2.db.svc:27017': 'm-2'}
    >>> short_names(["localhost:1", "localhost:2"])
    {'localhost:1': 'localhost:1', 'localhost:2': 'localhost:2'}
    """
    hosts = [name.rpartition(":")[0] or name for name in names]
    labels = [host.partition(".")[0] for host in hosts]
    numbers = all(host.replace(".", "").isdigit() for host in hosts)
    for shorter in (hosts if numbers else labels, hosts):
        if len(set(shorter)) == len(set(names)):
            return dict(zip(names, shorter, strict=True))
    return {name: name for name in names}


def _set_shaped(panel: Panel, view: View) -> Panel:
    """The set's rows without what changes at every look and says nothing: pings, heartbeats of a second."""
    status = None if view.readings.set is None else view.readings.set.value
    if status is None or len(status.members) != len(panel.rows) or "MEMBER" not in panel.header:
        return replace(panel, title=NAMES[1][1] + panel.title.removeprefix(NAMES[1][1]))
    names = short_names([m.name for m in status.members])
    place = {name: i for i, name in enumerate(panel.header)}
    wanted = [i for i, name in enumerate(panel.header) if name != "PING"]
    rows = []
    for member, row in zip(status.members, panel.rows, strict=True):
        cells = list(row.cells)
        heard = member.heartbeat_age_seconds
        if heard is not None and heard <= HEARD_SECONDS:
            cells[place["HEARD"]] = "-"
        if member.lag_seconds is not None and cells[place["LAG"]] != "-":
            cells[place["LAG"]] = duration(round(member.lag_seconds))
        source = cells[place["SYNCS FROM"]]
        cells[place["SYNCS FROM"]] = names.get(source, source)
        rows.append(replace(row, cells=tuple(cells[i] for i in wanted)))
    return replace(panel, header=tuple(panel.header[i] for i in wanted), rows=tuple(rows))


def _backups_shaped(panel: Panel) -> Panel:
    """A restore test's day instead of its second: the time of day decides nothing."""
    if "RESTORE-TESTED" not in panel.header:
        return panel
    at = panel.header.index("RESTORE-TESTED")
    rows = tuple(
        replace(r, cells=tuple(c[:10] if i == at else c for i, c in enumerate(r.cells))) for r in panel.rows
    )
    header = tuple("TESTED" if i == at else name for i, name in enumerate(panel.header))
    return replace(panel, header=header, rows=rows)


# Lag and oplog


def lag_body(panel: Panel, view: View, ring: LagRing, width: int) -> Body:
    """A row a member with the last minutes' lag on a fixed scale, then how far the oplog reaches."""
    status = None if view.readings.set is None else view.readings.set.value
    head = list(trouble_lines(panel, width))
    items: list[Item] = []
    if status is not None:
        head.append(_scale_line(view.limits.oplog_lag, width))
        items += _lag_items(status, view, ring, width)
    oplog = None if view.readings.oplog is None else view.readings.oplog.value
    if oplog is not None:
        rows = _oplog_rows(oplog, panel.stale)
        items += [Item((_labelled(row),), row_text(row)) for row in rows]
        items += [note_item(row, width) for row in _headroom_rows(oplog.members, status)]
    items += [note_item(row, width) for row in notes_of(panel)]
    level = worst((panel.level, lag_level(view)))
    return Body(f"2 {NAMES[2][1]}", level, tuple(head), tuple(items))


def lag_level(view: View) -> Level:
    """The worst lag that is known: what is not known of a member that is down is the set's own fact."""
    reading = view.readings.set
    if reading is None or reading.value is None or reading.stale:
        return Level.FINE
    known = (m.lag_seconds for m in reading.value.members if m.lag_seconds is not None)
    return worst(grade(lag, view.limits.oplog_lag) for lag in known)


def _lag_items(status: SetStatus, view: View, ring: LagRing, width: int) -> list[Item]:
    stale = view.readings.set is None or view.readings.set.stale
    limit = view.limits.oplog_lag
    followers = [m for m in status.members if m.state not in (PRIMARY, ARBITER)]
    names = {m: plain(name) for m, name in short_names([m.name for m in status.members]).items()}
    wide = min(_LONGEST_NAME, max((cell_len(names[m.name]) for m in followers), default=0))
    room = max(0, min(KEPT, width - wide - _MARK - _LAG_WIDTH - 2))
    items = []
    for member in followers:
        lag = member.lag_seconds
        level = Level.UNKNOWN if stale or lag is None else grade(lag, limit)
        value = UNKNOWN if lag is None else f"{UNKNOWN if stale else ''}{duration(round(lag))}"
        role = ROLE_OF_LEVEL[level]
        drawn = line(
            (f"{level.glyph} ", role),
            f"{pad(names[member.name], wide)} ",
            (history(ring.values.get(member.name, ()), full_scale(limit), room), "info"),
            (f" {value:>{_LAG_WIDTH}}", "" if level is Level.FINE else role),
        )
        text = plain(f"{level.glyph} {member.name}  lag {value}")
        items.append(Item((drawn,), text, f"member:{member.name}"))
    return items


def full_scale(limit: Threshold) -> float:
    """The lag that fills a row: where it begins to be too much."""
    return limit.warning or limit.critical


def _scale_line(limit: Threshold, width: int) -> Line:
    warning = "" if limit.warning is None else f"warning {duration(limit.warning)}, "
    long = f"  lag, scale 0 to {duration(full_scale(limit))} ({warning}critical {duration(limit.critical)})"
    short = f"  lag, scale 0 to {duration(full_scale(limit))}"
    return line((long if len(long) <= width else short, "dim"))


def _oplog_rows(facts: OplogFacts, stale: bool) -> list[Row]:
    reach = duration(facts.window_when_full_seconds)
    churn = facts.churn_bytes_per_second
    rows = [
        ("window", f"{_coarse(facts.window_seconds)} (when full {reach})"),
        ("churn", f"{size(None if churn is None else churn * 3600)}/h"),
        ("size", f"{size(facts.size_bytes)} of {size(facts.max_bytes)}"),
        ("oldest", moment(facts.oldest_at)),
    ]
    if stale:
        return [Row(marked_cells(row), Level.UNKNOWN) for row in rows]
    return [Row(row) for row in rows]


def _coarse(seconds: float) -> str:
    """To the minute, so that it stands still between two of them; an oplog of a minute to the second."""
    return duration(seconds if seconds < 120 else seconds // 60 * 60)


def _labelled(row: Row) -> Line:
    mark = "  " if row.level is None else f"{row.level.glyph} "
    role: Role = "" if row.level is None else ROLE_OF_LEVEL[row.level]
    return line((mark, role), (f"{row.cells[0]:<7}", "dim"), f" {row.cells[1]}")


def _headroom_rows(members: Iterable[MemberLag], status: SetStatus | None) -> list[Row]:
    """Only of members that may not catch up: the others are well."""
    names = {} if status is None else short_names([m.name for m in status.members])
    rows = []
    for member in members:
        name = names.get(member.name, member.name)
        left = member.headroom_seconds
        if left is None:
            rows.append(Row((f"{name}: not known whether it can catch up",), Level.UNKNOWN))
        elif left < 0:
            rows.append(Row((f"{name} has fallen off the oplog",), Level.CRITICAL))
        elif left < _PLENTY_SECONDS:
            rows.append(Row((f"{name} can catch up for another {_coarse(left)}",)))
    return rows


# Events


def events_body(panel: Panel, width: int) -> Body:
    """What happened: time, who, what; in two lines where one is too short."""
    rows = [row for row in panel.rows if len(row.cells) == 3]
    wide = min(_LONGEST_SOURCE, max((cell_len(plain(row.cells[1])) for row in rows), default=0))
    items = [_event_item(row, wide, width) for row in rows]
    items += [note_item(row, width) for row in notes_of(panel)]
    if rows or has_told(panel):
        items.append(Item((line(("  older …", "dim")),), "older …", "command:find"))
    head = trouble_lines(panel, width)
    return Body(f"5 {panel.title}", panel.level, head, tuple(items))


def _event_item(row: Row, wide: int, width: int) -> Item:
    when, source, text = (plain(cell) for cell in row.cells)
    mark = "  " if row.level is None else f"{row.level.glyph} "
    role: Role = "" if row.level is None else ROLE_OF_LEVEL[row.level]
    lead = f"{when}  {pad(source, wide)}  "
    found = wrapped(text, max(8, width - _MARK - cell_len(lead)))
    if len(found) > _EVENT_ROWS:
        rest = " ".join(part.text for part in found[_EVENT_ROWS - 1 :])
        found = [*found[: _EVENT_ROWS - 1], line(fit(rest, max(8, width - _MARK - cell_len(lead))))]
    lines = [line((mark, role), (lead, "dim"), *found[0].spans)]
    lines += [line(" " * (_MARK + cell_len(lead)), *part.spans) for part in found[1:]]
    return Item(tuple(lines), plain(row_text(row)), row.key)
