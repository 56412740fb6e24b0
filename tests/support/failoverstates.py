"""Run-books and monitors as a console may meet them, at the readings' ``NOW``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mongo_dr_console.model.failover import Leader, Standing
from mongo_dr_console.model.failoverdoc import (
    STEPS,
    FailoverFacts,
    FailoverRecord,
    KeptBeyond,
    LostWrites,
    MemberProbe,
    Pause,
    RunStep,
    content_of,
)
from mongo_dr_console.model.trouble import Failed
from support.readingkit import NOW
from support.states import MEMBERS

_DETAILS = {
    "alert": f"{MEMBERS[0]} does not answer, and {MEMBERS[1]} and {MEMBERS[2]} do not follow it any more.",
    "election": f"{MEMBERS[1]} was elected in term 15.",
    "verify": f"{MEMBERS[1]} is the primary of term 15, and a majority took a write.",
    "endpoint": f"/etc/app/mongo-endpoint.json leads to {MEMBERS[1]}.",
    "broadcast": "Sent: topic mongo-reconnect at kafka-1:9092.",
    "compare": "Nothing that a probe saw is lost: the new primary goes on after 1794999600:7.",
    "all-clear": f"{MEMBERS[1]} leads in term 15.",
}
_TOOK = (0.01, 2.4, 0.06, 0.02, 0.11, 0.4, 0.01)
NO_ROOM = Failed(
    "endpoint-unwritten",
    "The endpoint's file cannot be written: /etc/app/mongo-endpoint.json: No space left on device.",
    "Let this user write into its folder, or make room on its disk.",
)
BY_HAND = f"Let /etc/app/mongo-endpoint.json name {MEMBERS[1]} (term 15), or: mdr endpoint switch"


def steps(done: int, ago: float, **current: Any) -> list[RunStep]:
    """So many that are done; the next one under way."""
    at, found = NOW - timedelta(seconds=ago), []
    for number, (name, took) in enumerate(zip(STEPS, _TOOK, strict=True)):
        if number < done:
            end = at + timedelta(seconds=took)
            facts = {
                "state": "done",
                "started_at": at,
                "ended_at": end,
                "seconds": took,
                "detail": _DETAILS[name],
            }
            at = end
        elif number == done:
            facts = {"state": "running", "started_at": at} | current
        else:
            facts = {}
        found.append(RunStep.model_validate({"step": name, **facts}))
    return found


def run(done: int = 7, ago: float = 300, name: str = "0a1b2c3d", **changes: Any) -> FailoverRecord:
    facts: dict[str, Any] = {
        "id": name,
        "profile": "test",
        "environment": "production",
        "set_name": "rs0",
        "cause": "unreachable",
        "state": "done" if done == 7 else "running",
        "by": "mdr@bastion-2",
        "fence": 7,
        "from_member": MEMBERS[0],
        "from_term": 14,
        "to": MEMBERS[1] if done > 1 else None,
        "to_term": 15 if done > 1 else None,
        "started_at": NOW - timedelta(seconds=ago),
        "ended_at": NOW - timedelta(seconds=ago - 3.01) if done == 7 else None,
        "seconds": 3.01 if done == 7 else None,
        "why": _DETAILS["alert"],
        "steps": steps(done, ago),
    }
    return FailoverRecord.model_validate(facts | changes)


def stuck() -> FailoverRecord:
    """The endpoint cannot be written."""
    wrong = {"attempts": 6, "trouble": NO_ROOM, "manual": BY_HAND}
    return run(3, 41, steps=steps(3, 41, **wrong))


def lost() -> FailoverRecord:
    """Writes of an isolated primary."""
    return run(
        name="77aa88bb",
        ago=86_400,
        cause="planned",
        lost=LostWrites(
            text=f"7 operations are not on the new primary, and still in member:{MEMBERS[0]}.",
            complete=False,
            kept_through="1794999600:7",
            last_seen="1794999602:1",
            seconds=2.0,
            beyond=[
                KeptBeyond(
                    source=f"member:{MEMBERS[0]}",
                    after="1794999600:7",
                    through="1794999602:1",
                    entries=7,
                    namespaces={"shop.orders": 7},
                )
            ],
            unread=["store s3: The store does not answer."],
        ),
    )


def monitor(**changes: Any) -> FailoverFacts:
    led = content_of(Leader(MEMBERS[0], 14), "rs0", NOW - timedelta(days=11), "mdr@bastion-1", 6)
    facts: dict[str, Any] = {
        "profile": "test",
        "pid": 4711,
        "host": "bastion-2",
        "written_at": NOW,
        "set_name": "rs0",
        "standing": Standing.FINE,
        "since": NOW - timedelta(days=11, hours=4),
        "text": f"{MEMBERS[0]} is the primary in term 14.",
        "primary": MEMBERS[0],
        "term": 14,
        "members": [
            MemberProbe(name=m, answers=True, primary=m == MEMBERS[0], term=14, follows=MEMBERS[0])
            for m in MEMBERS
        ],
        "endpoint_kind": "file",
        "endpoint": led,
        "broadcast_kind": "kafka",
    }
    return FailoverFacts.model_validate(facts | changes)


def failing(record: FailoverRecord) -> FailoverFacts:
    """The former primary is silent, and this run-book is under way."""
    rest = [
        MemberProbe(name=m, answers=True, primary=m == MEMBERS[1], term=15, follows=MEMBERS[1])
        for m in MEMBERS[1:]
    ]
    return monitor(
        standing=Standing.UNREACHABLE,
        since=NOW - timedelta(seconds=40),
        text=_DETAILS["alert"],
        primary=MEMBERS[1],
        term=15,
        members=[MemberProbe(name=MEMBERS[0], answers=False, silent=42), *rest],
        run=record,
    )


def paused() -> FailoverFacts:
    pause = Pause(
        paused=True,
        at=NOW,
        until=NOW + timedelta(hours=1),
        by="jane@db-1",
        reason="the disk of db-2 is replaced",
    )
    return monitor(pause=pause)


def away() -> FailoverFacts:
    """The agent is down since four minutes."""
    return monitor(written_at=NOW - timedelta(minutes=4), last=run())
