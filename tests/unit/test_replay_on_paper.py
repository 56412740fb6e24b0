"""Invented oplogs, replayed on paper and compared with a naive reading of the same entries.

Each round is an oplog by its seed, a snapshot taken over some of it, a limit, a part, and at times an event
that is left out. ``MDR_HISTORY_SEED`` (the first seed) and ``MDR_HISTORY_ROUNDS`` make others; what fails
says its seed, and a run of one round with that seed is the same again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import bson
import pytest
from support.invented import Invented, Mistake
from support.naive import Naive
from support.paper import restore_on_paper

from mongo_dr_console.engines.builtin import lanes
from mongo_dr_console.engines.builtin.replay_run import ReplayRun
from mongo_dr_console.model import oplogentry, timeline
from mongo_dr_console.model.oplogentry import TransactionAssembler
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.skip import SkipWatch

SEED = int(os.environ.get("MDR_HISTORY_SEED", "1"))
ROUNDS = int(os.environ.get("MDR_HISTORY_ROUNDS", "1000"))


def one_round(seed: int) -> None:
    luck = random.Random(-seed - 1)
    oplog = Invented(seed, luck.randrange(20, 120))
    count = len(oplog.entries)
    begin = luck.randrange(count)
    end = min(count - 1, begin + luck.randrange(15))
    base = oplog.snapshot(begin, end)
    if base is None:
        return
    at = luck.randrange(end, count)
    limit = Limit(oplog.positions[at], Bound.THROUGH if at == end else luck.choice(list(Bound)))
    scope = a_scope(luck)
    mistake = a_mistake(luck, oplog, oplog.positions[end], limit, scope)
    wanted = twin(oplog, limit, mistake)
    found = restore_on_paper(
        base,
        oplog.positions[end],
        oplog.entries[end + 1 :],
        limit,
        scope=scope,
        skipped=[mistake.selector] if mistake else [],
    )
    expected = {
        name: (sorted(kept.documents.values()), kept.options, kept.indexes)
        for name, kept in wanted.collections.items()
        if in_scope(scope, name)
    }
    assert found.collections == expected, (limit, scope, mistake)


def a_mistake(
    luck: random.Random, oplog: Invented, after: Position, limit: Limit, scope: tuple[str, ...]
) -> Mistake | None:
    """One that lies in the range and in the scope: what it does outside decides on names inside."""
    there = [
        m
        for m in oplog.mistakes
        if m.selector.first > after
        and limit.admits(m.selector.last)
        and all(in_scope(scope, n) for n in m.selector.namespaces)
    ]
    return luck.choice(there) if there and luck.random() < 0.5 else None


def in_scope(scope: tuple[str, ...], name: str) -> bool:
    return not scope or name in scope or name.partition(".")[0] in scope


def a_scope(luck: random.Random) -> tuple[str, ...]:
    return luck.choice(((), ("d0",), ("d1.a", "d1.b"), ("d0.a", "d1"), ("d1.c",)))


def twin(oplog: Invented, limit: Limit, mistake: Mistake | None) -> Naive:
    skipped = mistake.positions if mistake else frozenset()
    naive = Naive(skips=lambda at, session, operation: Position(*at) in skipped, lenient=mistake is not None)
    for raw, position in zip(oplog.entries, oplog.positions, strict=True):
        if limit.admits(position):
            naive.feed(raw)
    return naive


def run(rounds: int) -> None:
    for seed in range(SEED, SEED + rounds):
        try:
            one_round(seed)
        except Exception as error:
            pytest.fail(f"MDR_HISTORY_SEED={seed} MDR_HISTORY_ROUNDS=1: {error!r}"[:3000])


def test_some_rounds() -> None:
    run(min(ROUNDS, 200))


@pytest.mark.slow
def test_thousands_of_rounds() -> None:
    run(ROUNDS)


# The rounds must be able to fail: what a restore gets is spoilt, or a part of it is broken

Spoil = Callable[[list[bytes], random.Random], Iterable[bytes]]


def one_entry_lost(entries: list[bytes], luck: random.Random) -> Iterable[bytes]:
    gone = luck.randrange(len(entries))
    return [*entries[:gone], *entries[gone + 1 :]]


def the_last_entry_lost(entries: list[bytes], luck: random.Random) -> Iterable[bytes]:
    return entries[:-1]


def two_slices_swapped(entries: list[bytes], luck: random.Random) -> Iterable[bytes]:
    third = len(entries) // 3
    return [*entries[:third], *entries[2 * third :], *entries[third : 2 * third]]


SPOILS: dict[str, Spoil] = {f.__name__: f for f in (one_entry_lost, the_last_entry_lost, two_slices_swapped)}


def spoilt_by(spoil: Spoil, patch: pytest.MonkeyPatch) -> None:
    advance = ReplayRun.advance

    def spoilt(run: ReplayRun, entries: Iterable[bytes], **more: Any) -> None:
        advance(run, spoil(list(entries), random.Random(1)), **more)

    patch.setattr(ReplayRun, "advance", spoilt)


def caught(rounds: int = 60) -> bool:
    for seed in range(1, 1 + rounds):
        try:
            one_round(seed)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_spoilt_oplog_is_caught(spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt_by(SPOILS[spoil], monkeypatch)
    assert caught()


def each_entry_twice(entries: list[bytes], luck: random.Random) -> Iterator[bytes]:
    for raw in entries:
        yield raw
        yield raw


def test_entries_that_come_twice_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt_by(each_entry_twice, monkeypatch)
    assert not caught()


def duplicates_are_applied(patch: pytest.MonkeyPatch) -> None:
    spoilt_by(each_entry_twice, patch)
    patch.setattr(ReplayRun, "position", property(lambda run: Position(0, 0), lambda run, value: None))


def the_limit_one_later(patch: pytest.MonkeyPatch) -> None:
    admits = Limit.admits

    def wrong(limit: Limit, at: Position) -> bool:
        return admits(limit, at) or at == limit.position

    only_in_the_restore(patch, wrong)


def the_limit_one_earlier(patch: pytest.MonkeyPatch) -> None:
    only_in_the_restore(patch, lambda limit, at: at < limit.position)


def only_in_the_restore(patch: pytest.MonkeyPatch, admits: Callable[[Limit, Position], bool]) -> None:
    """The twin has a limit of its own."""

    class Broken(Limit):
        def admits(self, position: Position) -> bool:
            return admits(Limit(self.position, self.bound), position)

    restore = restore_on_paper

    def broken(base: Any, end: Position, later: Any, limit: Limit, **more: Any) -> Any:
        return restore(base, end, later, Broken(limit.position, limit.bound), **more)

    patch.setitem(globals(), "restore_on_paper", broken)


def transactions_are_split(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(oplogentry, "is_transaction", lambda entry: False)


def aborted_transactions_count(patch: pytest.MonkeyPatch) -> None:
    end = TransactionAssembler._end
    patch.setattr(
        TransactionAssembler, "_end", lambda self, entry, at, committed: end(self, entry, at, committed=True)
    )


def renames_are_not_followed_back(patch: pytest.MonkeyPatch) -> None:
    from support import paper

    patch.setattr(paper, "rename_closure", lambda wanted, renames: set())


def no_upserts_in_the_window(patch: pytest.MonkeyPatch) -> None:
    write = timeline.Write
    patch.setattr(timeline, "Write", lambda **fields: write(**{**fields, "upsert": False}))


def nothing_is_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SkipWatch, "skips", lambda self, operation: False)


def drops_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(timeline._HANDLERS, "drop", lambda self, operation: [])


def ids_are_told_by_their_bytes(patch: pytest.MonkeyPatch) -> None:
    """So that 1 and 1.0 are in two lanes."""

    def key_of(document: bytes) -> bytes:
        return bson.encode({"": bson.decode(document)["_id"]})

    patch.setattr(lanes, "key_of", key_of)


def plain_writes_go_where_the_name_stood_before(patch: pytest.MonkeyPatch) -> None:
    class Kept(dict[bytes, Any]):
        def clear(self) -> None:
            pass

    advance = ReplayRun.advance

    def kept(run: ReplayRun, entries: Iterable[bytes], **more: Any) -> None:
        run._homes = Kept()
        advance(run, entries, **more)

    patch.setattr(ReplayRun, "advance", kept)


BROKEN = {
    f.__name__: f
    for f in (
        duplicates_are_applied,
        the_limit_one_later,
        the_limit_one_earlier,
        transactions_are_split,
        aborted_transactions_count,
        renames_are_not_followed_back,
        no_upserts_in_the_window,
        nothing_is_skipped,
        drops_are_ignored,
        ids_are_told_by_their_bytes,
        plain_writes_go_where_the_name_stood_before,
    )
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_replay_is_caught(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BROKEN[broken](monkeypatch)
    assert caught(100)
