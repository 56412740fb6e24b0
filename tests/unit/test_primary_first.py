"""Whom a client asks that has not heard of all members yet."""

from __future__ import annotations

from typing import Any

from pymongo.hello import Hello
from pymongo.server_description import ServerDescription

from mongo_dr_console.mongo import primary_first
from mongo_dr_console.mongo.primary_first import PrimaryFirst


def member(port: int, *, primary: int | None, is_primary: bool = False) -> ServerDescription:
    hello: dict[str, Any] = {"ok": 1, "setName": "rs0", "hosts": ["h:1", "h:2", "h:3"], "maxWireVersion": 21}
    hello |= {"isWritablePrimary": is_primary, "secondary": not is_primary}
    if primary is not None:
        hello["primary"] = f"h:{primary}"
    return ServerDescription(("h", port), Hello(hello))


BEHIND = member(2, primary=1)
FIRST = member(1, primary=1, is_primary=True)


def test_a_primary_that_others_know_of_is_waited_for_and_not_for_ever() -> None:
    now = [50.0]
    chooses = PrimaryFirst(10, lambda: now[0])
    assert chooses([BEHIND]) == []
    now[0] += primary_first.LONGEST_SECONDS - 0.1
    assert chooses([BEHIND]) == []
    now[0] += 0.2
    assert chooses([BEHIND]) == [BEHIND]
    # This host alone cannot reach it: only once is it waited for.
    assert chooses([BEHIND]) == [BEHIND]


def test_once_it_was_there_it_is_waited_for_again() -> None:
    now = [50.0]
    chooses = PrimaryFirst(2, lambda: now[0])
    assert chooses([BEHIND]) == []
    now[0] += 1
    assert chooses([BEHIND]) == [BEHIND]
    assert chooses([FIRST]) == [FIRST]
    assert chooses([BEHIND]) == []


def test_where_nobody_knows_of_one_any_member_is_asked_at_once() -> None:
    alone = member(2, primary=None)
    assert PrimaryFirst(10)([alone]) == [alone]
    assert PrimaryFirst(10)([]) == []
