"""Operations next to a position: which, in which order, bounded, transactions at their commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from bson import Binary, Int64
from support.entrykit import START, Oplog, Recorded

from mongo_dr_console.model.documentid import parse_identity
from mongo_dr_console.model.operationpage import Found, OperationPage
from mongo_dr_console.model.operationwindow import MOST, OperationWindow
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.stream.around import MOST_OF_ONE, Budget, on_document, page

SESSION = b"s" * 16


def ids(found: tuple[Found, ...]) -> list[object]:
    return [f.operation.document_id for f in found]


def filled(count: int, seconds: float = 1.0) -> Oplog:
    oplog = Oplog()
    for number in range(count):
        oplog.insert("shop.orders" if number % 2 else "crm.people", number)
        oplog.wait(seconds)
    return oplog


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 400.0])
def test_before_and_after_meet_at_the_position(seconds: float) -> None:
    oplog = filled(40, seconds)
    source, place = Recorded(oplog), oplog.positions[20]
    assert ids(page(source, place, "before", 5).found) == [15, 16, 17, 18, 19]
    assert ids(page(source, place, "after", 5).found) == [20, 21, 22, 23, 24]


@pytest.mark.parametrize("seconds", [0.0, 1.0, 400.0])
@pytest.mark.parametrize("pattern", ["", "shop", "crm.*"])
def test_paging_both_ways_gives_each_once_and_ends(seconds: float, pattern: str) -> None:
    oplog = filled(60, seconds)
    source = Recorded(oplog)
    window = OperationWindow.at(oplog.positions[31])
    for _ in range(40):
        for way in ("before", "after"):
            window = window.grown(way, page(source, window.edge(way), way, 7, pattern))
    wanted = [n for n in range(60) if pattern in ("", "shop" if n % 2 else "crm.*")]
    assert ids(window.found) == wanted
    assert window.oldest and window.newest


def test_what_is_written_later_comes_with_the_next_look() -> None:
    oplog = filled(3)
    window = OperationWindow.at(oplog.positions[2])
    window = window.grown("after", page(Recorded(oplog), window.edge("after"), "after", 9))
    assert window.newest
    again = window.grown("after", page(Recorded(oplog), window.edge("after"), "after", 9))
    oplog.insert("shop.orders", "later")
    last = again.grown("after", page(Recorded(oplog), again.edge("after"), "after", 9))
    assert ids(last.found) == [2, "later"]


def test_the_window_lets_go_of_the_far_end_and_reads_it_again() -> None:
    oplog = filled(2 * MOST, 0.1)
    source, window = Recorded(oplog), OperationWindow.at(oplog.positions[MOST])
    window = window.grown("after", page(source, window.edge("after"), "after", MOST))
    window = window.grown("before", page(source, window.edge("before"), "before", 100))
    assert ids(window.found) == list(range(MOST - 100, 2 * MOST - 100)) and not window.newest
    window = window.grown("after", page(source, window.edge("after"), "after", 100))
    assert ids(window.found) == list(range(MOST, 2 * MOST)) and not window.oldest
    window = window.grown("before", page(source, window.edge("before"), "before", 1))
    assert window.found[0].operation.document_id == MOST - 1


@dataclass
class Counting(Recorded):
    """Tells how far it was read."""

    read_from: list[Position] = field(default_factory=list)
    given: int = 0

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        self.read_from.append(start)
        for batch in super().read(start, end):
            self.given += 1
            yield batch


def test_no_more_is_read_than_the_budget_says_and_the_page_says_how_far() -> None:
    oplog = filled(2000, 1.0)
    source = Counting(oplog)
    budget = Budget(entries=100)
    found = page(source, oplog.positions[-1], "before", 5, "nobody.*", budget)
    assert found.found == () and not found.ended
    assert found.start == min(source.read_from) > oplog.positions[0]
    source = Counting(oplog, batch=10)
    found = page(source, oplog.positions[0], "after", 5, "nobody.*", budget)
    assert source.given == 10 and not found.ended and found.end == oplog.positions[99]


def test_a_transaction_of_several_entries_is_shown_at_its_commit_wherever_the_page_begins() -> None:
    oplog = Oplog()
    oplog.insert("shop.orders", "a")
    inner = [{"op": "i", "ns": "shop.orders", "ui": Binary(b"c" * 16, 4), "o": {"_id": n}} for n in (1, 2)]
    nothing = {"ts": Position(0, 0).timestamp, "t": Int64(-1)}
    first = oplog.put(
        "c",
        "admin.$cmd",
        {"applyOps": inner[:1], "partialTxn": True},
        session=SESSION,
        prevOpTime=nothing,
    )
    oplog.wait(4000)
    oplog.insert("shop.orders", "b")
    back = {"ts": first.timestamp, "t": Int64(1)}
    commit = oplog.put("c", "admin.$cmd", {"applyOps": inner[1:]}, session=SESSION, prevOpTime=back)
    found = page(Recorded(oplog), commit, "after", 9)
    assert ids(found.found) == [1, 2] and found.notes == ()
    assert {f.operation.position for f in found.found} == {commit}
    assert all(f.operation.transaction for f in found.found)
    assert ids(page(Recorded(oplog), oplog.positions[0], "after", 9).found) == ["a", "b", 1, 2]
    # Where the first part is not there any more, that is said.
    cut = Oplog(entries=oplog.entries[2:], positions=oplog.positions[2:])
    found = page(Recorded(cut), commit, "after", 9)
    assert ids(found.found) == [2] and "not shown whole" in found.notes[0]


def test_an_aborted_transaction_is_never_shown() -> None:
    oplog = Oplog()
    inner = [{"op": "i", "ns": "shop.orders", "ui": Binary(b"c" * 16, 4), "o": {"_id": 1}}]
    nothing = {"ts": Position(0, 0).timestamp, "t": Int64(-1)}
    oplog.put("c", "admin.$cmd", {"applyOps": inner, "prepare": True}, session=SESSION, prevOpTime=nothing)
    oplog.command("admin", {"abortTransaction": 1}, session=SESSION)
    assert page(Recorded(oplog), oplog.positions[0], "after", 9).found == ()


def test_a_prepared_transaction_is_shown_at_its_commit_alone() -> None:
    oplog = Oplog()
    inner = [{"op": "d", "ns": "shop.orders", "ui": Binary(b"c" * 16, 4), "o": {"_id": 1}}]
    nothing = {"ts": Position(0, 0).timestamp, "t": Int64(-1)}
    body = {"applyOps": inner, "prepare": True}
    prepared = oplog.put("c", "admin.$cmd", body, session=SESSION, prevOpTime=nothing)
    oplog.wait(60)
    back = {"ts": prepared.timestamp, "t": Int64(1)}
    commit = oplog.command("admin", {"commitTransaction": 1}, session=SESSION, prevOpTime=back)
    for place in (prepared, commit):
        (one,) = page(Recorded(oplog), place, "after", 9).found
        assert (one.operation.op, one.operation.position) == ("d", commit)


def test_of_a_large_transaction_the_first_operations_and_how_many_more() -> None:
    oplog = Oplog()
    oplog.transaction(SESSION, [("i", "shop.orders", {"_id": n}) for n in range(MOST_OF_ONE + 30)])
    found = page(Recorded(oplog), oplog.positions[0], "after", 9).found
    assert len(found) == MOST_OF_ONE and found[-1].more == 30 and found[0].more == 0


@dataclass
class Torn(Recorded):
    """Has nothing of what lies in the middle."""

    def windows(self) -> list[Span]:
        places = self.oplog.positions
        return [Span(places[0], places[9]), Span(places[20], places[-1])]


def test_a_gap_is_said_and_gone_over() -> None:
    oplog = filled(30)
    source = Torn(oplog)
    found: OperationPage = page(source, oplog.positions[15], "after", 3)
    assert ids(found.found) == [20, 21, 22] and "No source has what lies between" in found.notes[0]
    found = page(source, oplog.positions[20], "before", 3)
    assert ids(found.found) == [7, 8, 9] and "No source has what lies between" in found.notes[0]


def test_a_filter_takes_commands_by_what_they_are_about() -> None:
    oplog = Oplog()
    oplog.drop("shop.orders")
    oplog.drop("shop.carts")
    oplog.command("crm", {"renameCollection": "crm.people", "to": "shop.orders"})
    oplog.command("shop", {"dropDatabase": 1})
    found = page(Recorded(oplog), oplog.positions[0], "after", 9, "shop.orders").found
    assert [f.operation.command for f in found] == ["drop", "renameCollection", "dropDatabase"]


# One document


def history() -> Oplog:
    oplog = Oplog()
    oplog.insert("shop.orders", 5)
    oplog.insert("shop.orders", 6)
    oplog.wait(700)
    oplog.update("shop.orders", 5, {"u": {"paid": True}})
    oplog.wait(7000)
    oplog.insert("shop.carts", 5)
    oplog.transaction(SESSION, [("d", "shop.orders", {"_id": 5}), ("d", "shop.orders", {"_id": 6})])
    oplog.drop("shop.orders")
    return oplog


def test_every_operation_on_one_document() -> None:
    oplog = history()
    found = on_document(Recorded(oplog), "shop.orders", parse_identity("5"))
    assert [f.operation.op for f in found.found] == ["i", "u", "d", "c"]
    assert found.whole and (found.start, found.end) == (oplog.positions[0], oplog.positions[-1])


def test_the_newest_first_and_the_rest_when_it_is_wanted() -> None:
    oplog = history()
    newest = on_document(Recorded(oplog), "shop.orders", [5], most=2)
    assert [f.operation.op for f in newest.found] == ["d", "c"] and not newest.whole
    older = on_document(Recorded(oplog), "shop.orders", [5], newest.before)
    assert [f.operation.op for f in newest.with_older(older).found] == ["i", "u", "d", "c"]
    assert newest.with_older(older).whole


def test_a_document_is_not_looked_for_longer_than_allowed() -> None:
    ticks = iter(range(1000))
    budget = Budget(seconds=2, clock=lambda: float(next(ticks)))
    oplog = filled(20, 600)
    found = on_document(Recorded(oplog), "shop.orders", [1], budget=budget)
    assert not found.whole and found.start > oplog.positions[0]
    assert found.end == oplog.positions[-1] and found.start.t > START
