"""Drawing once more when all is laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.widget import Widget


def when_drawn(widget: Widget, call: Callable[[], Any]) -> None:
    """Calls after the next refresh, unless the widget is being taken down by then.

    Its children go before it does, so a call that looks for them would find none and end the console.
    """

    def still() -> None:
        if widget.is_attached and not widget._pruning:
            call()

    widget.call_after_refresh(still)
