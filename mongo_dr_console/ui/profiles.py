"""Several profiles: a row each, from pollers of their own; enter goes into one.

An app by itself: the console is of one profile. What is behind a profile is never waited for here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.filter import LineFilter

from mongo_dr_console.model.level import Level, worst
from mongo_dr_console.model.profilerow import HEADER, ProfileRow, broken_row, profile_row
from mongo_dr_console.model.readings import Limits
from mongo_dr_console.model.words import clock
from mongo_dr_console.ui.feed import Feed
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL, AsciiOnly
from mongo_dr_console.ui.keymap import checked, keys_of
from mongo_dr_console.ui.lines import Line, fitted, joined, line, table, wrapped
from mongo_dr_console.ui.themes import load_themes, textual_theme, variable_defaults, wearable
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowItem, RowList
from mongo_dr_console.ui.widgets.status_line import level_word

_LEAST = ("PROFILE", "VERDICT", "RPO NOW", "RTO NOW", "MARGIN", "AGE")
"""What stays where there is no room for all."""
_GAP, _MARK = 2, 4


@dataclass(frozen=True, slots=True)
class Watched:
    """One profile of the list.

    Args:
        feed: Its own pollers; None: it cannot be watched, and ``problem`` says why.
    """

    name: str
    environment: str
    limits: Limits
    feed: Feed | None
    problem: str = ""

    def row(self, now: datetime) -> ProfileRow:
        """What is known of it now."""
        if self.feed is None:
            return broken_row(self.name, self.environment, self.problem)
        return profile_row(self.feed.readings, self.limits, now)


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "open", id="profiles.open")]


class ProfilesApp(App[str]):
    """The list; ends with the name of the profile to go into, or None.

    Args:
        at: The profile that the cursor stands on first.
        drawn: Called when the first frame stands on the screen.
    """

    CSS_PATH = "console.tcss"
    TITLE = "mongo-dr-console"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    ProfilesApp #top, ProfilesApp #keys { height: 1; }
    ProfilesApp #rows { height: 1fr; margin: 1 0 0 1; }
    ProfilesApp #told { height: auto; max-height: 8; margin: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("Q", "quit", "leave", id="quit"),
        Binding("r", "refresh_all", "ask all now", id="refresh"),
    ]

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        at: str = "",
        theme: str = "dark",
        themes: Any = None,
        keys: Mapping[str, str] | None = None,
        ascii_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        drawn: Callable[[], object] = lambda: None,
    ) -> None:
        self.ascii = ascii_only
        super().__init__()
        self._watched, self._at, self._clock, self._drawn = tuple(watched), at, clock, drawn
        found = load_themes(themes)
        for file in found.found.values():
            self.register_theme(textual_theme(file, ""))
        self.theme, _ = wearable(found, theme)
        self.set_keymap(_usable(keys or {}))
        self.set_class(ascii_only, "-ascii")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults()

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, AsciiOnly()] if self.ascii else filters

    @property
    def failure(self) -> Exception | None:
        """What the list died of, if it did."""
        return self._exception

    def compose(self) -> ComposeResult:
        yield LinesView(id="top")
        yield _Rows(id="rows")
        yield LinesView(id="told")
        yield LinesView(id="keys")

    def on_mount(self) -> None:
        self._unsubscribe = [w.feed.subscribe(self._came) for w in self._watched if w.feed is not None]
        self.set_interval(1.0, self.draw)
        self.call_after_refresh(self._first)

    def on_unmount(self) -> None:
        for stop in self._unsubscribe:
            stop()

    def on_resize(self) -> None:
        self.draw()

    def _first(self) -> None:
        self.draw()
        if self._at:
            self.query_one("#rows", RowList).go_to(self._at)
        self.call_after_refresh(self._drawn)

    def _came(self, *_: object) -> None:
        # Several readings of one moment are drawn once.
        self.call_next(self.draw) if self.is_running else None

    def draw(self) -> None:
        """Shows this moment."""
        if not self.is_running or not self.size.width or not self.query("#keys"):
            return
        now, width = self._clock(), self.size.width
        rows = [w.row(now) for w in self._watched]
        self.query_one("#top", LinesView).set_lines([_top(rows, now, width)])
        items, header = profile_items(rows, width - 2)
        listed = self.query_one("#rows", RowList)
        listed.set_items(items, header)
        told = next((row for row in rows if row.name == listed.key), rows[0] if rows else None)
        self.query_one("#told", LinesView).set_lines(_told(told, width - 2) if told else [])
        hint = line(
            *(" ", (keys_of(self, "profiles.open", "enter"), "key"), " open"),
            *("  ", (keys_of(self, "refresh", "r"), "key"), " ask all now"),
            *("  ", (keys_of(self, "quit", "Q"), "key"), " leave"),
        )
        self.query_one("#keys", LinesView).set_lines([fitted(hint, width)])

    def action_refresh_all(self) -> None:
        """Asks every source of every profile now."""
        for watched in self._watched:
            if watched.feed is not None:
                watched.feed.refresh()

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.draw()

    @on(RowList.Picked)
    def _picked(self, picked: RowList.Picked) -> None:
        self.exit(picked.key)


def profile_items(rows: Sequence[ProfileRow], width: int) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header; the environment goes where there is no room for it."""
    wanted = range(len(HEADER)) if _fits(rows, width) else [HEADER.index(name) for name in _LEAST]
    cells = [(tuple(row.cells[i] for i in wanted), ROLE_OF_LEVEL[row.level], row.level.glyph) for row in rows]
    header, *lines = table(tuple(HEADER[i] for i in wanted), cells, width)
    return [RowItem(row.name, shown) for row, shown in zip(rows, lines, strict=True)], [header]


def _fits(rows: Sequence[ProfileRow], width: int) -> bool:
    grid = [HEADER, *(row.cells for row in rows)]
    widths = [max(cell_len(cells[i]) for cells in grid) for i in range(len(HEADER))]
    return sum(widths) + _GAP * len(widths) + _MARK <= width


def _top(rows: Sequence[ProfileRow], now: datetime, width: int) -> Line:
    level = worst(row.level for row in rows)
    bad = sum(row.level is not Level.FINE for row in rows)
    left = line((f" {len(rows)} profiles, {bad} not well │ {clock(now)}", "banner"))
    row = joined(left, line((f" {level.glyph} {level_word(level)} ", ROLE_OF_LEVEL[level])), width)
    return Line(tuple((text, role or "banner") for text, role in row.spans))


def _told(row: ProfileRow, width: int) -> list[Line]:
    role = ROLE_OF_LEVEL[row.level]
    return [
        line((row.name, "title")),
        *wrapped(f"{row.level.glyph} {row.text}", width, role),
        *(wrapped(row.consequence, width, "strong") if row.consequence else []),
    ]


def _usable(keys: Mapping[str, str]) -> dict[str, str]:
    """Those that can be had; the console says what is wrong with the others."""
    if not keys:
        return {}
    from mongo_dr_console.ui.app import COMMANDS

    return checked(keys, COMMANDS)[0]
