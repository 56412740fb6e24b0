"""A button whose focus can be told without colours: what stands on the screen, looks left out."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.geometry import Region

from mongo_dr_console.ui.widgets.action_button import ActionButton


class Row(App[None]):
    AUTO_FOCUS = None

    def compose(self) -> ComposeResult:
        yield ActionButton("Cancel", id="cancel")
        yield ActionButton("[red]Drop", id="drop")
        yield ActionButton("Next", id="next", compact=True)
        yield ActionButton("Open the wizard", id="long")

    def shown(self, button: str) -> str:
        region: Region = self.query_one(f"#{button}").region
        strips = self.screen._compositor.render_strips()[region.y : region.bottom]
        return "\n".join(strip.text[region.x : region.right] for strip in strips)


async def test_signs_go_with_the_focus_and_the_words_stay_where_they_are() -> None:
    async with (app := Row()).run_test() as pilot:
        names = ("cancel", "drop", "next", "long")
        without = {name: app.shown(name) for name in names}
        assert "▶" not in "".join(without.values())
        for name in names:
            app.query_one(f"#{name}").focus()
            await pilot.pause()
            shown = app.shown(name)
            assert [n for n in names if app.shown(n) != without[n]] == [name]
            assert shown.count("▶") == shown.count("◀") == 1
            assert shown.replace("▶", " ").replace("◀", " ") == without[name]


async def test_words_are_never_markup() -> None:
    async with (app := Row()).run_test() as pilot:
        assert "[red]Drop" in app.shown("drop")
        app.query_one("#drop").focus()
        await pilot.pause()
        assert "▶ [red]Drop" in app.shown("drop")
