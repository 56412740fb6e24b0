"""What the agent says of its stream, as facts of the verdict and as rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.readingkit import LIMITS, NOW, at, reading, readings, snapshot

from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.present import present_coverage
from mongo_dr_console.model.streamfacts import Break, BreakCause, Latency, SinkFacts, StreamFacts
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.verdict import verdict


def stream(*sinks: SinkFacts, **changes: Any) -> StreamFacts:
    facts: dict[str, Any] = {
        "profile": "test",
        "pid": 1,
        "host": "backup-1",
        "started_at": NOW - timedelta(hours=1),
        "written_at": NOW,
        "committed": at(0),
        "sinks": sinks,
    }
    return StreamFacts(**(facts | changes))


def sink(**changes: Any) -> SinkFacts:
    facts: dict[str, Any] = {"name": "segments:local", "state": "streaming", "durable": at(3)}
    return SinkFacts(**(facts | changes))


def seen(facts: StreamFacts | None) -> tuple[dict[str, Level], str]:
    found = readings(snapshot(30), stream=reading("stream", facts))
    said = verdict(found, LIMITS, NOW)
    panel = present_coverage(found, said, LIMITS, NOW)
    rows = "\n".join(" ".join(row.cells) for row in panel.notes if row.cells[0].startswith("stream"))
    return {f.code: f.level for f in said.facts if f.code.startswith(("stream", "agent"))}, rows


def test_a_stream_that_keeps_up_is_shown_and_no_fact() -> None:
    canary = Latency.of([0.5] * 99 + [2.0])
    facts, rows = seen(stream(sink(canary=canary)))
    assert facts == {}
    assert rows == "stream segments:local: streaming, 3s behind, canary p50 0.5 s, p99 2 s"


def test_an_agent_that_is_gone_or_hangs_is_missed() -> None:
    gone = stream(sink(), written_at=NOW - timedelta(seconds=90))
    facts, rows = seen(gone)
    assert facts == {"agent-gone": Level.WARNING}
    assert "backup-1 is gone" in rows and "behind" not in rows
    assert seen(stream(sink(), running=False))[0] == {"agent-gone": Level.WARNING}
    assert seen(None) == ({}, "")


def test_who_stands_by_says_for_whom_and_is_no_fact() -> None:
    leader = Leader(profile="other", host="backup-2", fence=7, since=NOW)
    facts, rows = seen(stream(role="stands-by", leader=leader))
    assert facts == {}
    assert rows == "stream: the agent on backup-1 stands by, backup-2 (profile other) leads"
    gone = stream(role="stands-by", leader=leader, running=False)
    assert seen(gone)[0] == {"agent-gone": Level.WARNING}
    assert StreamFacts.model_validate_json(gone.model_dump_json(by_alias=True)) == gone


def test_who_only_watches_says_so_and_is_no_fact() -> None:
    facts, rows = seen(stream(role="watches"))
    assert facts == {}
    assert rows == "stream: the agent on backup-1 only watches, since its access is watch: it streams nothing"
    gone = stream(role="watches", running=False)
    said = verdict(readings(snapshot(30), stream=reading("stream", gone)), LIMITS, NOW)
    (fact,) = [f for f in said.facts if f.code == "agent-gone"]
    assert fact.text.endswith("nobody watches on this host.") and "sink" not in fact.means


def test_an_agent_that_nobody_leads_is_a_fact_with_the_cause() -> None:
    facts, rows = seen(stream(role="waits", waits_for=Failed("store-unreachable", "store s3 is silent")))
    assert facts == {"agent-waits": Level.WARNING}
    assert rows == "stream: the agent on backup-1 leads nothing yet: store s3 is silent"


@pytest.mark.parametrize(
    ("changes", "code", "level"),
    [
        ({"durable": at(600)}, "stream-lag", Level.CRITICAL),
        ({"state": "failed", "trouble": Failed("store-full", "no room")}, "stream-trouble", Level.WARNING),
        (
            {"breaks": (Break(cause=BreakCause.ROLLED_OVER, start=at(60), end=at(30), at=NOW),)},
            "stream-oplog-rolled-over",
            Level.WARNING,
        ),
        (
            {"breaks": (Break(cause=BreakCause.DIVERGED, start=at(30), end=at(60), at=NOW),)},
            "stream-diverged",
            Level.WARNING,
        ),
    ],
)
def test_what_is_wrong_with_a_sink_is_a_fact(changes: dict[str, Any], code: str, level: Level) -> None:
    assert seen(stream(sink(**changes)))[0] == {code: level}


def test_what_was_written_is_read_again_whatever_trouble_there_was() -> None:
    facts = stream(sink(trouble=Failed("store-full", "no room"), canary=Latency.of([1.0])))
    assert StreamFacts.model_validate_json(facts.model_dump_json(by_alias=True)) == facts
