"""The signs that the console draws, and their plain ASCII stand-ins (``--ascii``)."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from mongo_dr_console.model.verdict import Level
from mongo_dr_console.ui.lines import Role

_ASCII = str.maketrans(
    {
        "✓": "+",
        "✗": "X",
        "…": "~",
        "→": ">",
        "←": "<",
        "─": "-",
        "│": "|",
        "┌": "+",
        "┐": "+",
        "└": "+",
        "┘": "+",
        "├": "+",
        "┤": "+",
        "━": "=",
        "┃": "|",
        "┏": "+",
        "┓": "+",
        "┗": "+",
        "┛": "+",
        "═": "=",
        "░": ":",
        "▒": "%",
        "■": "H",
        "▲": "^",
        "▼": "v",
        "●": "*",
        "○": "o",
        "◆": "#",
        "▶": ">",
        "◀": "<",
        "█": "#",
        "▏": "|",
        "·": ".",
        "•": "*",
        "–": "-",
        "—": "-",
        "≥": ">",
        "≤": "<",
        "×": "x",
        "↑": "^",
        "↓": "v",
        "⏎": "<",
        "±": "~",
        "≈": "~",
        "∞": "*",
        # Frames, bars and scrollbars of Textual's own widgets.
        "▔": "-",
        "▎": "|",
        "▍": "|",
        "▌": "|",
        "▋": "|",
        "▊": "|",
        "▉": "|",
        "▐": "|",
        "▕": "|",
        "▀": "-",
        "╭": "+",
        "╮": "+",
        "╰": "+",
        "╯": "+",
        "╔": "+",
        "╗": "+",
        "╚": "+",
        "╝": "+",
        "║": "|",
        "┬": "+",
        "┴": "+",
        "┼": "+",
        "╸": "-",
        "╺": "-",
        "╹": "|",
        "╻": "|",
        "▛": "+",
        "▜": "+",
        "▙": "+",
        "▟": "+",
        "▗": "+",
        "▖": "+",
        "▝": "+",
        "▘": "+",
        "╏": "|",
        "╎": "|",
        "╍": "-",
        "╌": "-",
        "▁": "_",
        "▂": "_",
        "▃": ".",
        "▄": "-",
        "▅": "-",
        "▆": "=",
        "▇": "#",
    }
)

ROLE_OF_LEVEL: dict[Level, Role] = {
    Level.FINE: "fine",
    Level.WARNING: "warning",
    Level.CRITICAL: "critical",
    Level.UNKNOWN: "unknown",
}


class AsciiOnly(LineFilter):
    """Everything that is drawn, frames and scrollbars of any widget included."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(ascii_only(text), style, control) for text, style, control in segments]


def ascii_only(text: str) -> str:
    """Our own signs replaced; letters of names stay what they are.

    >>> ascii_only("✗ DATA → gone…")
    'X DATA > gone~'
    """
    return text.translate(_ASCII)
