"""What background verification looks at next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.catalogue import SnapshotEntry, Verification
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.verifynext import Need, VerifyPolicy, next_to_verify

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = VerifyPolicy()


def days(count: float) -> datetime:
    return NOW - timedelta(days=count)


def snapshot(
    age: float, looked: dict[int, float] | None = None, *, store: str = "local", good: bool = True
) -> SnapshotEntry:
    """So many days old; levels, and how many days ago each was reached."""
    seen = None
    if looked is not None:
        rungs = tuple(sorted((level, days(ago)) for level, ago in looked.items()))
        seen = Verification(max(looked), days(min(looked.values())), good, rungs if good else ())
    name = f"{days(age):%Y%m%d_%H%M%S}"
    return SnapshotEntry(name, store, "mongo-dr-console", 1, days(age), verification=seen)


def rungs(level: int, ago: float) -> dict[int, float]:
    return dict.fromkeys(range(1, level + 1), ago)


def test_nothing_is_due_where_all_is_as_promised() -> None:
    assert next_to_verify([], NOW) is None
    assert next_to_verify([snapshot(1, rungs(3, 1)), snapshot(30, rungs(3, 13.9))], NOW) is None


def test_what_was_never_looked_at_comes_first_and_the_newest_of_it() -> None:
    old, new = snapshot(9), snapshot(2)
    found = next_to_verify([snapshot(1, rungs(2, 1)), snapshot(3, rungs(3, 40)), old, new], NOW)
    assert found is not None
    assert (found.snapshot, found.level, found.need) == (new.name, 3, Need.NEVER)
    assert found.why == "never verified"


def test_then_what_was_looked_at_less_closely_then_what_was_long_ago() -> None:
    low, stale = snapshot(8, rungs(2, 0.5)), snapshot(1, rungs(3, 15))
    found = next_to_verify([stale, low], NOW)
    assert found is not None and found.snapshot == low.name
    assert found.why == "never verified as readable"
    found = next_to_verify([stale, snapshot(20, rungs(3, 90))], NOW)
    assert found is not None and found.snapshot == stale.name, "the newest, not the one that waits longest"
    assert found.why == "last verified as readable 15 days ago"


def test_a_higher_rung_counts_and_a_drill_alone_does_not() -> None:
    assert next_to_verify([snapshot(20, {1: 30, 2: 30, 3: 30, 4: 1})], NOW) is None
    drilled = replace(snapshot(20, rungs(3, 30)), drilled_at=days(1))
    found = next_to_verify([drilled], NOW)
    assert found is not None and found.need is Need.OLD


def test_each_store_s_copy_counts_by_itself() -> None:
    here = snapshot(1, rungs(3, 1))
    there = replace(here, store="s3", verification=None)
    found = next_to_verify([here, there], NOW)
    assert found is not None and found.store == "s3"


def test_what_is_damaged_or_unfinished_is_left_to_people() -> None:
    bad = snapshot(1, rungs(2, 1), good=False)
    broken = replace(snapshot(2), problem=Failed("snapshot-unfinished", "It has no manifest."))
    assert next_to_verify([bad, broken], NOW) is None


def test_a_time_to_come_puts_nothing_off() -> None:
    found = next_to_verify([snapshot(1, rungs(3, -400))], NOW)
    assert found is not None and found.need is Need.OLD and "wrong clock" in found.why


@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.none() | st.tuples(st.integers(1, 5), st.floats(0, 60))),
        max_size=8,
        unique_by=lambda each: int(each[0] * 86_400),
    )
)
def test_whoever_does_what_it_says_is_done_after_one_look_at_each(
    made: list[tuple[float, tuple[int, float] | None]],
) -> None:
    kept = [snapshot(age, None if seen is None else rungs(*seen)) for age, seen in made]
    for _ in range(len(kept)):
        found = next_to_verify(kept, NOW)
        if found is None:
            break
        kept = [
            replace(e, verification=Verification(3, NOW, True, tuple((n, NOW) for n in (1, 2, 3))))
            if (e.name, e.store) == (found.snapshot, found.store)
            else e
            for e in kept
        ]
    assert next_to_verify(kept, NOW) is None
    promised = [dict(e.verification.rungs) for e in kept if e.verification is not None]
    assert len(promised) == len(kept)
    assert all(max(at for n, at in each.items() if n >= 3) > NOW - POLICY.within for each in promised)
