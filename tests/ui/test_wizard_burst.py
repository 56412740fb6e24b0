"""Letters that come all at once, as over a slow line: all of them are typed, and none is a command."""

from __future__ import annotations

import pytest
from support.consolekit import SIZES, FakeFeed
from support.wizardkit import desk_of, wizard_console
from textual import events
from textual.keys import _character_to_key

from mongo_dr_console.ui.widgets.typed_field import TypedField


@pytest.mark.parametrize("size", SIZES)
async def test_a_burst_of_letters_at_cancel_is_typed_whole(size: tuple[int, int]) -> None:
    app = wizard_console()
    app.desk.access.arm()
    async with app.run_test(size=size) as pilot:
        await pilot.press("R")
        for _ in range(6):
            await pilot.pause()
            await pilot.press("enter")
        await pilot.pause()
        field = app.screen.query_one(TypedField)
        assert app.focused is not None and app.focused.id == "cancel"
        for letter in field.wanted:
            app.post_message(events.Key(_character_to_key(letter), letter))
        await pilot.pause()
        await pilot.pause()
        assert field.value == field.wanted
        # An r was among them.
        assert isinstance(app.feed, FakeFeed) and app.feed.refreshed == []
        assert desk_of(app).done == []
