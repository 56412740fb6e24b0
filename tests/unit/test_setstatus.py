"""Reading what ``replSetGetStatus`` answers, and one picture from several members' views."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bson.timestamp import Timestamp
from support.readingkit import NOW, T0, member, set_status

from mongo_dr_console.model.setstatus import merge_views, parse_set_status


def raw_member(name: str, state: str, behind: float = 0.0, **changes: Any) -> dict[str, Any]:
    there = {
        "name": name,
        "health": 1.0,
        "stateStr": state,
        "uptime": 5,
        "optime": {"ts": Timestamp(T0 - int(behind), 1), "t": 4},
        "lastAppliedWallTime": NOW - timedelta(seconds=behind),
        "lastHeartbeatRecv": NOW - timedelta(seconds=1.5),
        "pingMs": 3,
        "syncSourceHost": "a:1",
    }
    return there | changes


def raw_status(*members: dict[str, Any], **changes: Any) -> dict[str, Any]:
    optimes = {"lastCommittedOpTime": {"ts": Timestamp(T0, 1), "t": 4}}
    status = {"set": "rs0", "date": NOW, "term": 4, "majorityVoteCount": 2, "optimes": optimes}
    return status | {"members": list(members)} | changes


PRIMARY = raw_member("a:1", "PRIMARY", self=True, syncSourceHost="", electionDate=NOW - timedelta(hours=1))
DEAD = raw_member(
    "c:1",
    "(not reachable/healthy)",
    health=0.0,
    optime={"ts": Timestamp(0, 0), "t": -1},
    lastAppliedWallTime=NOW.fromtimestamp(0, NOW.tzinfo),
    lastHeartbeatRecv=NOW - timedelta(seconds=41),
)
CONFIG = {
    "members": [
        {"host": "a:1", "votes": 1, "priority": 2},
        {"host": "b:1", "votes": 1, "priority": 1},
        {"host": "c:1", "votes": 0, "priority": 0},
    ]
}


def test_every_member_with_lag_ping_votes_and_sync_source() -> None:
    found = parse_set_status(
        raw_status(PRIMARY, raw_member("b:1", "SECONDARY", 2.1), DEAD),
        {"me": "a:1"},
        CONFIG,
        round_trip_ms=7.0,
    )
    first, second, third = found.members
    assert (first.state, first.lag_seconds, first.ping_ms, first.sync_source) == ("PRIMARY", 0.0, 7.0, None)
    assert first.heartbeat_age_seconds is None
    assert (second.lag_seconds, second.ping_ms, second.sync_source) == (2.1, 3.0, "a:1")
    assert second.heartbeat_age_seconds == 1.5
    assert (third.state, third.healthy, third.lag_seconds, third.ping_ms) == ("DOWN", False, None, None)
    assert (third.position, third.heartbeat_age_seconds, third.votes) == (None, 41.0, 0)
    assert (found.primary, found.term, found.told_by) == ("a:1", 4, "a:1")
    assert found.primary_since == NOW - timedelta(hours=1)
    assert (found.majority_needed, found.majority_available, found.has_majority) == (2, 2, True)
    assert found.worst_lag is not None and found.worst_lag.name == "b:1"


def test_without_a_primary_lag_is_behind_the_newest_member() -> None:
    found = parse_set_status(
        raw_status(raw_member("a:1", "SECONDARY", 4.0), raw_member("b:1", "SECONDARY")), {}
    )
    assert found.primary is None
    assert [m.lag_seconds for m in found.members] == [4.0, 0.0]


def test_an_arbiter_votes_and_has_no_lag() -> None:
    found = parse_set_status(raw_status(PRIMARY, raw_member("b:1", "ARBITER", optime=None)), {})
    assert found.members[1].lag_seconds is None
    assert found.majority_available == 2


def test_a_primary_that_is_not_healthy_is_none() -> None:
    gone = PRIMARY | {"health": 0.0}
    assert parse_set_status(raw_status(gone, raw_member("b:1", "SECONDARY")), {}).primary is None


def test_write_block_is_unknown_where_the_server_does_not_tell() -> None:
    told = [
        parse_set_status(raw_status(PRIMARY), {}, write_block_mode=m).write_blocked for m in (None, 0, 1, 2)
    ]
    assert told == [None, None, False, True]


def test_views_merge_to_what_each_member_says_of_itself() -> None:
    # b was cut off from c, and still believes that a is primary; a answers that it is not.
    a = set_status(member("a:1"), member("b:1"), member("c:1", "DOWN", healthy=False), told_by="a:1", term=5)
    b = set_status(
        member("a:1", "PRIMARY"), member("b:1", "RECOVERING"), member("c:1"), told_by="b:1", term=4
    )
    merged = merge_views([b, a], silent=["c:1"])
    assert merged is not None
    assert [m.state for m in merged.members] == ["SECONDARY", "RECOVERING", "DOWN"]
    assert [m.answered for m in merged.members] == [True, True, False]
    assert (merged.primary, merged.term) == (None, 5)
    assert merged.partial


def test_a_primary_found_by_asking_is_the_primary() -> None:
    a = set_status(member("a:1"), member("b:1"), told_by="a:1", term=4)
    b = set_status(member("a:1"), member("b:1", "PRIMARY"), told_by="b:1", term=5)
    merged = merge_views([a, b])
    assert merged is not None and merged.primary == "b:1" and not merged.partial


def test_no_views_no_picture() -> None:
    assert merge_views([], silent=["a:1"]) is None
