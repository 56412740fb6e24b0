"""An on-call engineer in tests: sits at a terminal and works the console by keys alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from support.terminal import Size, Terminal

MDR = [sys.executable, "-m", "mongo_dr_console"]


def console_of(profile: str) -> tuple[str, ...]:
    """The console that may restore."""
    return ("--profile", profile, "console", "--allow-restore", "--no-mouse")


class Engineer:
    """Opens a console on a terminal of its own.

    Args:
        words: What is called; by default the practice deployment's.
    """

    def __init__(
        self, environment: Mapping[str, str], size: Size, words: tuple[str, ...] | None = None
    ) -> None:
        called = words or console_of("practice")
        self.terminal = Terminal([*MDR, *called], env=environment, size=size)

    def sees(self, *wanted: str, seconds: float = 180) -> str:
        """Waits until all of these stand on the screen together; the screen."""
        return self.terminal.wait_for(lambda shown: all(w in shown for w in wanted), seconds, repr(wanted))

    def dashboard(self) -> None:
        """Waits until the sources have answered."""
        self.sees("1 Replica set", "RPO now", "PRIMARY")

    def types_command(self, text: str) -> None:
        """Into the palette."""
        self.terminal.press(":")
        self.sees("a command, or a few letters of it")
        self.terminal.write(text)
        self.sees(f": {text}")
        self.terminal.press("enter")

    def arms(self) -> None:
        self.terminal.press("A")
        self.sees("Arm this console?", "▶ Cancel")
        self.goes_past_cancel("Arm")
        self.sees("ARMED")

    def goes_past_cancel(self, button: str) -> None:
        """Cancel has the focus; the button beside it does what is asked."""
        self.at_button("Cancel")
        self.terminal.press("tab")
        self.at_button(button)
        self.terminal.press("enter")

    def at_button(self, button: str) -> None:
        """Waits until a button has the focus."""
        self.terminal.wait_for(re.compile(f"▶ ?{button}"), what=f"the focus at {button}")

    def fills_in(self, *texts: str) -> None:
        """Field after field of a dialog; the last Enter answers it."""
        for number, text in enumerate(texts):
            self.terminal.write(text)
            self.sees(text)
            row = self.terminal.cursor_row
            self.terminal.press("enter")
            if number < len(texts) - 1:
                # A field has the terminal's cursor while it has the focus.
                self.terminal.wait_for(lambda _, row=row: self.terminal.cursor_row != row, what="the next")

    def confirms(self, wanted: str, button: str) -> None:
        """Types what is wanted; Enter goes on to the button, and Enter there does it."""
        asked = f"Type {wanted}"
        before = self.sees(asked).count(wanted)
        self.terminal.write(wanted)
        self.terminal.wait_for(lambda shown: shown.count(wanted) > before, what=f"{wanted!r} typed")
        self.terminal.press("enter")
        self.at_button(button)
        self.terminal.press("enter")
        self.terminal.wait_gone(asked)

    def opens_the_drop(self) -> None:
        """From the dashboard's events to the wizard."""
        self.terminal.press("5")
        self.sees("▶ 5 Events", "drop shop.orders")
        # On a slow machine sources may have been silent since, and stand above it.
        self.moves_to(re.compile(r"^[│|]▶.*drop shop\.orders", re.MULTILINE))
        self.terminal.press("enter")

    def moves_to(self, wanted: re.Pattern[str]) -> None:
        """Down, until the cursor stands where it is wanted."""
        while not wanted.search(shown := self.terminal.text):
            self.terminal.press("down")
            self.terminal.wait_for(
                lambda now, before=shown: now != before, what=f"the cursor at {wanted.pattern}"
            )

    def walks_to_the_plan(self) -> None:
        """Through the wizard, taking what is proposed."""
        self.takes_what_is_proposed("findings", "undo an event", "1 ticked", "Into which deployment")
        self.sees("nothing has been changed")

    def takes_what_is_proposed(self, *shown: str) -> None:
        """Page after page of the wizard, each told by its words."""
        for words in shown:
            self.sees(words)
            self.terminal.press("enter")

    def job_on_screen(self, kind: str) -> str:
        """The job whose screen this is."""
        shown = self.terminal.wait_for(re.compile(rf"{kind} job [0-9a-f]{{8}}"))
        found = re.search(rf"{kind} job ([0-9a-f]{{8}})", shown)
        assert found is not None
        return found[1]

    def attaches(self, job: str) -> None:
        """By the list of jobs, wherever the cursor stands."""
        self.terminal.press("J")
        listed = re.compile(rf"── Jobs: .*^[▶ ] . {job}", re.MULTILINE | re.DOTALL)
        self.terminal.wait_for(listed)
        while (way := _way_to(self.terminal.text, job)) != 0:
            before = self.terminal.text
            self.terminal.press("down" if way > 0 else "up")
            self.terminal.wait_for(lambda shown, before=before: shown != before, what="the cursor to move")
        self.terminal.press("enter")
        self.terminal.wait_for(re.compile(rf"\w+ job {job}"))


def _way_to(shown: str, job: str) -> int:
    """How many rows lie between the list's cursor and a job; the newest are on top, and new ones come."""
    rows = shown.split("\n")
    cursor = next(n for n, row in enumerate(rows) if row.startswith("▶"))
    return next(n for n, row in enumerate(rows) if re.match(rf"[▶ ] . {job}", row)) - cursor
