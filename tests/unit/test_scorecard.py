"""The score card of drills: what succeeded, what the figures were, which way they go."""

from __future__ import annotations

import pytest
from support.drillkit import drill

from mongo_dr_console.model.scorecard import score_card


def test_no_drill_of_a_kind_has_no_card() -> None:
    assert score_card([drill(kind="small")], "full") is None


def test_only_drills_that_succeeded_are_measured() -> None:
    card = score_card(
        [drill(hours=1, rto=9, success=False), drill(hours=2, rto=4), drill(hours=3, rto=6)], "small"
    )
    assert card is not None
    assert card.rto.values == (6, 4, None)
    assert (card.rto.last, card.rto.middle, card.rto.worst) == (4, 5, 6)
    assert (card.drills, card.good, card.in_a_row) == (3, 2, -1)
    assert card.last_good == drill(hours=2).timestamp


def test_the_newest_in_a_row_are_counted() -> None:
    drills = [drill(hours=1), drill(hours=2), drill(hours=3, success=False), drill(hours=4)]
    card = score_card(drills, "small")
    assert card is not None and card.in_a_row == 2


@pytest.mark.parametrize(
    ("seconds", "trend"),
    [((8, 4, 4, 4), 1.0), ((2, 4, 4, 4), -0.5), ((8, 4, 4), None), ((8, 0, 0, 0), None)],
)
def test_the_trend_is_the_last_against_the_median_of_those_before(
    seconds: tuple[float, ...], trend: float | None
) -> None:
    """Two before it say nothing."""
    card = score_card([drill(hours=n, rto=value) for n, value in enumerate(seconds)], "small")
    assert card is not None and card.rto.trend == trend


@pytest.mark.parametrize(("seconds", "within"), [(3600, True), (3601, False), (None, None)])
def test_the_last_one_is_held_against_the_target(seconds: float | None, within: bool | None) -> None:
    card = score_card([drill(rto=seconds)], "small")
    assert card is not None and card.rto.within is within
