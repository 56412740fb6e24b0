"""Files for other eyes: every known secret is taken out of them, however it is written there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from mongo_dr_console.model.secrets import scrub

_SHORTEST = 3
"""Anything shorter would turn every text into stars, and is no secret."""
_SHORTEST_PIECE, _LONG_PIECE = 8, 16
"""Of a URL of which nobody says which part is secret: a word is none, unless it is a long one."""
_SURE = 8
"""From so many letters on it is no word of ours: it is taken out of keys too, and must not be left."""


@dataclass(frozen=True)
class Secrets:
    """What must not be in a file.

    Args:
        values: Each as it is.
    """

    values: frozenset[str]

    @classmethod
    def of(cls, values: Iterable[str]) -> Secrets:
        """Without those that are too short to be one."""
        return cls(frozenset(v for v in (value.strip() for value in values) if len(v) >= _SHORTEST))

    @cached_property
    def spellings(self) -> frozenset[str]:
        """Each value as it may stand in a text, a URL, or JSON."""
        return frozenset(s for value in self.values for s in _spellings(value))

    @cached_property
    def sure(self) -> frozenset[str]:
        """Those that are long enough to be no accident."""
        return frozenset(s for s in self.spellings if len(s) >= _SURE)

    def clean(self, content: bytes) -> bytes:
        """A file without them. JSON, also a line each, stays JSON; anything else is taken as text."""
        text = content.decode("utf-8", "replace")
        if not self._suspect(text):
            return content
        whole = self._json(text, indent=2)
        if whole is not None:
            return whole.encode() + b"\n"
        lines = text.splitlines(keepends=True)
        return "".join(self._line(line) if self._suspect(line) else line for line in lines).encode()

    def clean_text(self, text: str) -> str:
        """A sentence without them."""
        return scrub(text, self.spellings)

    def left_in(self, content: bytes) -> bool:
        """Whether one is in there that is long enough to be no accident."""
        return any(secret.encode() in content for secret in self.sure)

    def _suspect(self, text: str) -> bool:
        lower = text.lower()
        uri = "mongodb://" in lower or "mongodb+srv://" in lower
        return uri or any(secret in text for secret in self.spellings)

    def _line(self, line: str) -> str:
        cleaned = self._json(line)
        return scrub(line, self.spellings) if cleaned is None else f"{cleaned}\n"

    def _json(self, text: str, indent: int | None = None) -> str | None:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return None
        separators = None if indent else (",", ":")
        return json.dumps(self._cleaned(data), ensure_ascii=False, indent=indent, separators=separators)

    def _cleaned(self, data: Any) -> Any:
        if isinstance(data, str):
            return scrub(data, self.spellings)
        if isinstance(data, list):
            return [self._cleaned(one) for one in data]
        if isinstance(data, dict):
            return {scrub(key, self.sure): self._cleaned(value) for key, value in data.items()}
        return data


def pieces_of(url: str) -> set[str]:
    """A URL that holds a token somewhere, and each part of it that could be one."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    words = [*parts.path.split("/"), *(v for _, v in parse_qsl(parts.query)), parts.fragment]
    # Some services put a token where others have the host or the user.
    words += [name, "" if at or parts.scheme in ("http", "https") else parts.netloc]
    found = {url, password, *filter(_is_token, words)}
    return {s for word in found for s in (word, unquote(word)) if s}


def _is_token(word: str) -> bool:
    mixed = any(c.isdigit() for c in word) or (word.lower() != word != word.upper())
    return len(word) >= _LONG_PIECE or (len(word) >= _SHORTEST_PIECE and mixed)


def password_of(uri: str) -> str:
    """The password of a connection URI; empty where it has none."""
    user, at, _ = uri.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""


def _spellings(value: str) -> set[str]:
    plain = {value, unquote(value), quote(value, safe=""), quote_plus(value)}
    return plain | {json.dumps(v, ensure_ascii=e)[1:-1] for v in plain for e in (True, False)}
