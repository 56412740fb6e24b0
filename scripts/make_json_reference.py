"""Writes docs/json.md from the models that the commands print, so that the two cannot differ."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from mongo_dr_console.model import alertfacts, failoverdoc, statusdoc
from mongo_dr_console.model import documents as printed
from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.bundledoc import BundleDocument, BundleManifest
from mongo_dr_console.model.drill import DrillHistoryDocument, DrillRecord
from mongo_dr_console.model.finding import DoctorDocument
from mongo_dr_console.model.jobview import JobDocument, JobsDocument
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.scheduleview import ScheduleDocument
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.sandbox.incidents import Incident
from mongo_dr_console.sandbox.place import PracticeStatus
from mongo_dr_console.sandbox.practice import Practice

TARGET = Path(__file__).parents[1] / "docs" / "json.md"

DOCUMENTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("any command that fails", printed.FailureDocument),
    ("mdr status", statusdoc.StatusDocument),
    ("mdr doctor", DoctorDocument),
    ("mdr doctor --print-roles", printed.RolesDocument),
    ("mdr backup", printed.BackupDocument),
    ("mdr snapshots list", printed.SnapshotsDocument),
    ("mdr snapshots show", printed.SnapshotPage),
    ("mdr snapshots verify", printed.VerificationDocument),
    ("mdr snapshots prune", printed.PruneDocument),
    ("mdr hold list, add, release", printed.HoldsDocument),
    ("mdr snapshots copy", printed.CopyDocument),
    ("mdr store lifecycle", printed.LifecycleDocument),
    ("mdr coverage", statusdoc.CoverageDocument),
    ("mdr find", printed.FindDocument),
    ("mdr find --id", printed.HistoryDocument),
    ("mdr restore plan", Plan),
    ("mdr restore run, undo, accept; mdr jobs show, attach, stop, resume; --detach", JobDocument),
    ("result of a backup job", printed.BackupResult),
    ("result of a verification job", printed.VerificationResult),
    ("result of a prune job", printed.PruneResult),
    ("result of a restore job", printed.RestoreResult),
    ("result of an undo job", printed.UndoResult),
    ("result of an accept job", printed.AcceptResult),
    ("mdr jobs list", JobsDocument),
    ("mdr jobs unlock", printed.UnlockDocument),
    ("mdr drill run; result of a drill job", DrillRecord),
    ("mdr drill history", DrillHistoryDocument),
    ("mdr schedule list", ScheduleDocument),
    ("mdr failover show", failoverdoc.FailoversDocument),
    ("mdr failover test", failoverdoc.FailoverTestDocument),
    ("mdr failover pause, resume", failoverdoc.PauseDocument),
    ("mdr endpoint show, switch", failoverdoc.EndpointDocument),
    ("what is written into an endpoint; on the standard input of its program", failoverdoc.EndpointContent),
    ("a line of the ledger of failovers", failoverdoc.FailoverRecord),
    ("the failover monitor's state", failoverdoc.FailoverFacts),
    ("mdr alerts list", alertfacts.AlertsDocument),
    ("mdr alerts ack", alertfacts.AckDocument),
    ("mdr alerts silence, unsilence", alertfacts.SilenceDocument),
    ("mdr alerts test", alertfacts.AlertTestDocument),
    ("what alerts.command gets on its standard input", Message),
    ("mdr bundle", BundleDocument),
    ("MANIFEST.json in a bundle", BundleManifest),
    ("mdr sandbox up", Practice),
    ("mdr sandbox status", PracticeStatus),
    ("mdr sandbox incident", Incident),
    ("mdr sandbox down", printed.SandboxDownDocument),
    ("mdr config path, init", printed.ConfigPathDocument),
    ("mdr config check", printed.ConfigCheckDocument),
    ("mdr config show", printed.ConfigDocument),
)
"""Every document, by what prints it."""

COMMON = {
    "profile": "Name of the profile.",
    "job": "The job's id, 8 hex digits.",
    "kind": "`backup`, `verify`, `prune`, `restore`, `undo`, `accept`, `drill`; of a namespace: what it is.",
    "store": "Name of the store in the profile.",
    "snapshot": "Name of the snapshot.",
    "snapshots": "Newest first.",
    "namespace": "`database.collection`.",
    "documents": "How many documents.",
    "bytes": "Uncompressed BSON.",
    "stored_bytes": "As it lies in the store.",
    "age_seconds": "How old it is.",
    "seconds": "How long it took.",
    "position": "The oplog entry's.",
    "start": "First position, included.",
    "end": "Last position, included.",
    "code": "A stable word for scripts.",
    "text": "In words, for people.",
    "message": "What happened and what it means for the data.",
    "hint": "What to do next; empty where there is nothing to say.",
    "level": "How bad it is: the exit code is 0, 1, 3 and 2 in this order.",
    "owner": "`user@host` of whoever started it.",
    "environment": "As the profile names it.",
    "set_name": "Name of the replica set.",
    "mode": "How a namespace takes its place.",
    "started_at": "When it began.",
    "ended_at": "When it ended; null: not yet.",
    "good": "Whether nothing was found.",
    "error": "Why the newest try failed; null: it did not.",
    "rpo_seconds": "What would be lost if the deployment itself were lost now.",
    "rpo_undo_seconds": "What a mistake on the living deployment would cost now.",
    "rto_seconds": "What a restore would take now.",
    "told_by": "The member that answered.",
    "sources": "`snapshot:NAME`, and `live` for the deployment's own oplog.",
    "name": "Its name.",
    "database": "The database.",
    "uptime_seconds": "Since its process began.",
    "state": "Where it stands.",
    "restore_tested_at": "When it was last restored from with success.",
    "uuid": "Of the collection, 32 hex digits.",
    "compression": "Of its files.",
    "attempt": "How often it was tried.",
}
"""What a field means wherever it is not said otherwise."""

_HEAD = """\
# JSON documents

