"""What is known of a drill, and what an auditor gets to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mongo_dr_console.model.backupfacts import Drilled
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.words import duration

RECORD = "mdr.drill-record"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class DrillStep(_Document):
    """One step of a drill."""

    step: str = Field(description="Its name.")
    seconds: float
    good: bool = Field(description="Whether it came to its end.")


class DrillRecord(_Document):
    """A drill that ended, well or not: ``mdr drill run``, a line of ``mdr drill history``, a line of the
    ledger. One that did not come to drill anything is printed as ``mdr.job``."""

    schema_name: Literal["mdr.drill"] = Field(default="mdr.drill", alias="schema")
    job: str
    kind: Literal["small", "full"] = Field(
        description="`small`: test data in a database of its own; `full`: a real snapshot, elsewhere."
    )
    success: bool = Field(description="Whether all came back, byte for byte.")
    rto_seconds: float | None = Field(
        default=None, description="From the drop to the end of the comparison; null: it did not come to that."
    )
    rpo_seconds: float | None = Field(
        default=None,
        description="How much older than the last write the newest one is up to which none is missing; "
        "null: it did not come to that.",
    )
    timestamp: datetime = Field(description="When it began.")
    profile: str
    identity: Identity = Field(description="The deployment.")
    store: str
    snapshot: str | None = Field(default=None, description="The snapshot that was restored from.")
    oplog: Literal["stream", "live", "none"] = Field(
        description="Where the oplog after the snapshot came from; `none`: a full drill without a stream."
    )
    documents: int | None = Field(default=None, description="How many documents were compared.")
    indexes: int | None = Field(default=None, description="How many indexes were compared.")
    writes: int | None = Field(default=None, description="Writes after the snapshot, each of them known.")
    lost_writes: int | None = Field(default=None, description="How many of those did not come back.")
    rto_target_seconds: float = Field(description="The profile's target.")
    rpo_target_seconds: float = Field(description="The profile's target.")
    problems: list[str] = Field(description="What was not as it should be; empty after a success.")
    steps: list[DrillStep] = Field(description="In the order in which they ended.")


class DrillHistoryDocument(_Document):
    """``mdr drill history``."""

    schema_name: Literal["mdr.drills"] = Field(default="mdr.drills", alias="schema")
    drills: list[DrillRecord] = Field(description="Newest first, each once, whichever stores know of it.")
    unread: list[str] = Field(default=[], description="Stores that could not be asked, and why.")


def records(documents: Iterable[Mapping[str, Any]]) -> list[DrillRecord]:
    """The drills of one or several ledgers, newest first, each once. What cannot be understood is left out: a
    damaged line of history must not hide the rest."""
    found: dict[tuple[str, datetime], DrillRecord] = {}
    for document in documents:
        if document.get("schema") != RECORD:
            continue
        try:
            record = DrillRecord.model_validate({**document, "schema": "mdr.drill"})
        except ValidationError:
            continue
        found[record.job, record.timestamp] = record
    return sorted(found.values(), key=lambda r: r.timestamp, reverse=True)


def last_good(drills: Iterable[DrillRecord]) -> tuple[Drilled, ...]:
    """The newest good drill of each deployment.

    Args:
        drills: Newest first.
    """
    found: dict[str, Drilled] = {}
    for drill in drills:
        if drill.success:
            found.setdefault(
                drill.identity.replica_set_id, Drilled(drill.timestamp, drill.kind, drill.identity)
            )
    return tuple(found.values())


def history_line(record: DrillRecord) -> str:
    """One drill in a line."""
    word = "good  " if record.success else "FAILED"
    measured = f"RTO {_seconds(record.rto_seconds)}  RPO {_seconds(record.rpo_seconds)}"
    why = "" if record.success else f"  {record.problems[0]}"
    return f"{_time(record.timestamp)}  {word}  {record.kind:5}  {measured}  {record.job}{why}"


def report(drills: Sequence[DrillRecord], now: datetime, name: str, unread: Sequence[str] = ()) -> str:
    """The drills as a Markdown page for an auditor.

    Args:
        drills: Newest first.
        name: The profile's.
        unread: Stores that could not be asked.
    """
    return "\n".join(_report(drills, now, name, unread)) + "\n"


def _report(drills: Sequence[DrillRecord], now: datetime, name: str, unread: Sequence[str]) -> Iterator[str]:
    yield f"# Recovery drills of {_cell(name)}"
    yield ""
    yield f"Written {_time(now)} from the ledgers of the profile's stores. Times are UTC."
    yield from (f"\n**Not complete:** {_cell(text)}" for text in unread)
    yield ""
    if not drills:
        yield "No drill is recorded: nothing shows that a recovery would work."
        return
    yield from _summary(drills)
    yield ""
    yield "| began | kind | result | RTO | RPO | oplog | documents | writes lost | job |"
    yield "|---|---|---|---:|---:|---|---:|---:|---|"
    for drill in drills:
        lost = "-" if drill.kind == "full" else "unknown"
        if drill.lost_writes is not None:
            lost = f"{drill.lost_writes} of {drill.writes}"
        documents = "unknown" if drill.documents is None else f"{drill.documents:,}"
        yield (
            f"| {_time(drill.timestamp)} | {drill.kind} | {'good' if drill.success else '**failed**'} "
            f"| {_against(drill.rto_seconds, drill.rto_target_seconds)} "
            f"| {_against(drill.rpo_seconds, drill.rpo_target_seconds)} "
            f"| {drill.oplog} | {documents} | {lost} | {drill.job} |"
        )
    for drill in drills:
        yield from _details(drill)


def _summary(drills: Sequence[DrillRecord]) -> Iterator[str]:
    good = [d for d in drills if d.success]
    yield f"- drills: {len(drills)}, of which {len(good)} succeeded"
    yield f"- last success: {_time(good[0].timestamp) if good else 'never'}"
    for kind in ("small", "full"):
        for word, of in (("RTO", "rto_seconds"), ("RPO", "rpo_seconds")):
            values = [value for d in good if d.kind == kind and (value := getattr(d, of)) is not None]
            if values:
                least, most = _seconds(min(values)), _seconds(max(values))
                between = most if least == most else f"{least} to {most}"
                yield f"- {word} of the {kind} drills that succeeded: {between}"


def _details(drill: DrillRecord) -> Iterator[str]:
    yield ""
    yield f"## {_time(drill.timestamp)}: {'good' if drill.success else 'failed'}"
    yield ""
    snapshot = f"snapshot {drill.snapshot or 'none'} in store {drill.store}"
    yield f"Deployment {_cell(str(drill.identity))}, {snapshot}."
    if drill.problems:
        yield ""
        yield from (f"- **{_cell(problem)}**" for problem in drill.problems)
    yield ""
    yield "| step | seconds | ended |"
    yield "|---|---:|---|"
    yield from (f"| {s.step} | {s.seconds:.2f} | {'yes' if s.good else '**no**'} |" for s in drill.steps)


def _against(value: float | None, target: float) -> str:
    if value is None:
        return "unknown"
    return f"{_seconds(value)} ({'within' if value <= target else '**over**'} {duration(target)})"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f} s"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _cell(text: str) -> str:
    """Text that cannot break a table or become a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
