"""The field that must be typed into by hand."""

from __future__ import annotations

from textual import events, on
from textual.app import App, ComposeResult

from mongo_dr_console.ui.widgets.typed_field import TypedField


class Form(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[bool] = []
        self.refused = 0

    def compose(self) -> ComposeResult:
        yield TypedField("a/b", id="typed")

    @property
    def field(self) -> TypedField:
        return self.query_one(TypedField)

    @on(TypedField.Matched)
    def _matched(self, event: TypedField.Matched) -> None:
        self.told.append(event.matched)

    @on(TypedField.PasteRefused)
    def _refused(self) -> None:
        self.refused += 1


async def test_it_tells_of_an_exact_match_and_of_its_end() -> None:
    async with (app := Form()).run_test() as pilot:
        await pilot.press("a", "slash", "b")
        assert (app.field.matched, app.told) == (True, [True])
        await pilot.press("c")
        assert (app.field.matched, app.told) == (False, [True, False])


async def test_nothing_can_be_pasted() -> None:
    async with (app := Form()).run_test() as pilot:
        app.field.focus()
        app.copy_to_clipboard("a/b")
        app.field.post_message(events.Paste("a/b"))
        await pilot.press("ctrl+v")
        await pilot.pause()
        assert (app.field.value, app.told, app.refused) == ("", [], 2)


async def test_an_empty_text_is_never_matched_and_another_wanted_one_empties_the_field() -> None:
    async with (app := Form()).run_test() as pilot:
        await pilot.press("a", "slash", "b")
        app.field.wanted = "a/c"
        await pilot.pause()
        assert (app.field.value, app.field.matched, app.told) == ("", False, [True, False])
        app.field.wanted = ""
        assert not app.field.matched
