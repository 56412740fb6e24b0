"""Patterns over namespaces, as mongorestore understands them: the whole name, ``*`` for anything in it (dots
too), ``\\*`` for a star.

Two things are ours. A pattern without a dot is one of databases and means all that is in them, where
mongorestore takes it for a whole namespace, matches nothing and says nothing. And a backslash that escapes
nothing is a backslash.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\\(?P<text>[\\*])|(?P<star>\*)|(?P<other>.)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?P<variable>[^$]*)\$|(?P<other>.)", re.DOTALL)

_STARS = "there are not as many stars on one side as on the other"


def exact(name: str) -> str:
    """The pattern that matches this name and no other.

    >>> exact("shop.st*ar") == r"shop.st\\*ar"
    True
    """
    return re.sub(r"\\(?=[\\*])|\*", lambda found: "\\" + found[0], name)


def is_exact(pattern: str) -> bool:
    """Whether it matches one name only."""
    return "$" not in pattern and all(kind != "star" for kind, _ in _stars(pattern))


def matches(pattern: str, database: str, collection: str) -> bool:
    """Whether a pattern chooses a namespace.

    >>> matches("shop", "shop", "a.b"), matches("shop.a*", "shop", "a.b"), matches("a*", "shop", "a.b")
    (True, True, False)
    """
    whole = database if "." not in pattern else f"{database}.{collection}"
    return _matcher(pattern).fullmatch(whole) is not None


@functools.lru_cache(maxsize=1024)
def _matcher(pattern: str) -> re.Pattern[str]:
    parts = (".*" if kind == "star" else re.escape(text) for kind, text in _stars(pattern))
    return re.compile("".join(parts), re.DOTALL)


@functools.lru_cache(maxsize=1024)
def substitution(source: str, target: str) -> tuple[re.Pattern[str], str]:
    """A pair of ``--map`` as a regular expression and the template for what it matches: stars stand for the
    same texts in both, in their order; or variables, ``$name$``, in any order.

    Raises:
        ValueError: Another number of stars on either side, a variable that is not in the source or is there
            twice, a dollar sign that is no variable's.
    """
    named = "$" in source
    parse = _variables if named else _stars
    expression, template, known = "", "", []
    for kind, text in parse(source):
        if kind == "text":
            expression += re.escape(text)
            continue
        if text in known:
            raise ValueError(f"the variable {text!r} stands in it twice")
        known.append(text)
        expression += "(.*?)"
    used = []
    for kind, text in parse(target):
        if kind == "text":
            template += text.replace("\\", r"\\")
            continue
        if text not in known:
            raise ValueError(f"the variable {text!r} is not in the source" if named else _STARS)
        used.append(text)
        template += rf"\g<{known.index(text) + 1}>"
    if not named and used != known:
        raise ValueError(_STARS)
    return re.compile(expression, re.DOTALL), template


def _stars(pattern: str) -> Iterator[tuple[str, str]]:
    """``star`` with its number, and ``text`` of a pattern, in order."""
    number = 0
    for found in _TOKEN.finditer(pattern):
        if found["star"]:
            number += 1
            yield "star", str(number)
        else:
            yield "text", found["text"] or found["other"]


def _variables(pattern: str) -> Iterator[tuple[str, str]]:
    """``variable`` with its name, and ``text`` of a pattern, in order; a star is text."""
    for found in _VARIABLE.finditer(pattern):
        if found["variable"] is not None:
            yield "variable", found["variable"]
        elif found["other"] == "$":
            raise ValueError("a dollar sign belongs to no variable")
        else:
            yield "text", found["other"]
