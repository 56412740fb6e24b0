"""Failovers in lines, for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.words import duration, moment

if TYPE_CHECKING:
    from mongo_dr_console.model.failoverdoc import (
        EndpointContent,
        FailoverFacts,
        FailoverRecord,
        FailoverTestDocument,
        Pause,
        RunStep,
    )

STATES = {"running": "under way", "done": "done", "failed": "FAILED", "superseded": "nothing to switch"}


def record_line(record: FailoverRecord) -> str:
    """One failover in a line."""
    took = "" if record.seconds is None else f", took {duration(record.seconds)}"
    return (
        f"{moment(record.started_at)}  {record.id}  {record.cause}: {record.from_member or '?'} -> "
        f"{record.to or '?'} (term {record.to_term or '?'}), {STATES[record.state]}{took}"
    )


def step_line(step: RunStep) -> str:
    """One step in a line."""
    took = "" if step.seconds is None else f" {duration(step.seconds)}"
    tries = f" ({step.attempts} tries)" if step.attempts > 1 else ""
    return f"  {step.step:<9} {step.state}{took}{tries}: {said(step)}".rstrip(": ")


def said(step: RunStep) -> str:
    """What came of a step, or why nothing does."""
    return step.trouble.message if step.trouble is not None and step.state != "done" else step.detail


def record_lines(record: FailoverRecord) -> list[str]:
    """A run-book, with the steps that want a hand."""
    lines = [record_line(record), *(step_line(step) for step in record.steps)]
    lines += [f"  by hand: {step.manual}" for step in record.steps if step.manual]
    return lines


def monitor_lines(facts: FailoverFacts | None, now: datetime) -> list[str]:
    """How the primary stands, as this host's monitor said last."""
    if facts is None:
        return ["No failover monitor ever ran on this host: mdr agent starts one."]
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        return [f"The failover monitor on {facts.host} was last seen {ago} ago; then: {facts.text}"]
    lines = [f"{facts.standing}: {facts.text}"]
    if facts.advice:
        lines.append(f"by hand: {facts.advice}")
    return [*lines, *pause_lines(facts.pause, now), *endpoint_lines(facts)]


def pause_lines(pause: Pause | None, now: datetime) -> list[str]:
    """Nothing where it acts."""
    if pause is None or not pause.holds(now):
        return []
    until = "until it is resumed" if pause.until is None else f"until {moment(pause.until)}"
    why = f": {pause.reason}" if pause.reason else ""
    return [f"PAUSED {until} by {pause.by or '?'}{why}; the endpoint stays as it is."]


def endpoint_lines(facts: FailoverFacts) -> list[str]:
    """Where applications are led."""
    if not facts.endpoint_kind:
        return ["endpoint: none is configured; the monitor only watches and writes the ledger."]
    if facts.endpoint_error:
        return [f"endpoint ({facts.endpoint_kind}): {facts.endpoint_error}"]
    wrong = facts.endpoint is not None and facts.primary not in (None, facts.endpoint.primary)
    more = f" The primary is {facts.primary}." if wrong else ""
    return [f"endpoint ({facts.endpoint_kind}): {content_text(facts.endpoint)}{more}"]


def content_text(content: EndpointContent | None) -> str:
    """An endpoint's content in a sentence."""
    if content is None:
        return "nothing was written yet."
    return (
        f"leads to {content.primary} (term {content.term}), since {moment(content.switched_at)} by "
        f"{content.by}."
    )


def stepdown_lines(document: FailoverTestDocument) -> list[str]:
    """A planned failover, measured."""
    rows: Sequence[tuple[str, float | None]] = (
        ("new primary", document.primary_seconds),
        ("majority write", document.write_seconds),
        ("endpoint", document.endpoint_seconds),
        ("broadcast", document.broadcast_seconds),
    )
    return [
        f"{document.from_member} stepped down; {document.to or 'nobody'} is the primary"
        + ("" if document.term is None else f" in term {document.term}")
        + f". Switched by: {document.by}.",
        *(f"  {name:<15} {'-' if took is None else f'{took:.2f} s'}" for name, took in rows),
        *document.problems,
    ]


def wants_a_hand(facts: FailoverFacts | None) -> str:
    """The step that is to be taken by hand now; empty: none."""
    if facts is None:
        return ""
    run = facts.run or facts.last
    if run is not None and run.stuck is not None and run.state in ("running", "failed"):
        return run.stuck.manual
    return facts.advice if facts.standing in (Standing.NO_MAJORITY, Standing.SUSPECT) else ""
