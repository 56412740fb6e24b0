"""The tree of databases and collections to tick. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mongo_dr_console.model.namespace import is_restorable
from mongo_dr_console.model.wizardscope import Scope, is_ticked, partly_ticked
from mongo_dr_console.model.words import size
from mongo_dr_console.ui.lines import Line, fitted, joined, line
from mongo_dr_console.ui.widgets.row_list import RowItem
from mongo_dr_console.workers.desk import Content

ALL = "*"
"""The row that stands for everything; no name can be so."""


def restorable(contents: Iterable[Content]) -> tuple[Content, ...]:
    """What can be chosen: neither the server's own nor ours."""
    return tuple(c for c in contents if is_restorable(c.namespace))


def scope_items(contents: Sequence[Content], scope: Scope, wanted: str, width: int) -> list[RowItem]:
    """The tree; with ``wanted`` only what has this text in its name."""
    there = {str(c.namespace) for c in contents}
    added = sorted(n for n in scope.names if n not in there and _new(n, there))
    databases = sorted({c.namespace.database for c in contents} | {n.partition(".")[0] for n in added})
    items = [] if wanted else [RowItem(ALL, line(f"{_tick(scope.everything)} everything"))]
    for database in databases:
        inside = [c for c in contents if c.namespace.database == database]
        names = [n for n in added if n.partition(".")[0] == database and "." in n]
        shown = [c for c in inside if _has(str(c.namespace), wanted)]
        new = [n for n in names if _has(n, wanted)]
        if not (shown or new or _has(database, wanted)):
            continue
        items.append(RowItem(database, _database(database, inside, scope, width)))
        items += [RowItem(str(c.namespace), _collection(c, scope, width)) for c in shown]
        items += [RowItem(n, _not_there(n, width)) for n in new]
    return items


def _new(name: str, there: set[str]) -> bool:
    """Whether a chosen name stands for nothing that the snapshot has."""
    return not any(n.partition(".")[0] == name for n in there)


def _has(name: str, wanted: str) -> bool:
    return wanted.lower() in name.lower()


def _tick(ticked: bool, partly: bool = False) -> str:
    return "[x]" if ticked else "[-]" if partly else "[ ]"


def _database(name: str, inside: Sequence[Content], scope: Scope, width: int) -> Line:
    tick = _tick(is_ticked(scope, name), partly_ticked(scope, name))
    count = len(inside)
    total = sum(c.bytes or 0 for c in inside)
    right = f"{count} collection{'' if count == 1 else 's'}   {size(total):>10}" if inside else ""
    return joined(line(f"{tick} ", (name, "strong")), line((right, "dim")), width)


def _collection(content: Content, scope: Scope, width: int) -> Line:
    tick = _tick(is_ticked(scope, str(content.namespace)))
    if content.kind == "timeseries":
        right = "time series"
    elif content.kind == "view":
        right = "view"
    else:
        count = "?" if content.documents is None else f"{content.documents:,}"
        right = f"{count} document{'' if count == '1' else 's'}   {size(content.bytes):>10}"
    return joined(line(f"{tick}   {content.namespace.collection}"), line((right, "dim")), width)


def _not_there(name: str, width: int) -> Line:
    text = "not in the snapshot, so the oplog must make it"
    return fitted(joined(line(f"[x]   {name.partition('.')[2]}"), line((text, "dim")), width), width)


def scope_said(scope: Scope, contents: Sequence[Content]) -> str:
    """What the ticks come to."""
    if scope.everything:
        return "Everything is restored, also what was made after the snapshot."
    if not scope.names:
        return "Nothing is ticked yet."
    chosen = [c for c in contents if is_ticked(scope, str(c.namespace))]
    if contents and not chosen:
        return f"{len(scope.patterns)} ticked; the snapshot itself holds nothing of it."
    documents = sum(c.documents or 0 for c in chosen)
    stored = size(sum(c.bytes or 0 for c in chosen))
    text = f"{len(scope.patterns)} ticked: about {documents:,} documents, {stored}."
    if any(c.kind == "collection" and c.documents is None for c in chosen):
        text = f"{len(scope.patterns)} ticked; the snapshot does not say how large that is."
    if any("*" in name for name in scope.patterns):
        text += " A name with * also stands for others that fit; the plan lists them."
    return text
