"""Choosing the snapshot that a restore starts from."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from mongo_dr_console.model.position import Limit
from mongo_dr_console.model.wizard import Base, Known, base_problem
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import line, wrapped
from mongo_dr_console.ui.screens.leaving import Leaving
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.wizard.whenlines import base_items


class BaseList(Vertical):
    """The snapshots, and why the one under the cursor cannot be chosen."""

    DEFAULT_CSS = "BaseList { height: 1fr; } BaseList .why { height: auto; }"

    def __init__(self, **widget: Any) -> None:
        super().__init__(**widget)
        self._facts: Known | None = None
        self._stop: Limit | None = None
        self._chosen: Base | None = None

    def compose(self) -> ComposeResult:
        yield RowList(classes="bases")
        yield LinesView(classes="why")

    @property
    def rows(self) -> RowList:
        return self.query_one(RowList)

    def update(self, facts: Known, stop: Limit | None, chosen: Base | None) -> None:
        """Shows what is known now."""
        self._facts, self._stop, self._chosen = facts, stop, chosen
        if not self.query(RowList):
            return  # not there yet, or not any more: a resize shows it
        items = base_items(facts, stop, chosen, max(20, self.size.width - 2))
        self.rows.set_items(items[1:], [items[0].line])
        self._say_why()

    def on_resize(self) -> None:
        if self._facts is not None:
            self.update(self._facts, self._stop, self._chosen)

    def base_of(self, key: str) -> Base | None:
        """The snapshot of a row; None where it cannot be chosen."""
        if self._facts is None:
            return None
        name, _, store = key.rpartition("@")
        for entry in self._facts.snapshots:
            if (entry.name, entry.store) == (name, store) and not base_problem(
                entry, self._stop, self._facts
            ):
                return Base(name, store)
        return None

    @on(RowList.Moved)
    def _say_why(self) -> None:
        view = self.query_one(".why", LinesView)
        facts = self._facts
        if facts is None:
            return
        if not facts.snapshots:
            view.set_lines([line(("No snapshot is known: no store has answered, or none has one.", "dim"))])
            return
        name, _, store = self.rows.key.rpartition("@")
        entry = next((e for e in facts.snapshots if (e.name, e.store) == (name, store)), None)
        why = "" if entry is None else base_problem(entry, self._stop, facts)
        width = max(20, self.size.width)
        view.set_lines(wrapped(f"✗ It cannot be the base. {why}", width, "critical") if why else [line("")])


class BasesScreen(ModalScreen[Base | None], Leaving[Base | None]):
    """Asks for another snapshot; None: the one that was is kept.

    Args:
        facts: What is known.
        stop: What it must end before.
        chosen: The one that is chosen now.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back", id="bases.back")]
    DEFAULT_CSS = """
    BasesScreen { align: center middle; background: $background 60%; }
    BasesScreen > Vertical {
        width: 100%; max-width: 100; height: 80%; background: $surface; border: round $accent;
    }
    """

    def __init__(self, facts: Known, stop: Limit | None, chosen: Base | None) -> None:
        super().__init__()
        self._facts, self._stop, self._chosen = facts, stop, chosen

    def compose(self) -> ComposeResult:
        with Vertical():
            yield LinesView(
                [line(("The snapshot to start from", "title"), ("  TESTED: last restored from", "dim"))]
            )
            yield BaseList()
            yield LinesView(
                [line(("enter", "key"), " choose  ", ("esc", "key"), " keep the one that is chosen")]
            )

    def on_mount(self) -> None:
        when_drawn(self, self._fill)

    def _fill(self) -> None:
        bases = self.query_one(BaseList)
        bases.update(self._facts, self._stop, self._chosen)
        if self._chosen is not None and bases.query(RowList):
            bases.rows.go_to(f"{self._chosen.name}@{self._chosen.store}")

    def on_resize(self) -> None:
        when_drawn(self, self._fill)

    @on(RowList.Picked)
    def _picked(self, event: RowList.Picked) -> None:
        base = self.query_one(BaseList).base_of(event.key)
        if base is not None:
            self.dismiss(base)

    def action_leave(self) -> None:
        """Keeps the snapshot that is chosen."""
        self.dismiss(None)
