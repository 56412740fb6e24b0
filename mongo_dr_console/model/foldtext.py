"""Text of others made fit for a terminal: harmless, and no wider than it."""

from __future__ import annotations

import re
import textwrap


def clean(text: str) -> str:
    """User data for a terminal: control characters other than newline and tab are shown, not obeyed."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_LABEL = re.compile(r" *\S+(?: \S+)*? {2,}| *\d+\. +| +")
_DEEPEST = 20


def fold(line: str, width: int) -> list[str]:
    """A line as several that fit; those that follow begin under the text that the first one's label stands
    before. Words stay whole, and so do lines that are commands, so that they can be copied.

    >>> fold("  limit     follows all writes up to the cut-over", 32)
    ['  limit     follows all writes', '            up to the cut-over']
    """
    if len(line) <= width or line.lstrip().startswith("mdr "):
        return [line]
    label = _LABEL.match(line)
    deep = label.end() if label else 0
    if label and not label[0].strip():
        deep += 2
    if deep > _DEEPEST or width - deep < 20:
        deep = 4
    return textwrap.wrap(
        line, width, subsequent_indent=" " * deep, break_long_words=False, break_on_hyphens=False
    )