Made by `scripts/make_json_reference.py` from the models that the commands print; do not edit.

With `--json` a command prints one document on stdout; progress and messages go to stderr. Every document has
a `schema` name, but for the error of a command that failed before it had one. New fields may come; those that
are here keep their names and meanings.

- null is unknown, never zero.
- A **position** is text, `"t:i"`: seconds since 1970 and ordinal of an oplog entry.
- A **time** is text, RFC 3339 in UTC with `Z`: `"2026-11-22T02:11:31Z"`, with a fraction where it is known.
- `*_seconds` are seconds, `*_bytes` bytes, `*_per_second` a second; `bytes` is uncompressed BSON and
  `stored_bytes` what lies in a store. `*_at` are times.

## Exit codes

`mdr status` and `mdr doctor` follow the monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown, wrong use
too. All others:

| code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong use |
| 3 | not reachable |
| 4 | refused by a safety rule; nothing was changed |
| 5 | partly done |
| 130 | interrupted; an attached job goes on |
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A field as it is printed. ``about`` is empty where nothing says what it means."""

    name: str
    annotation: Any
    about: str


def reference() -> str:
    """The whole page: each document with its command, then the parts that they are made of."""
    parts: dict[str, Any] = {}
    tops = {model for _, model in DOCUMENTS}
    for _, model in DOCUMENTS:
        for part in _parts(model):
            if part not in tops and parts.setdefault(title(part), part) is not part:
                raise SystemExit(f"two parts of one name: {title(part)}")
    sections = [_HEAD]
    sections += [_section(f"`{schema_of(m) or 'error'}`: {what}", m) for what, m in DOCUMENTS]
    sections.append("# Parts\n")
    sections += [_section(name, parts[name]) for name in sorted(parts)]
    return "\n".join(sections)


def _section(heading: str, model: Any) -> str:
    rows = ["| field | type | meaning |", "|---|---|---|"]
    rows += [f"| `{row.name}` | {_type(row.annotation)} | {row.about} |" for row in fields(model)]
    return "\n".join([f"## {heading}", "", about(model), "", *rows, ""])


def schema_of(model: Any) -> str | None:
    """The document's ``schema``."""
    known = getattr(model, "model_fields", {})
    field = known.get("schema_name") or known.get("schema_")
    return None if field is None else str(field.default)


def fields(model: Any) -> Iterator[Row]:
    """Every field of a document or a part of one, in the order in which it is printed."""
    said = _arguments(model)
    if dataclasses.is_dataclass(model):
        hints = get_type_hints(model, include_extras=True)
        for one in dataclasses.fields(model):
            yield Row(one.name, hints[one.name], said.get(one.name) or COMMON.get(one.name, ""))
        return
    for name, field in model.model_fields.items():
        shown = field.serialization_alias or field.alias or name
        meaning = field.description or said.get(name) or COMMON.get(shown, "")
        yield Row(shown, field.annotation, "The document's name." if shown == "schema" else meaning)


def about(model: Any) -> str:
    """What the docstring says before its list of arguments."""
    text = inspect.getdoc(model) or ""
    return _one_line(text.partition("Args:")[0])


def _arguments(model: Any) -> dict[str, str]:
    """What the docstring's list of arguments says of each; ``a, b: text`` is for both."""
    listed = (inspect.getdoc(model) or "").partition("Args:")[2]
    found = {}
    for names, text in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
        found.update({name.strip(): _one_line(text) for name in names.split(",")})
    return found


def _one_line(text: str) -> str:
    words = " ".join(text.replace("``", "`").replace("|", "\\|").split())
    return re.sub(r"\bNone\b", "null", words)


def _generic(model: Any) -> tuple[Any, tuple[Any, ...]]:
    """A generic model and what it is of; a plain one is of nothing."""
    facts = getattr(model, "__pydantic_generic_metadata__", {})
    return facts.get("origin") or model, facts.get("args", ())


def title(model: Any) -> str:
    """A part's heading: the model's name in words."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__.removesuffix("Document")).lower()
    return words[:1].upper() + words[1:]


def _parts(annotation: Any) -> Iterator[Any]:
    """The models within, each before its own parts."""
    if _is_model(annotation):
        model, arguments = _generic(annotation)
        yield model
        for inner in (*(row.annotation for row in fields(model)), *arguments):
            yield from _parts(inner)
    else:
        for one in get_args(annotation):
            yield from _parts(one)


def _is_model(annotation: Any) -> bool:
    if not isinstance(annotation, type) or annotation is Position or get_origin(annotation) is not None:
        return False
    return issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)


_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    datetime: "time",
    Position: "position",
    Any: "anything",
    type(None): "null",
    Trouble: "object",
    statusdoc.V: "the value",
}


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin in (Annotated, Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments[: 1 if origin is Annotated else None])
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if _is_model(annotation):
        return _link(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f'`"{one.value}"`' for one in annotation)
    return "object" if origin is dict else _NAMES[annotation]


def _link(annotation: Any) -> str:
    model, arguments = _generic(annotation)
    name = title(model)
    if schema := schema_of(model):
        return f"`{schema}`"
    return f"[{name}](#{name.lower().replace(' ', '-')})" + "".join(f" of {_type(a)}" for a in arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Fail if the page is not current.")
    page = reference()
    if parser.parse_args().check:
        sys.exit(0 if TARGET.read_text(encoding="utf-8") == page else f"{TARGET.name} is not current")
    TARGET.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
