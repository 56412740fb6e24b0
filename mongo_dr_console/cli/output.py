"""Results on stdout, progress and messages on stderr, errors with what to do next."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from mongo_dr_console.model.foldtext import clean, fold
from mongo_dr_console.model.hiding import all_redacted
from mongo_dr_console.model.trouble import Trouble

if TYPE_CHECKING:
    from pydantic import BaseModel


def _shown(text: str) -> str:
    if all_redacted():
        from mongo_dr_console.model.redaction import without_values

        text = without_values(text)
    return clean(text)


def _without_values(document: BaseModel | dict[str, Any]) -> dict[str, Any]:
    from mongo_dr_console.model.redaction import redacted

    data = document if isinstance(document, dict) else document.model_dump(mode="json", by_alias=True)
    return redacted(data)


def print_json(document: BaseModel | dict[str, Any]) -> None:
    """One JSON document on stdout."""
    if all_redacted():
        document = _without_values(document)
    if isinstance(document, dict):
        text = json.dumps(document, ensure_ascii=False, indent=2)
    else:
        # Python's own encoder takes a fifth of a second for two thousand snapshots.
        text = document.model_dump_json(by_alias=True, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people on stderr; never a result."""
    sys.stderr.write(_shown(text) + "\n")
    sys.stderr.flush()


def write_lines(lines: Iterable[str], out: TextIO | None = None) -> None:
    """Lines for people, user data in them made harmless; folded to a terminal's width, elsewhere whole."""
    out = out or sys.stdout
    width = shutil.get_terminal_size().columns if out.isatty() else None
    for line in lines:
        shown = _shown(line)
        out.write("\n".join([shown] if width is None else fold(shown, width)) + "\n")
    out.flush()


def has_terminal() -> bool:
    """Whether a full-screen program can be shown here."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(s is not None and s.isatty() for s in streams) and os.environ.get("TERM") != "dumb"


def fail(trouble: Trouble, *, as_json: bool, exit_code: int | None = None) -> NoReturn:
    """Tells the trouble and ends with its exit code."""
    if as_json:
        print_json({"error": {"code": trouble.code, "message": trouble.message, "hint": trouble.hint}})
    say(f"mdr: {trouble.message}" + (f"\n     {trouble.hint}" if trouble.hint else ""))
    raise SystemExit(int(trouble.exit_code) if exit_code is None else exit_code)
