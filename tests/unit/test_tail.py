"""What a member says about the entry that came last: go on, wait, a gap, or another history."""

from __future__ import annotations

import pytest
from support.entrykit import Oplog

from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.stream.batch import last_entry, one_term
from mongo_dr_console.stream.tail import Joint, judge, ordered


def link(second: int, digest: str = "a", term: int = 1) -> Link:
    return Link(Position(second, 1), term, digest)


@pytest.mark.parametrize(
    ("found", "oldest", "newest", "joint"),
    [
        (link(50), 10, 90, Joint.SAME),
        (link(50), 50, 50, Joint.SAME),
        # Position and term alone are no proof.
        (link(50, "b"), 10, 90, Joint.OTHER),
        (link(50, term=2), 10, 90, Joint.OTHER),
        (link(60), 60, 90, Joint.GONE),
        (link(60), 10, 90, Joint.OTHER),
        (None, 10, 40, Joint.BEHIND),
        # It is there, and not majority-committed on that member yet.
        (None, 10, 90, Joint.BEHIND),
        (None, 60, 90, Joint.GONE),
    ],
)
def test_every_answer_has_one_meaning(found: Link | None, oldest: int, newest: int, joint: Joint) -> None:
    assert judge(link(50), found, Position(oldest, 1), Position(newest, 1)) is joint


def test_a_batch_that_goes_back_is_asked_again() -> None:
    oplog = Oplog()
    for n in range(3):
        oplog.put("i", "a.b", {"_id": n})
    first, second, third = oplog.entries
    ordered(second + third, Link.of(first))
    for batch, after in ((first, second), (second, second)):
        with pytest.raises(Unreachable):
            ordered(batch, Link.of(after))
    assert last_entry(first + second) == second
    assert [(p.count, p.last) for p in one_term(first + second + third)] == [(3, Link.of(third))]
