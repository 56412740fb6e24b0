"""What changes on the screen reaches the terminal, and little else does."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from support.terminal import Terminal

from mongo_dr_console.ui.lines import Line, line
from mongo_dr_console.ui.widgets.lines_view import differences

ROWS = st.text(st.sampled_from("ab 1日é\u0301\u200d✗👍"), max_size=30).map(line)

TICKING = """
import sys
from textual.app import App
from mongo_dr_console.ui.frugal import narrowed
from mongo_dr_console.ui.lines import line
from mongo_dr_console.ui.widgets.lines_view import LinesView

class Ticking(App):
    number = 0
    def _display(self, screen, renderable):
        super()._display(screen, narrowed(renderable) if "narrow" in sys.argv else renderable)
    def compose(self):
        yield LinesView()
    def on_mount(self):
        # Not repeat=50: on a busy machine a missed tick counts as one.
        self.timer = self.set_interval(0.02, self.tick)
    def tick(self):
        if self.number == 50:
            return self.timer.stop()
        self.number += 1
        shown = [line(f"row {row} ".ljust(90, "-"), f" age {self.number}s") for row in range(20)]
        self.query_one(LinesView).set_lines([*shown, line(f"number {self.number}")])

Ticking().run()
"""


@given(ROWS, ROWS)
def test_no_changed_cell_is_left_out(old: Line, new: Line) -> None:
    regions = differences(old, new, 3, 40)
    assert all(r.y == 3 and r.height == 1 and r.width > 0 for r in regions)
    drawn = {x for r in regions for x in range(r.x, r.right)}
    before, after = old.text, new.text
    for n in range(min(len(before), len(after))):
        if before[: n + 1] == after[: n + 1]:
            continue
        if cell_len(before[:n]) == cell_len(after[:n]) and before[n] != after[n]:
            assert cell_len(after[:n]) in drawn or not cell_len(after[n])
    if old.width != new.width:
        assert min(max(old.width, new.width), 40) - 1 in drawn


def test_a_tick_costs_a_few_bytes_and_leaves_nothing_stale() -> None:
    """Twenty ages at the right of twenty rows: the rows themselves are not sent again."""
    sent = {}
    for how in ("whole", "narrow"):
        with Terminal([sys.executable, "-c", TICKING, how]) as terminal:
            shown = terminal.wait_for("number 50")
            sent[how] = terminal.bytes_out
            ages = [row[90:] for row in shown.split("\n") if row.startswith("row")]
            assert ages == [" age 50s"] * 20, shown
    assert sent["narrow"] < sent["whole"] / 2, sent
