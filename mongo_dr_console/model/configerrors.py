"""What is wrong with a config file, in words: which line, which key, what is allowed.

Never a value: it could be a secret that stands in the wrong place.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_MOST_SHOWN = 10
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[\[?(?P<path>[^\]]*)\]\]?\s*(#.*)?")

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding of the model's check: where, of which type, its message and what goes with it."""

    loc: Loc
    type: str
    message: str
    context: Mapping[str, Any]


def explain(
    problems: Sequence[Problem], data: Mapping[str, Any], text: str, model: type[BaseModel]
) -> list[str]:
    """One line of text for each problem, in the order of the file.

    Args:
        problems: What the check found.
        data: The file, parsed.
        text: The file, for line numbers.
        model: What the file is checked against.
    """
    places = dict(lines_of(text))
    told: list[tuple[int, str]] = []
    for problem in problems:
        path = _real_path(problem.loc, data)
        if problem.type == "union_tag_invalid":
            path = (*path, "type")
        line = _line(places, path)
        key = dotted(path)
        words = _words(problem, path, data, model)
        told.append((line or 0, f"line {line}: {key}: {words}" if line else f"{key or 'file'}: {words}"))
    told.sort(key=lambda one: one[0])
    shown = [words for _, words in told[:_MOST_SHOWN]]
    return shown + ([f"and {len(told) - _MOST_SHOWN} more"] if len(told) > _MOST_SHOWN else [])


def dotted(path: Sequence[str | int]) -> str:
    """A path as TOML writes it."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            shown = part if _BARE.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
            parts.append(f".{shown}" if parts else shown)
    return "".join(parts)


def lines_of(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The path of every table and key with the number of its line, from 1; text inside of long strings and
    arrays is passed over."""
    table: tuple[str, ...] = ()
    inside = _Inside()
    for number, line in enumerate(text.splitlines(), 1):
        if not inside.open:
            header = _HEADER.fullmatch(line)
            if header is not None:
                table = tuple(_keys(header["path"])[0])
                yield table, number
                continue
            keys, rest = _keys(line)
            if keys and rest.startswith("="):
                yield (*table, *keys), number
        inside.read(line)


def allowed_keys(model: type[BaseModel], data: Mapping[str, Any], path: Sequence[str | int]) -> list[str]:
    """The keys that the table at a path may have; none where the path leads to no table."""
    kind, at = _kind_at(path, data, model)
    kind = _chosen(kind, at)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _types(path: Loc, data: Mapping[str, Any], model: type[BaseModel]) -> str:
    """The names of the variants that the table at a path may be."""
    kind, _ = _kind_at(path, data, model)
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    fields = [getattr(v, "model_fields", {}).get("type") for v in get_args(kind)]
    return ", ".join(f"'{name}'" for f in fields if f is not None for name in get_args(f.annotation))


def _kind_at(path: Sequence[str | int], data: Mapping[str, Any], model: type[BaseModel]) -> tuple[Any, Any]:
    """The annotation of what a path leads to, None for nothing known, and the value there."""
    kind: Any = model
    at: Any = data
    for part in path:
        at = at.get(part, {}) if isinstance(at, Mapping) else {}
        kind = None if kind is None else _inner(kind, part, at)
    return kind, at


def _words(problem: Problem, path: Loc, data: Mapping[str, Any], model: type[BaseModel]) -> str:
    context = problem.context
    if problem.type == "extra_forbidden":
        known = allowed_keys(model, data, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, 1, 0.6)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown key; {meant}Allowed here: {', '.join(known)}."
    fixed = {
        "missing": "is needed and not there.",
        "literal_error": f"allowed: {context.get('expected')}.",
        "union_tag_invalid": f"allowed: {context.get('expected_tags')}.",
        "union_tag_not_found": f"type is needed and not there; allowed: {_types(path, data, model)}.",
    }.get(problem.type)
    if fixed is not None:
        return fixed
    if problem.type in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a table."
    message = problem.message.removeprefix("Value error, ").removeprefix("Input ")
    return message.rstrip(".") + "."


def _real_path(loc: Loc, data: Mapping[str, Any]) -> Loc:
    """Without the parts that name a variant of a union and stand for nothing in the file."""
    path: list[str | int] = []
    at: Any = data
    for n, part in enumerate(loc):
        if isinstance(at, Mapping) and part in at:
            at = at[str(part)]
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
        elif n < len(loc) - 1 or not isinstance(at, Mapping):
            continue
        path.append(part)
    return tuple(path)


def _line(places: Mapping[tuple[str, ...], int], path: Loc) -> int | None:
    """The line of the key, else of the table around it."""
    names = tuple(part for part in path if isinstance(part, str))
    for length in range(len(names), 0, -1):
        if names[:length] in places:
            return places[names[:length]]
        deeper = [line for known, line in places.items() if known[:length] == names[:length]]
        if deeper:
            return min(deeper)
    return None


# The model's side


def _inner(kind: Any, part: str | int, value: Any) -> Any:
    """The type of what a key of this type holds."""
    kind = _chosen(kind, value)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        if field is None:
            return None
        annotation: Any = field.annotation
        return annotation
    arguments = get_args(kind)
    return arguments[-1] if get_origin(kind) is dict and arguments else None


def _chosen(kind: Any, value: Any) -> Any:
    """Of a union the variant that ``type`` names, of an optional type the type."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    variants = [k for k in get_args(kind) if k is not type(None)]
    if len(variants) == 1:
        return _chosen(variants[0], value)
    wanted = value.get("type") if isinstance(value, Mapping) else None
    for variant in variants:
        field = getattr(variant, "model_fields", {}).get("type")
        if (
            field is not None
            and get_origin(field.annotation) is Literal
            and wanted in get_args(field.annotation)
        ):
            return variant
    return None


# The text's side


class _Inside:
    """Follows whether a line of TOML ends inside of a string over several lines or of an array."""

    def __init__(self) -> None:
        self._quotes = ""
        self._depth = 0

    @property
    def open(self) -> bool:
        return bool(self._quotes) or self._depth > 0

    def read(self, line: str) -> None:
        at = 0
        while at < len(line):
            at = self._in_string(line, at) if self._quotes else self._outside(line, at)
        if len(self._quotes) == 1:
            self._quotes = ""

    def _in_string(self, line: str, at: int) -> int:
        if line[at] == "\\" and self._quotes.startswith('"'):
            return at + 2
        if line.startswith(self._quotes, at):
            at += len(self._quotes)
            self._quotes = ""
            return at
        return at + 1

    def _outside(self, line: str, at: int) -> int:
        char = line[at]
        if char == "#":
            return len(line)
        if char in "\"'":
            self._quotes = char * 3 if line.startswith(char * 3, at) else char
            return at + len(self._quotes)
        if char in "[{":
            self._depth += 1
        elif char in "]}":
            self._depth -= 1
        return at + 1


_PART = re.compile(
    r"""\s*(?:(?P<bare>[A-Za-z0-9_-]+)|"(?P<basic>(?:[^"\\]|\\.)*)"|'(?P<literal>[^']*)')\s*"""
)


def _keys(text: str) -> tuple[list[str], str]:
    """The dotted key that a text begins with, and what follows it."""
    keys: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            return keys, text[at:]
        keys.append(next(g for g in (match["bare"], match["basic"], match["literal"]) if g is not None))
        at = match.end()
        if not text.startswith(".", at):
            return keys, text[at:]
        at += 1
