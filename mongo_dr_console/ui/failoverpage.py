"""The failover screen as lines: how the primary stands, where applications are led, a run-book. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.failoverdoc import (
    FailoverFacts,
    FailoverRecord,
    KeptBeyond,
    LostWrites,
    RunState,
    RunStep,
    StepState,
)
from mongo_dr_console.model.failovertext import content_text, pause_lines, said
from mongo_dr_console.model.words import UNKNOWN, clock, duration, moment
from mongo_dr_console.ui.jobpages import Sign, rule
from mongo_dr_console.ui.lines import Line, Role, joined, line, pad, table, wrapped

_STANDINGS: dict[Standing, Sign] = {
    Standing.FINE: Sign("✓", "fine", "fine"),
    Standing.SUSPECT: Sign("!", "warning", "SUSPECT"),
    Standing.ONLY_THIS_HOST: Sign("!", "warning", "ONLY THIS HOST"),
    Standing.UNREACHABLE: Sign("✗", "critical", "UNREACHABLE"),
    Standing.NO_MAJORITY: Sign("✗", "critical", "NO MAJORITY"),
}
_STEPS: dict[StepState, Sign] = {
    "waiting": Sign("·", "dim", "waiting"),
    "running": Sign("●", "info", "running"),
    "done": Sign("✓", "fine", "done"),
    "failed": Sign("✗", "critical", "FAILED"),
    "skipped": Sign("-", "dim", "skipped"),
}
_RUNS: dict[RunState, Sign] = {
    "running": Sign("●", "info", "under way"),
    "done": Sign("✓", "fine", "done"),
    "failed": Sign("✗", "critical", "FAILED"),
    "superseded": Sign("-", "dim", "nothing to switch"),
}
_STEP, _WORD, _TOOK = 10, 8, 7
_LABEL = 11


def monitor_lines(facts: FailoverFacts | None, error: str, now: datetime, width: int) -> list[Line]:
    """The monitor of this host, alive or as it was last."""
    rows = [rule("Monitor", width)]
    if error:
        rows += wrapped(f"? {error}", width, "unknown", "  ")
    if facts is None:
        text = "No failover monitor ever ran on this host; mdr agent starts one."
        return rows if error else [*rows, *wrapped(text, width, "dim")]
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        rows += wrapped(
            f"! agent on {facts.host} last seen {ago} ago; what follows is from then", width, "warning", "  "
        )
    sign = _STANDINGS[facts.standing]
    since = line((f"since {clock(facts.since)}", "dim"))
    rows.append(joined(line((f"{sign.glyph} {sign.word}", sign.role)), since, width))
    rows += wrapped(facts.text, width, "", "  ")
    if facts.advice:
        rows += wrapped(f"by hand: {facts.advice}", width, "critical", "  ")
    for text in pause_lines(facts.pause, now):
        rows += wrapped(f"! {text}", width, "warning", "  ")
    return [*rows, *_members(facts, width), *_endpoint(facts, width)]


def _members(facts: FailoverFacts, width: int) -> list[Line]:
    rows: list[tuple[Sequence[str], Role, str]] = []
    for member in facts.members:
        if not member.answers:
            cells = (member.name, f"SILENT, {member.silent} probes", "-", "-")
            rows.append((cells, "critical", "✗"))
            continue
        state = "PRIMARY" if member.primary else "secondary"
        term = UNKNOWN if member.term is None else str(member.term)
        follows = "itself" if member.primary else member.follows or "nobody"
        rows.append(((member.name, state, term, follows), "fine", "✓"))
    return table(("MEMBER", "SAYS", "TERM", "FOLLOWS"), rows, width) if rows else []


def _endpoint(facts: FailoverFacts, width: int) -> list[Line]:
    if not facts.endpoint_kind:
        return wrapped("endpoint: none is configured; the monitor only watches.", width, "dim", "  ")
    if facts.endpoint_error:
        return wrapped(f"! endpoint ({facts.endpoint_kind}): {facts.endpoint_error}", width, "warning", "  ")
    behind = facts.endpoint is None or facts.primary not in (None, facts.endpoint.primary)
    mark, role = ("! ", "warning") if behind else ("", "")
    text = f"{mark}endpoint ({facts.endpoint_kind}): {content_text(facts.endpoint)}"
    rows = wrapped(text, width, "warning" if role else "", "  ")
    told = f"broadcast: {facts.broadcast_kind}" if facts.broadcast_kind else "broadcast: none is configured"
    more = f"; {facts.unsent} run-book(s) not in any store yet" if facts.unsent else ""
    return [*rows, *wrapped(told + more, width, "dim", "  ")]


def run_lines(record: FailoverRecord, number: int, of: int, now: datetime, width: int) -> list[Line]:
    """One run-book, step by step."""
    sign = _RUNS[record.state]
    until = record.ended_at or now
    took = duration(max(0.0, (until - record.started_at).total_seconds()))
    head = line(
        (f"{sign.glyph} {sign.word}", sign.role), "  failover ", (record.id, "strong"), f"  {record.cause}"
    )
    right = f"{'took' if record.ended_at else 'for'} {took}"
    rows = [rule(f"Run-book {number} of {of}", width), joined(head, line((right, "")), width)]
    rows += wrapped(f"{moment(record.started_at)}  by {record.by}", width, "dim", "  ")
    rows += wrapped(
        f"{record.from_member or UNKNOWN} (term {record.from_term or UNKNOWN}) -> {record.to or UNKNOWN} "
        f"(term {record.to_term or UNKNOWN})",
        width,
        "strong",
        "  ",
    )
    for step in record.steps:
        rows += _step_lines(step, now, width)
    return [*rows, *(_lost_lines(record.lost, width) if record.lost is not None else [])]


def _step_lines(step: RunStep, now: datetime, width: int) -> list[Line]:
    sign = _STEPS[step.state]
    seconds = step.seconds
    if seconds is None and step.state == "running" and step.started_at is not None:
        seconds = max(0.0, (now - step.started_at).total_seconds())
    took = "" if seconds is None else duration(seconds)
    lead = f"{pad(step.step, _STEP)} {pad(sign.word, _WORD)} {pad(took, _TOOK)}"
    room = max(20, width - len(lead) - 3)
    tries = f"({step.attempts} tries) " if step.attempts > 1 else ""
    texts = wrapped(f"{tries}{said(step)}".strip(), room)
    rows = [Line(((f"{sign.glyph} ", sign.role), (f"{lead} ", ""), *texts[0].spans))]
    rows += [Line(((" " * (len(lead) + 3), ""), *text.spans)) for text in texts[1:]]
    if step.manual:
        rows += wrapped(f"  by hand: {step.manual}", width, "critical", "    ")
    return rows


def _lost_lines(lost: LostWrites, width: int) -> list[Line]:
    role: Role = "warning" if lost.beyond or (lost.seconds or 0) > 0 else "fine"
    mark = "!" if role == "warning" else "✓"
    rows = [rule("Lost writes", width), *wrapped(f"{mark} {lost.text}", width, role, "  ")]
    rows += [row for kept in lost.beyond for row in wrapped(f"  {_kept(kept)}", width, "", "    ")]
    return rows + [row for text in lost.unread for row in wrapped(f"? {text}", width, "unknown", "  ")]


def _kept(kept: KeptBeyond) -> str:
    count = "" if kept.entries is None else f", {kept.entries} operations"
    names = ", ".join(f"{name} {number}" for name, number in kept.namespaces.items())
    return f"{kept.source}: after {kept.after} through {kept.through}{count}" + (
        f" ({names})" if names else ""
    )
