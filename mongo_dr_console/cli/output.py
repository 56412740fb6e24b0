"""Results on stdout, progress and messages on stderr, errors with what to do next."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

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


def fail(trouble: Trouble, *, as_json: bool, exit_code: int | None = None) -> NoReturn:
    """Tells the trouble and ends with its exit code."""
    if as_json:
        print_json({"error": {"code": trouble.code, "message": trouble.message, "hint": trouble.hint}})
    say(f"mdr: {trouble.message}" + (f"\n     {trouble.hint}" if trouble.hint else ""))
    raise SystemExit(int(trouble.exit_code) if exit_code is None else exit_code)
