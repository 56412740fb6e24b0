"""One snapshot: what is known of it, what it holds; from here it is verified, copied, and restored from."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.page import PageScreen
from mongo_dr_console.ui.snapshotpage import content_lines, entry_of, snapshot_lines
from mongo_dr_console.ui.view import View
from mongo_dr_console.workers.desk import Content


class SnapshotScreen(PageScreen):
    """A snapshot in one store: how it stands, how far it was verified, what it holds.

    Args:
        snapshot: Its name.
        store: Where the copy lies that is looked at.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "restore", "restore from it…", id="snapshot.restore"),
        Binding("V", "app.run_command('verify')", "verify…", id="snapshot.verify"),
        Binding("C", "app.run_command('copy')", "copy…", show=False, id="snapshot.copy"),
        Binding("h", "app.run_command('hold')", "hold…", show=False, id="snapshot.hold"),
        Binding("escape", "back", "back", id="snapshot.back"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="snapshot.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="snapshot.up"),
    ]

    def __init__(self, snapshot: str, store: str) -> None:
        super().__init__()
        self.snapshot, self.store = snapshot, store
        self._contents: tuple[Content, ...] | Problem | None = None

    def on_mount(self) -> None:
        # Textual calls that of the page as well.
        self.run_worker(self._read(), exit_on_error=False, exclusive=True, group="contents")

    async def _read(self) -> None:
        desk = self.console.desk
        found = await in_thread(lambda: desk.contents(self.snapshot, self.store))
        if self.is_attached:
            self._contents = found
            self.show(self.console.view)

    def lines(self, view: View, width: int) -> list[Line]:
        backups = view.readings.backups
        stores = () if backups is None or backups.value is None else backups.value.stores
        entry = entry_of(stores, self.snapshot, self.store)
        if entry is None:
            text = f"No reading knows a snapshot {self.snapshot} in store {self.store} (any more)."
            rows = wrapped(f"? {text}", width, "unknown", "  ")
        else:
            rows = snapshot_lines(entry, stores, view.now, width)
        return [*rows, rule("What it holds", width), *self._holds(width)]

    def _holds(self, width: int) -> list[Line]:
        if self._contents is None:
            return [line(("its list is being read …", "dim"))]
        if isinstance(self._contents, Problem):
            rows = wrapped(f"✗ {self._contents.message}", width, "critical", "  ")
            return [*rows, *(wrapped(self._contents.hint, width) if self._contents.hint else [])]
        return content_lines(self._contents, width)

    def action_restore(self) -> None:
        """Opens the wizard with this snapshot as its base; nothing is changed by that."""
        from mongo_dr_console.ui.wizard.screen import open_wizard

        open_wizard(self.console, snapshot=(self.snapshot, self.store))
