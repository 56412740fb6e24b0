"""What is asked before a drill."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.widget import Widget

from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.backup import Pick
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList

KINDS: dict[str, str] = {
    "small": "test data in the database caas_dr_test, here; a minute",
    "full": "the newest snapshot and the stream, into a mongod of its own",
}


class DrillDialog(Dialog[str]):
    """Asks which kind; gives it back."""

    def __init__(self) -> None:
        text = (
            "A recovery for real: back up, lose, restore, compare byte for byte, measure RTO and RPO. "
            "No database but caas_dr_test is written to, and nothing stays behind."
        )
        super().__init__("Rehearse a recovery", wrapped(text, DIALOG_WIDTH), "Start")

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("Which (space):")])
        yield Pick(KINDS, "small", id="kind")

    def answer(self) -> str:
        return str(self.query_one("#kind", Pick).chosen)

    @on(RowList.Ticked)
    @on(RowList.Picked)
    def _chosen(self, chosen: RowList.Ticked | RowList.Picked) -> None:
        self.query_one("#kind", Pick).choose(chosen.key)
