"""All facts of the verdict, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from mongo_dr_console.model.verdict import Fact, Level
from mongo_dr_console.model.words import duration
from mongo_dr_console.ui.answers import Answer, answer_of
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.leaving import Leaving
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import level_word

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_MARK = 13
_OF_NOW = 5.0


class FactsScreen(ModalScreen[None], Leaving[None]):
    """Everything that makes the verdict, with the source that it comes from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="facts.back"),
        Binding("v", "back", "back", id="facts.close", show=False),
    ]
    DEFAULT_CSS = """
    FactsScreen { align: center middle; }
    FactsScreen > VerticalScroll {
        width: 90%; max-width: 100; height: auto; max-height: 90%;
        border: round $accent; background: $surface; padding: 0 1; scrollbar-gutter: stable;
    }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="facts-box"):
            yield LinesView(id="facts")

    def on_mount(self) -> None:
        self.query_one("#facts-box").border_title = "All facts, the most urgent first"
        self.query_one("#facts-box").border_subtitle = "esc back"
        self.query_one("#facts-box").focus()
        when_drawn(self, lambda: self.show(self._view))

    def on_resize(self) -> None:
        when_drawn(self, lambda: self.show(self._view))

    def show(self, view: View) -> None:
        """Shows this moment's facts."""
        self._view = view
        shown = self.query_one("#facts", LinesView)
        answers = partial(answer_of, cast("ConsoleApp", self.app))
        shown.set_lines(facts_lines(view, max(30, shown.size.width), answers))

    def action_back(self) -> None:
        """Back to the dashboard."""
        self.dismiss(None)


def facts_lines(view: View, width: int, answers: Callable[[Fact], Answer | None]) -> list[Line]:
    """A fact a paragraph: level, its whole text, source and age; below it what it means and the key to press;
    at the end what can be got back."""
    lines: list[Line] = []
    for fact in view.verdict.facts:
        role = ROLE_OF_LEVEL[fact.level]
        mark = f"{fact.level.glyph} {level_word(fact.level)}"
        texts = [
            *wrapped(f"{fact.text} ({_whence(fact)})", width - _MARK),
            *_what_now(fact, answers(fact), width - _MARK),
        ]
        for number, text in enumerate(texts):
            lead = mark if not number else ""
            lines.append(Line(((f"{lead:<{_MARK}}", role), *text.spans)))
    if not lines:
        lines.append(line((f"{Level.FINE.glyph} {Level.FINE.word:<{_MARK - 2}}", "fine"), view.verdict.text))
    return [*lines, Line(), *wrapped(view.verdict.consequence, width, "strong")]


def _whence(fact: Fact) -> str:
    """The source, and how old its value is; seconds of one that is of now would tick for nothing."""
    if fact.age_seconds is None:
        return f"{fact.source}, age ?"
    age = duration(fact.age_seconds)
    return f"{fact.source}, age {'<5s' if fact.age_seconds < _OF_NOW else age}"


def _what_now(fact: Fact, answer: Answer | None, width: int) -> list[Line]:
    words = wrapped(fact.means, width, "dim") if fact.means else []
    if answer is None:
        return words
    press = line(("press ", "dim"), (answer.key, "key"), (f" {answer.does}", "dim"))
    if words and words[-1].width + 2 + press.width <= width:
        return [*words[:-1], Line((*words[-1].spans, ("  ", ""), *press.spans))]
    return [*words, press]
