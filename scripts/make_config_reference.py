"""Writes docs/configuration.md from the models that check the config, so that the two cannot differ."""

from __future__ import annotations

import argparse
import inspect
import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mongo_dr_console.config import Config

TARGET = Path(__file__).parents[1] / "docs" / "configuration.md"

_HEAD = """\
# Configuration

Made by `scripts/make_config_reference.py` from the models that check the file; do not edit.

The file is TOML. `mdr config path` says where it is (`MDR_CONFIG` names another), `mdr config init` writes
one to begin with, `mdr config check` checks it, `mdr config show` shows what is in force with secrets masked.
It should have mode 0600. An unknown key or a wrong value is an error that names the line and what is allowed.

Durations are `"500ms"`, `"60s"`, `"90m"`, `"24h"`, `"30d"`; sizes `"16 MiB"`, `"1 GB"`; ratios `"50%"`.
A secret comes from the URI, a file or the environment; it is never logged, journalled or shown.
"""

_NAMES = {
    str: "text",
    int: "number",
    float: "ratio",
    bool: "true or false",
    Path: "path",
    timedelta: "duration",
    SecretStr: "text, secret",
}

_CHECKED = {"_size": "size", "_cron": "cron expression", "_address": "host:port", "_timezone": "time zone"}


def reference() -> str:
    """The whole page."""
    sections = [_HEAD]
    sections += [_section(path, model) for path, model in _tables("", Config) if _keys(model)]
    return "\n".join(sections)


def _tables(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        if get_origin(_plain(field.annotation)) is dict:
            below += f".<{'key' if name == 'keys' else 'name'}>"
        for variant in _models(field.annotation):
            if not _is_short(variant):
                yield from _tables(below, variant)


def _section(path: str, model: type[BaseModel]) -> str:
    kind = model.model_fields.get("type")
    variant = f', `type = "{get_args(kind.annotation)[0]}"`' if kind is not None else ""
    title = f"## `[{path}]`{variant}" if path else "## The file itself"
    about = " ".join((inspect.getdoc(model) or "").replace("``", "`").split())
    rows = ["| key | what it is | default | |", "|---|---|---|---|"]
    for name, field in _keys(model).items():
        kind = _type(field.rebuild_annotation())
        rows.append(f"| `{name}` | {kind} | {_default(field)} | {field.description or ''} |")
    return "\n".join([title, "", about, "", *rows, ""])


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys that are no tables of their own."""
    fields = model.model_fields.items()
    return {n: f for n, f in fields if all(_is_short(m) for m in _models(f.annotation))}


def _is_short(model: type[BaseModel]) -> bool:
    """Whether a single value can stand for the table, as for thresholds."""
    return "critical" in model.model_fields


def _models(annotation: Any) -> list[type[BaseModel]]:
    kind = _plain(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) is dict:
        return _models(get_args(kind)[1])
    if get_origin(kind) in (Union, types.UnionType):
        return [model for one in get_args(kind) for model in _models(one)]
    return []


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        checks = [getattr(getattr(m, "func", None), "__name__", "") for m in arguments[1:]]
        return next((_CHECKED[c] for c in checks if c in _CHECKED), _type(arguments[0]))
    if origin is Literal:
        return " \\| ".join(f'`"{value}"`' for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    if origin in (tuple, dict):
        return f"list of {_type(arguments[0])}" if origin is tuple else "table"
    models = _models(annotation)
    return _type(models[0].model_fields["critical"].annotation) if models else _NAMES[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value in ((), {}):
        return ""
    if isinstance(value, BaseModel):
        return f'`"{value.model_dump(mode="json")["critical"]}"`'
    shown = TypeAdapter(field.rebuild_annotation()).dump_python(value, mode="json")
    return f'`"{shown}"`' if isinstance(shown, str) else f"`{shown}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Fail if the page is not current.")
    page = reference()
    if parser.parse_args().check:
        sys.exit(0 if TARGET.read_text(encoding="utf-8") == page else f"{TARGET.name} is not current")
    TARGET.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
