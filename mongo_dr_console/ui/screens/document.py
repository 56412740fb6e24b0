"""The history of one document: every operation on it, and from each a way to bring it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from mongo_dr_console.model.operationpage import DocumentHistory
from mongo_dr_console.model.operationtext import value_text
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import moment
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.operationslist import HIDDEN
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.operation_rows import OperationRows


class DocumentScreen(ListScreen):
    """The newest operations on a document; ``p`` looks further back.

    Args:
        namespace: Its collection.
        identities: What its ``_id`` may be.
    """

    ROWS = OperationRows
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "earlier", "earlier", id="document.earlier"),
        Binding("escape", "back", "back", id="document.back"),
    ]

    def __init__(self, namespace: str, identities: Sequence[Any]) -> None:
        super().__init__()
        self.namespace, self.identities = namespace, tuple(identities)
        self._found: DocumentHistory | None = None
        self._problem: Problem | None = None
        self._asking = False

    def on_mount(self) -> None:
        self._ask(None)

    def fill(self, view: View, width: int) -> None:
        found = () if self._found is None else self._found.found
        rows = self.query_one(OperationRows)
        rows.show_operations(found, None, width - 2, redacted=self.console.values_hidden)

    def head(self, view: View, width: int) -> list[Line]:
        hidden = self.console.values_hidden
        named = " or ".join(value_text(i, redacted=hidden) for i in self.identities)
        rows = [rule(f"{self.namespace} _id={named}", width)]
        if self._problem is not None:
            rows += wrapped(
                f"? {self._problem.message} {self._problem.hint}".rstrip(), width, "unknown", "  "
            )
        known = self._found
        if known is not None:
            for note in known.notes:
                rows += wrapped(f"! {note}", width, "warning", "  ")
            back = "the oldest there is" if known.whole else "p looks further back"
            said = f"{moment(known.start.time)} ({back}) to {moment(known.end.time)}, from {known.source}"
            rows += wrapped(said, width, "dim")
        if hidden:
            rows.append(line((HIDDEN, "dim")))
        if self._asking:
            rows.append(line(("reading …", "dim")))
        elif known is not None and not known.found:
            rows.append(line("Nothing touched it there."))
        return rows

    def _ask(self, until: Position | None) -> None:
        self._asking = True
        self.show(self.console.view)
        self.run_worker(self._read(until), exit_on_error=False, exclusive=True, group="operations")

    async def _read(self, until: Position | None) -> None:
        desk = self.console.desk
        answer = await in_thread(lambda: desk.document(self.namespace, self.identities, until))
        if not self.is_attached:
            return
        self._asking = False
        self._problem = answer if isinstance(answer, Problem) else None
        if not isinstance(answer, Problem):
            self._found = answer if self._found is None else self._found.with_older(answer)
        first = self.query_one(OperationRows).chosen is None
        self.show(self.console.view)
        if first and self._found is not None and self._found.found:
            self.query_one(OperationRows).go_to(self._found.found[-1].key)

    def action_earlier(self) -> None:
        """Looks for what came earlier."""
        if self._asking:
            return
        if self._found is None:
            self._ask(None)
        elif not self._found.whole:
            self._ask(self._found.before)
