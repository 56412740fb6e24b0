"""Results on stdout, progress and messages on stderr, errors with what to do next."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Any, NoReturn, TextIO

from pydantic import BaseModel

from mongo_dr_console.config import all_redacted
from mongo_dr_console.model.foldtext import clean, fold
from mongo_dr_console.model.redaction import redacted, without_values
from mongo_dr_console.model.trouble import Trouble


def _shown(text: str) -> str:
    return clean(without_values(text) if all_redacted() else text)


def print_json(document: BaseModel | dict[str, Any]) -> None:
    """One JSON document on stdout."""
    data = document.model_dump(mode="json", by_alias=True) if isinstance(document, BaseModel) else document
    data = redacted(data) if all_redacted() else data
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
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


def fail(trouble: Trouble, *, as_json: bool, exit_code: int | None = None) -> NoReturn:
    """Tells the trouble and ends with its exit code."""
    if as_json:
        print_json({"error": {"code": trouble.code, "message": trouble.message, "hint": trouble.hint}})
    say(f"mdr: {trouble.message}" + (f"\n     {trouble.hint}" if trouble.hint else ""))
    raise SystemExit(int(trouble.exit_code) if exit_code is None else exit_code)
