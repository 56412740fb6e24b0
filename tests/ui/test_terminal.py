"""The terminal that the other tests look through shows what a real one would."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal

ECHO = """
import sys, termios, tty
tty.setraw(0)
sys.stdout.write("ready\\r\\n"); sys.stdout.flush()
while (got := sys.stdin.read(1)) != "q":
    sys.stdout.write(f"<{ord(got):x}>"); sys.stdout.flush()
sys.exit(7)
"""

TEXTUAL = """
from textual.app import App
from textual.widgets import Input, Static

class Small(App):
    def compose(self):
        yield Input()
        yield Static(id="size")
    def on_resize(self, event):
        self.query_one("#size").update(f"{event.size.width} by {event.size.height}")
    def on_input_submitted(self, event):
        self.exit(message=f"said {event.value}")
    def on_paste(self, event):
        self.query_one("#size").update("pasted")

Small().run()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def said(*texts: str) -> list[str]:
    """A process that writes texts, each in a write of its own, and waits."""
    parts = "; ".join(f"os.write(1, {text.encode()!r})" for text in texts)
    return python(f"import os, time, tty; tty.setraw(0); {parts}; os.write(1, b'end'); time.sleep(600)")


def test_keys_arrive_as_a_terminal_sends_them() -> None:
    with Terminal(python(ECHO)) as terminal:
        terminal.wait_for("ready")
        terminal.press("a", "up", "escape", "enter")
        terminal.wait_for("<61><1b><5b><41><1b><d>")
        terminal.press("q")
        assert terminal.wait() == 7


def test_a_terminal_that_goes_away_hangs_up_its_process() -> None:
    terminal = Terminal(python(ECHO))
    terminal.wait_for("ready")
    assert terminal.kill(120) == -signal.SIGHUP


def test_the_failure_shows_the_screen() -> None:
    with Terminal(said("alpha")) as terminal:
        terminal.wait_for("end")
        with pytest.raises(AssertionError, match=r"'beta': not within 0.01 s.*\n\|alphaend"):
            terminal.wait_for("beta", seconds=0.01)


def test_waiting_ends_with_the_process() -> None:
    with (
        Terminal(python("print('short')")) as terminal,
        pytest.raises(AssertionError, match="the process has ended"),
    ):
        terminal.wait_for("never")
    assert terminal.wait() == 0


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[>1u",
        "\x1b[<u",
        "\x1b[=5;1u",
        "\x1b[>4;1m",
        "\x1b[?2048$p",
        "\x1b[?u",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=1\x1b\\",
        "\x1b]52;c;Zm9v\x07",
        "\x1b]0;title\x1b\\",
    ],
)
def test_what_is_not_text_is_not_shown(sequence: str) -> None:
    whole = [f"a{sequence}b"]
    torn = ["a", *sequence, "b"]
    for parts in (whole, torn):
        with Terminal(said(*parts)) as terminal:
            assert terminal.wait_for("end").startswith("abend"), parts


def test_a_character_may_come_in_pieces() -> None:
    write = "[os.write(1, bytes([b])) for b in '✗ é'.encode()]"
    code = f"import os, time; {write}; os.write(1, b'end'); time.sleep(600)"
    with Terminal(python(code)) as terminal:
        assert terminal.wait_for("end").startswith("✗ éend")


def test_half_a_frame_is_not_seen() -> None:
    code = (
        "import os, sys, tty; tty.setraw(0); os.write(1, b'\\x1b[?2026hone');"
        "sys.stdin.read(1); os.write(1, b' two\\x1b[?2026l'); sys.stdin.read(1)"
    )
    with Terminal(python(code)) as terminal:
        with pytest.raises(AssertionError):
            terminal.wait_for("one", seconds=0.3)
        terminal.press("x")
        assert terminal.wait_for("one").startswith("one two")
        assert terminal.frames == 1


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
def test_textual_runs_in_it(size: tuple[int, int], tmp_path: Path) -> None:
    with Terminal(python(TEXTUAL), size=size) as terminal:
        terminal.wait_for(f"{size[0]} by {size[1]}")
        assert len(terminal.text.split("\n")) == size[1]
        terminal.write("hello")
        terminal.wait_for("hello")
        assert terminal.frames > 0
        terminal.resize((60, 20))
        terminal.wait_for("60 by 20")
        terminal.press("enter")
        assert terminal.wait() == 0
        after = terminal.text
    assert "said hello" in after
    assert not re.search("60 by 20|▊", after), "the alternate screen is left"


def test_pasting_is_told_from_typing() -> None:
    with Terminal(python(TEXTUAL)) as terminal:
        terminal.wait_for("120 by 36")
        terminal.paste("clip")
        terminal.wait_for("clip")
