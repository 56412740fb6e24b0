"""Messages that do not go at once: in order, tried again, bounded, counted."""

from __future__ import annotations

from datetime import timedelta

from support.readingkit import NOW

from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.outbox import (
    FIRST_PAUSE,
    GIVEN_UP_AFTER,
    LONGEST_PAUSE,
    MOST_WAITING,
    came_back,
    due,
    posted,
    went,
)
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.trouble import Failed

WHY = Failed("alert-not-sent", "It does not answer.")
TOLD = SourceError(WHY.code, WHY.message)


def message(number: int, ago: timedelta = timedelta(0)) -> Message:
    return Message(
        id=f"{number:08x}",
        event="start",
        alert="a",
        kind="rpo",
        level=Level.WARNING,
        text="x",
        at=NOW - ago,
    )


def test_each_way_has_the_messages_in_order_and_waits_for_the_first() -> None:
    box, ways = posted((), (), [message(1), message(2)], ["log", "json-1"], NOW)
    assert [(d.way, d.message.id[-1]) for d in due(box, NOW)] == [("log", "1"), ("json-1", "1")]
    first = next(d for d in box if d.way == "json-1")
    box, ways = came_back(box, ways, first, WHY, NOW)
    assert [d.way for d in due(box, NOW)] == ["log"], "nothing overtakes"
    assert [d.message.id[-1] for d in due(box, NOW + FIRST_PAUSE) if d.way == "json-1"] == ["1"]
    box, ways = went(box, ways, due(box, NOW + FIRST_PAUSE)[1], NOW + FIRST_PAUSE)
    assert [d.message.id[-1] for d in due(box, NOW + FIRST_PAUSE) if d.way == "json-1"] == ["2"]


def test_the_pauses_grow_up_to_a_limit() -> None:
    box, ways = posted((), (), [message(1)], ["log"], NOW)
    now, pauses = NOW, []
    for _ in range(12):
        box, ways = came_back(box, ways, due(box, now)[0], WHY, now)
        pauses.append(box[0].next_try - now)
        now = box[0].next_try
    assert pauses[0] == FIRST_PAUSE and pauses[1] == 2 * FIRST_PAUSE and pauses[-1] == LONGEST_PAUSE


def test_a_way_says_whether_it_works_and_since_when_not() -> None:
    box, ways = posted((), (), [message(1)], ["log"], NOW)
    for n in range(2):
        box, ways = came_back(box, ways, box[0], WHY, NOW + timedelta(seconds=n))
    (way,) = ways
    assert (way.failed, way.trouble, way.trouble_since) == (2, TOLD, NOW)
    box, ways = went(box, ways, box[0], NOW + timedelta(seconds=9))
    (way,) = ways
    assert (way.sent, way.failed, way.trouble, way.trouble_since) == (1, 2, None, None) and box == ()
    assert way.sent_at == NOW + timedelta(seconds=9)


def test_what_is_too_old_or_too_much_is_given_up_and_counted() -> None:
    box, ways = posted((), (), [message(1, GIVEN_UP_AFTER), message(2)], ["log"], NOW)
    assert [d.message.id[-1] for d in box] == ["2"] and ways[0].lost == 1
    box, ways = posted(box, ways, [message(n) for n in range(3, MOST_WAITING + 5)], ["log"], NOW)
    assert len(box) == MOST_WAITING and ways[0].lost == 4
    assert box[0].message.id == f"{5:08x}", "the oldest go first"


def test_a_way_that_is_gone_takes_its_messages_along() -> None:
    box, ways = posted((), (), [message(1)], ["log", "json-1"], NOW)
    box, ways = posted(box, ways, [], ["log"], NOW)
    assert {d.way for d in box} == {"log"} and [w.name for w in ways] == ["log"]
