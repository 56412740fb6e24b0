"""Silencing: what, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from textual import on
from textual.widget import Widget

from mongo_dr_console.model.alert import EVERYTHING
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.backup import Pick
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList

LASTS = {
    "30m": timedelta(minutes=30),
    "2h": timedelta(hours=2),
    "8h": timedelta(hours=8),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class SilenceWanted:
    """What was chosen."""

    kind: str
    lasts: timedelta


class SilenceDialog(Dialog[SilenceWanted]):
    """Asks what and for how long.

    Args:
        kind: Of the alert under the cursor; empty: there is none.
    """

    def __init__(self, kind: str) -> None:
        text = "Nothing is sent for so long. What happens meanwhile is remembered, and told after it."
        super().__init__("Silence alerts", wrapped(text, DIALOG_WIDTH), "Silence")
        self._kinds = {**({kind: "this kind of alert alone"} if kind else {}), EVERYTHING: "every kind"}

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("What (space):")])
        yield Pick(self._kinds, next(iter(self._kinds)), id="kind")
        yield LinesView([line("For how long (space):")])
        yield Pick(dict.fromkeys(LASTS, ""), "2h", id="lasts")

    def answer(self) -> SilenceWanted:
        kind, lasts = self.query_one("#kind", Pick).chosen, self.query_one("#lasts", Pick).chosen
        return SilenceWanted(kind, LASTS[lasts])

    @on(RowList.Ticked)
    @on(RowList.Picked)
    def _chosen(self, chosen: RowList.Ticked | RowList.Picked) -> None:
        if isinstance(chosen.rows, Pick):
            chosen.rows.choose(chosen.key)
