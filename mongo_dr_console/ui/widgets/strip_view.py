"""The range strip with a cursor that goes along what can be restored to, and says why it skips the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from mongo_dr_console.model.coverage import Coverage
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.span import Window, nearest
from mongo_dr_console.model.strip import Kind, Strip
from mongo_dr_console.model.words import clock, moment
from mongo_dr_console.ui.lines import Span, fitted, line, wrapped
from mongo_dr_console.ui.striplines import extent, lanes, legend
from mongo_dr_console.ui.widgets.lines_view import LinesView

Drawing = Callable[[Window | None], Strip | None]
"""Makes the strip of a stretch of time; None: the one that is shown first."""


class StripView(LinesView, can_focus=True):
    """What happened, what is covered, hours, legend, and where the cursor stands."""

    HELP = "Above what happened, below what is covered. The cursor passes over gaps: there is no going there."
    DEFAULT_CSS = "StripView { height: auto; max-height: 7; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(-1)", "earlier", show=False, id="strip.left"),
        Binding("right,l", "go(1)", "later", show=False, id="strip.right"),
        Binding("home", "edge(-1)", "earliest", show=False, id="strip.first"),
        Binding("end", "edge(1)", "latest", show=False, id="strip.last"),
        Binding("plus,i", "zoom(-1)", "shorter", show=False, id="strip.in"),
        Binding("minus,o", "zoom(1)", "longer", show=False, id="strip.out"),
        Binding("H", "pan(-1)", "before", show=False, id="strip.before"),
        Binding("L", "pan(1)", "after", show=False, id="strip.after"),
        Binding("enter,space", "pick", "choose", show=False, id="strip.choose"),
    ]

    @dataclass
    class Picked(Message):
        """This position was chosen; ``kind``: what the cell shows there."""

        strip: StripView
        position: Position
        kind: Kind

        @property
        def control(self) -> StripView:
            return self.strip

    def __init__(self, **widget: Any) -> None:
        super().__init__(**widget)
        self._strip: Strip | None = None
        self._drawing: Drawing | None = None
        self._window: Window | None = None
        self._now: datetime | None = None
        self._coverage: Coverage | None = None
        self._cursor: Position | None = None
        self._skipped = ""

    def update(self, drawing: Drawing, coverage: Coverage | None, now: datetime) -> None:
        """Shows the strip as it is now; the cursor and the stretch that is looked at stay."""
        self._drawing, self._coverage, self._now = drawing, coverage, now
        self._strip = drawing(self._window)
        self._draw()

    def action_zoom(self, by: int) -> None:
        """Shows a shorter or a longer stretch of time, with the cursor in its middle."""
        about = None if self._cursor is None else self._cursor.time
        if self._strip is not None and self._now is not None:
            self._look(self._seen.zoomed(by, self._now, about))

    def action_pan(self, halves: int) -> None:
        """Shows what was half a strip before or after."""
        if self._strip is not None and self._now is not None:
            self._look(self._seen.moved(halves, self._now))

    @property
    def _seen(self) -> Window:
        """The stretch that is looked at, the first one included."""
        assert self._strip is not None
        return self._window or nearest(self._strip.end - self._strip.start)

    def _look(self, window: Window) -> None:
        assert self._drawing is not None
        self._window, self._skipped = window, ""
        self._strip = self._drawing(window)
        self._draw()

    def action_go(self, by: int) -> None:
        """Goes to the next slice that can be restored to, over gaps."""
        if self._strip is None:
            return
        cells = self._strip.cells
        here = self._place()
        place = (len(cells) if by < 0 else -1) if here is None else here
        passed = False
        place += by
        while 0 <= place < len(cells) and cells[place].position is None:
            passed = passed or cells[place].kind is Kind.GAP
            place += by
        if 0 <= place < len(cells):
            self._cursor = cells[place].position
            self._skipped = self._why(by) if passed else ""
        else:
            self._skipped = "Nothing there can be restored to."
        self._draw()

    def action_edge(self, way: int) -> None:
        """Goes to the earliest or the latest slice that can be restored to."""
        self._cursor = None
        self.action_go(-way)

    def action_pick(self) -> None:
        """Chooses where the cursor stands."""
        place = self._place()
        if self._strip is not None and self._cursor is not None and place is not None:
            self.post_message(self.Picked(self, self._cursor, self._strip.cells[place].kind))
        else:
            self.action_edge(1)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        # Not on_focus and on_blur: these come before has_focus says so.
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _place(self) -> int | None:
        if self._strip is None or self._cursor is None:
            return None
        return self._strip.cell(self._cursor)

    def _why(self, by: int) -> str:
        """The gap that was gone over."""
        here = self._cursor
        gaps = [] if self._coverage is None or here is None else list(self._coverage.gaps)
        for gap in gaps if by < 0 else reversed(gaps):
            if here is not None and (
                gap.start >= here if by < 0 else gap.end is not None and gap.end <= here
            ):
                end = "now" if gap.end is None else clock(gap.end.time)
                return f"Skipped the gap from {clock(gap.start.time)} to {end}. {gap.text}"
        return "A gap was skipped."

    def _draw(self) -> None:
        width = max(10, self.size.width)
        if self._strip is None:
            text = "What can be restored to is not known yet: say a time below all the same."
            self.set_lines([fitted(line((f"  {text}", "dim")), width)])
            return
        marks, covers = lanes(self._strip, self._place(), focused=self.has_focus)
        shown = [marks, covers, line("  ", (self._strip.labels, "dim"))]
        # In a low terminal one of them: what comes below them is worth more than both.
        low = self.screen.has_class("-low")
        if not (low and self.has_focus):
            shown.append(legend(self._strip, width))
        if self.has_focus or not low:
            shown.append(fitted(line("  ", self._told(), (f"  {self._extent()}", "dim")), width))
        if self._skipped:
            shown += [line("  ", *part.spans) for part in wrapped(self._skipped, width - 2, "warning")]
        self.set_lines(shown)

    def _extent(self) -> str:
        """What is looked at, once that was chosen."""
        if self._window is None or self._now is None or self._strip is None:
            return ""
        return extent(self._window, self._now)

    def _told(self) -> Span:
        if self._cursor is None:
            return "← → along what is covered, enter takes it, + - zoom, H L earlier, later", "dim"
        return f"{moment(self._cursor.time)} ({self._cursor})", "strong"
