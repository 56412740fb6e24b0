"""The history of one document: every operation on it, and from each a way to bring it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from mongo_dr_console.model.operationpage import DocumentHistory
from mongo_dr_console.model.operationtext import value_text
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import moment
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.operationslist import HIDDEN
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.operation_rows import OperationRows
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class DocumentScreen(Screen[None]):
    """The newest operations on a document; ``p`` looks further back.

    Args:
        namespace: Its collection.
        identities: What its ``_id`` may be.
    """

    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    DocumentScreen #head { padding: 0 1; }
    DocumentScreen #rows { height: 1fr; }
    """
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

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield LinesView(id="head")
        yield OperationRows(id="rows")
        yield OwnKeys()

    def on_mount(self) -> None:
        self._ask(None)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        if not self.size.width:
            return
        width, hidden = self.size.width - 2, self.console.values_hidden
        self.query_one("#head", LinesView).set_lines(self._head(width, hidden=hidden))
        found = () if self._found is None else self._found.found
        self.query_one(OperationRows).show_operations(found, None, width - 2, redacted=hidden)
        self.query_one(OwnKeys).refresh_keys()

    def _head(self, width: int, *, hidden: bool) -> list[Line]:
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

    def action_back(self) -> None:
        """Back to where it was opened from."""
        if self.app.screen is self:
            self.app.pop_screen()
