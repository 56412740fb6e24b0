"""Step 3: which databases and collections."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from mongo_dr_console.model.wizard import Base, Step
from mongo_dr_console.model.wizardscope import Scope, name_problem, toggled
from mongo_dr_console.ui.background import Problem
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import line
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.wizard.scopelines import ALL, restorable, scope_items, scope_said
from mongo_dr_console.ui.wizard.step import StepView, indented
from mongo_dr_console.workers.desk import Content


class NameField(Input):
    """A field that is only there while something is typed into it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close", show=False, id="field.close")
    ]

    def action_close(self) -> None:
        """Closes the field; what was typed is gone."""
        self.value = ""
        assert self.parent is not None
        step = next(a for a in self.ancestors if isinstance(a, ScopeStep))
        step.close(self)


class Tree(RowList):
    """Databases and collections to tick."""

    HELP = "Space ticks a collection, or a database with all that is in it; enter goes on."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "tick", id="scope.tick"),
        Binding("enter", "pick", "next", id="scope.next"),
    ]


class ScopeStep(StepView):
    STEP: ClassVar[Step] = Step.SCOPE
    HELP = "Which databases and collections come back; nothing else is touched."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "everything", id="scope.all"),
        Binding("slash", "filter", "filter", key_display="/", id="scope.filter"),
        Binding("n", "name", "add a name", id="scope.name"),
    ]
    DEFAULT_CSS = """
    ScopeStep #scope-head, ScopeStep #scope-said { height: auto; }
    ScopeStep .field { display: none; }
    ScopeStep .field.-open { display: block; }
    """

    def compose(self) -> ComposeResult:
        yield LinesView(id="scope-head")
        with Horizontal(classes="field", id="filter-field"):
            yield LinesView([line("  Filter")])
            yield NameField(id="filter")
        yield Tree(id="tree")
        with Horizontal(classes="field", id="name-field"):
            yield LinesView([line("  Name")])
            yield NameField(placeholder="database.collection", id="name")
        yield LinesView(id="scope-said")

    def on_mount(self) -> None:
        self._content: tuple[Content, ...] = ()
        self._of: Base | None = None
        self._state = ""

    def enter(self) -> None:
        base = self.wizard.state.base
        if base is None:
            self._content, self._of = (), None
            self._state = (
                "No snapshot is known, so its contents cannot be shown: say names (n) or everything (a)."
            )
        elif base != self._of or self._state:
            self._content, self._of = (), base
            self._state = f"Reading what {base.name} holds …"
            self.ask(
                lambda: self.console.desk.contents(base.name, base.store), self._answered, group="contents"
            )
        self.redraw()
        when_drawn(self, self.redraw)

    def first(self) -> Widget | None:
        return self.query_one("#tree")

    def show(self, view: View) -> None:
        """The contents of a snapshot do not change."""

    def on_resize(self) -> None:
        when_drawn(self, self.redraw)

    def redraw(self) -> None:
        if not self.size.width:
            return
        scope, width = self.wizard.state.scope, self.size.width - 2
        base = self.wizard.state.base
        head = (
            f"Snapshot {base.name} in {base.store} holds:"
            if base is not None and not self._state
            else self._state
        )
        self.query_one("#scope-head", LinesView).set_lines(indented(head, width, "dim"))
        items = scope_items(self._content, scope, self.query_one("#filter", Input).value, width - 2)
        self.query_one("#tree", RowList).set_items(items)
        self.query_one("#scope-said", LinesView).set_lines(
            indented(scope_said(scope, self._content), width, "strong")
        )

    def action_all(self) -> None:
        """Everything, or nothing."""
        self._choose(Scope(everything=not self.wizard.state.scope.everything))

    def action_filter(self) -> None:
        """Shows only names that have a text in them."""
        self._open("filter")

    def action_name(self) -> None:
        """Adds a name that the snapshot does not have: a collection that was made after it."""
        self._open("name")

    def close(self, field: Input) -> None:
        """Closes a field."""
        self.query_one(f"#{field.id}-field").remove_class("-open")
        self.screen.set_focus(self.query_one("#tree"))
        self.redraw()

    def _open(self, name: str) -> None:
        self.query_one(f"#{name}-field").add_class("-open")
        self.screen.set_focus(self.query_one(f"#{name}"))

    def _choose(self, scope: Scope) -> None:
        self.wizard.change(scope=scope, scope_chosen=True)

    def _answered(self, answer: tuple[Content, ...] | Problem) -> None:
        if isinstance(answer, Problem):
            self._state = f"{answer.message} {answer.hint} Say names (n), or everything (a)."
        else:
            self._content, self._state = restorable(answer), ""
        self.redraw()
        if self.wizard.state.scope.names:
            self.query_one("#tree", RowList).go_to(min(self.wizard.state.scope.names))

    @on(RowList.Ticked, "#tree")
    def _ticked(self, event: RowList.Ticked) -> None:
        if event.key == ALL:
            self.action_all()
        else:
            names = [str(c.namespace) for c in self._content]
            self._choose(toggled(self.wizard.state.scope, event.key, names))

    @on(RowList.Picked, "#tree")
    def _picked(self) -> None:
        self.wizard.action_next()

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self.redraw()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.screen.set_focus(self.query_one("#tree"))

    @on(Input.Submitted, "#name")
    def _named(self, event: Input.Submitted) -> None:
        name = event.value.strip()
        if why := name_problem(name):
            self.wizard.complain(why)
            return
        scope = self.wizard.state.scope
        self._choose(Scope(names=scope.names | {name}))
        event.input.value = ""
        self.close(event.input)
