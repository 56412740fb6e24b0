"""What a resumed restore knows: the fold over any prefix of its journal."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint

C = Checkpoint

JOURNAL = [
    C("begun"),
    C("safety", {"snapshot": "x"}),
    C("dropped", {"namespace": "shop.a"}),
    C("loaded", {"number": 1, "documents": 10}),
    C("loaded", {"number": 2, "documents": 20}),
    C("replay", {"sending": "5:1"}),
    C("replay", {"confirmed": "5:1"}),
    C("baseline", {"documents": {"1": 10, "2": 21}}),
    C("replay", {"sending": "9:1"}),
    C("replay", {"confirmed": "9:1"}),
    C("indexing"),
    C("ready", {"placements": [{"name": "a"}], "block": True}),
    C("write-block", {"on": True}),
    C("drained", {"position": "9:1"}),
    C("renames", {"planned": []}),
    C("renamed", {"position": "10:1"}),
    C("write-block", {"on": False}),
    C("series", {"series": [{"name": "s"}]}),
    C("series-made", {"namespace": "shop.s", "buckets": "ab"}),
    C("series-done", {"namespace": "shop.s"}),
    C("placed", {"position": "10:1", "placements": [{"name": "a"}]}),
    C("view", {"name": "shop.v", "before": None}),
    C("logins", {"users": ["shop.ann"], "roles": [], "kept": []}),
]


def at(count: int) -> RestoreState:
    return RestoreState.of(JOURNAL[:count])


def test_the_whole_journal() -> None:
    state = at(len(JOURNAL))
    assert state.loaded == {1: 10, 2: 20} and state.baseline == {1: 10, 2: 21}
    assert (state.confirmed, state.sent, state.drained) == (Position(9, 1),) * 3
    assert state.indexed and not state.blocked
    assert state.dropped == ["shop.a"] and state.placements == [{"name": "a"}]
    assert state.placed is not None and state.placed["position"] == "10:1"
    assert state.views == [{"name": "shop.v", "before": None}]
    assert state.series == [{"name": "s"}] and state.series_made == {"shop.s": "ab"}
    assert state.series_done == {"shop.s": 0}
    assert state.logins is not None and state.logins["users"] == ["shop.ann"]


def test_what_was_refused_is_known_until_it_is_tried_again() -> None:
    loaded = C("loaded", {"number": 2, "documents": 20, "rejected": 3})
    unbuilt = C("index-refused", {"number": 2, "namespace": "shop.b", "index": "u", "why": "twice"})
    assert RestoreState.of([loaded, unbuilt]).rejected == {2: 3}
    assert RestoreState.of([loaded, unbuilt]).refused(2) == {"u"}
    assert RestoreState.of([loaded, unbuilt]).refused(1) == frozenset()
    assert RestoreState.of([loaded, unbuilt, C("unindexed")]).refused(2) == frozenset()
    assert RestoreState.of([loaded, unbuilt, C("reset")]).rejected == {}


def test_a_merge_knows_its_sessions_and_what_it_made() -> None:
    made = [C("merge-made", {"namespace": "shop.a"}), C("merge-made", {"namespace": "shop.b"})]
    sessions = [C("merge-session", {"session": "0a"}), C("reset"), C("merge-session", {"session": "0b"})]
    state = RestoreState.of([*made, *sessions, C("merge-not-made", {"namespace": "shop.a"})])
    assert state.merge_made == ["shop.b"] and state.merge_sessions == ["0a", "0b"]


def test_any_prefix_promises_no_more_than_was_journalled() -> None:
    for count in range(len(JOURNAL) + 1):
        state, kinds = at(count), [c.kind for c in JOURNAL[:count]]
        assert len(state.loaded) == kinds.count("loaded")
        assert (state.placed is not None) == ("placed" in kinds)
        assert (state.placements is not None) == ("ready" in kinds)
        assert state.blocked == (kinds.count("write-block") == 1)
        assert state.confirmed is None or (state.sent is not None and state.confirmed <= state.sent)


def test_it_is_a_fold() -> None:
    for count in range(len(JOURNAL) + 1):
        state = at(count)
        for checkpoint in JOURNAL[count:]:
            state.take(checkpoint)
        assert state == at(len(JOURNAL))


def test_sending_again_after_a_lost_primary_forgets_nothing_that_was_sent() -> None:
    state = RestoreState.of([C("replay", {"confirmed": "5:1"}), C("replay", {"sending": "9:1"})])
    state.take(C("replay", {"sending": "7:1"}))
    assert (state.confirmed, state.sent) == (Position(5, 1), Position(9, 1))


def test_a_reset_starts_over_but_what_was_dropped_stays_dropped() -> None:
    state = at(11)
    state.take(C("reset"))
    assert (state.loaded, state.baseline, state.confirmed, state.sent, state.indexed) == (
        {},
        None,
        None,
        None,
        False,
    )
    assert state.dropped == ["shop.a"]


def test_indexing_and_back() -> None:
    state = RestoreState.of([C("indexing"), C("unindexed")])
    assert not state.indexed


@given(st.lists(st.sampled_from(JOURNAL)), st.dictionaries(st.text(), st.integers()))
def test_no_journal_breaks_it(journal: list[Checkpoint], unknown: dict[str, Any]) -> None:
    state = RestoreState.of([*journal, C("from a newer version", unknown)])
    assert state == RestoreState.of(journal)
