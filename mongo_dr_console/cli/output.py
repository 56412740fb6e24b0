"""Results on stdout, progress and messages on stderr, errors with what to do next."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, NoReturn, TextIO

from pydantic import BaseModel

from mongo_dr_console.model.trouble import Trouble


def print_json(document: BaseModel | dict[str, Any]) -> None:
    """One JSON document on stdout."""
    data = document.model_dump(mode="json", by_alias=True) if isinstance(document, BaseModel) else document
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people on stderr; never a result."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def clean(text: str) -> str:
    """User data for a terminal: control characters other than newline and tab are shown, not obeyed."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_lines(lines: Iterable[str], out: TextIO | None = None) -> None:
    """Lines for people, user data in them made harmless; folded to a terminal's width, elsewhere whole."""
    out = out or sys.stdout
    width = shutil.get_terminal_size().columns if out.isatty() else None
    for line in lines:
        shown = clean(line)
        out.write("\n".join([shown] if width is None else fold(shown, width)) + "\n")
    out.flush()


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


def fail(trouble: Trouble, *, as_json: bool, exit_code: int | None = None) -> NoReturn:
    """Tells the trouble and ends with its exit code."""
    if as_json:
        print_json({"error": {"code": trouble.code, "message": trouble.message, "hint": trouble.hint}})
    say(f"mdr: {trouble.message}" + (f"\n     {trouble.hint}" if trouble.hint else ""))
    raise SystemExit(int(trouble.exit_code) if exit_code is None else exit_code)
