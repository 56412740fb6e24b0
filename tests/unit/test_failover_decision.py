"""The failover decision, over histories of probes by hand and by chance."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mongo_dr_console.model.failover import (
    PROBES_NEEDED,
    Answer,
    Decision,
    Leader,
    Round,
    Standing,
    decide,
    followed,
)

A, B, C = "a:1", "b:1", "c:1"
ALL = frozenset((A, B, C))
THREE = Round({A: 1, B: 1, C: 1})
KNOWN = Leader(A, 5)


def secondary(of: str | None, term: int = 5, up: frozenset[str] = ALL) -> Answer:
    return Answer(False, term, of, up)


def primary(member: str, term: int = 5, up: frozenset[str] = ALL) -> Answer:
    return Answer(True, term, member, up)


def silent(now: Round, member: str, probes: int = PROBES_NEEDED) -> Round:
    for _ in range(probes):
        now = now.probed(member, None)
    return now


def healthy() -> Round:
    return THREE.probed(A, primary(A)).probed(B, secondary(A)).probed(C, secondary(A))


def test_a_primary_that_all_follow_is_fine() -> None:
    assert decide(healthy(), KNOWN) == Decision(Standing.FINE, KNOWN, False, "a:1 is the primary in term 5.")


def test_few_probes_without_an_answer_are_a_suspicion_and_no_more() -> None:
    for probes in range(1, PROBES_NEEDED):
        found = decide(silent(healthy(), A, probes), KNOWN)
        assert found.standing is Standing.SUSPECT and not found.moved


def test_a_primary_that_the_others_follow_is_cut_off_from_this_host_only() -> None:
    found = decide(silent(healthy(), A, 100), KNOWN)
    assert found.standing is Standing.ONLY_THIS_HOST
    assert not found.moved and found.leader is None
    assert "b:1 and c:1 still follow it: nothing is switched" in found.text


def test_a_primary_that_the_others_do_not_hear_of_is_unreachable() -> None:
    rest = frozenset((B, C))
    now = silent(healthy(), A).probed(B, secondary(None, up=rest)).probed(C, secondary(None, up=rest))
    found = decide(now, KNOWN)
    assert found.standing is Standing.UNREACHABLE and not found.moved
    elected = now.probed(B, primary(B, 6, rest)).probed(C, secondary(B, 6, rest))
    assert decide(elected, KNOWN).moved
    assert decide(elected, KNOWN).leader == Leader(B, 6)


def test_one_of_two_others_is_no_majority_of_them() -> None:
    now = silent(silent(healthy(), A), C).probed(B, secondary(None))
    found = decide(now, KNOWN)
    assert found.standing is Standing.SUSPECT and "too few other members" in found.text


def test_nobody_is_led_to_a_claimant_that_no_majority_follows() -> None:
    claimed = silent(healthy(), A).probed(B, primary(B, 6))
    assert followed(claimed) is None
    assert not decide(claimed, KNOWN).moved
    # A follower of an older term may mean an older election of the same member.
    assert followed(claimed.probed(C, secondary(B, 5))) is None
    assert followed(claimed.probed(C, secondary(B, 6))) == Leader(B, 6)


def test_an_isolated_primary_that_still_answers_keeps_nobody() -> None:
    now = healthy().probed(B, primary(B, 6)).probed(C, secondary(B, 6))
    found = decide(now, KNOWN)
    assert found.moved and found.leader == Leader(B, 6)


def test_a_planned_change_is_a_change_without_a_member_that_is_silent() -> None:
    now = healthy().probed(A, secondary(B, 6)).probed(B, primary(B, 6)).probed(C, secondary(B, 6))
    found = decide(now, KNOWN)
    assert found.moved and found.standing is Standing.FINE


def test_a_lower_term_is_refused_with_the_step_by_hand() -> None:
    now = healthy().probed(A, secondary(B, 4)).probed(B, primary(B, 4)).probed(C, secondary(B, 4))
    found = decide(now, KNOWN)
    assert not found.moved and found.standing is Standing.SUSPECT
    assert found.advice == "If b:1 is right: mdr endpoint switch --to b:1 --lower-term"


def test_without_a_majority_it_is_said_which_members_are_needed() -> None:
    alone = frozenset((B,))
    now = silent(silent(healthy(), A), C).probed(B, secondary(None, up=alone))
    found = decide(now, KNOWN)
    assert found.standing is Standing.NO_MAJORITY and not found.moved
    assert "1 of 2 needed votes are up" in found.text
    assert "1 more vote(s), of a:1 and c:1" in found.advice and "force: true" in found.advice


def test_where_no_member_answers_nothing_is_claimed() -> None:
    now = silent(silent(silent(THREE, A), B), C)
    assert decide(now, KNOWN).standing is Standing.SUSPECT
    assert "no member answers this host" in decide(now, KNOWN).text


MEMBERS = ("a:1", "b:1", "c:1", "d:1", "e:1")
_answers = st.builds(
    Answer,
    primary=st.booleans(),
    term=st.one_of(st.none(), st.integers(3, 8)),
    follows=st.one_of(st.none(), st.sampled_from(MEMBERS)),
    up=st.one_of(st.none(), st.frozensets(st.sampled_from(MEMBERS))),
)
_probes = st.tuples(st.sampled_from(MEMBERS), st.one_of(st.none(), _answers))
_few_answers = st.sampled_from(
    [
        None,
        *(Answer(p == m, t, p, frozenset(MEMBERS)) for p in MEMBERS[:2] for m in MEMBERS[:2] for t in (5, 6)),
    ]
)
_likely = st.tuples(st.sampled_from(MEMBERS), _few_answers)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Round, Leader]:
    votes = {m: draw(st.sampled_from((1, 1, 1, 0))) for m in MEMBERS[: draw(st.integers(1, 5))]}
    now = Round(votes)
    for member, answer in draw(st.lists(st.one_of(_probes, _likely), max_size=25)):
        if member in votes:
            now = now.probed(member, answer)
    return now, Leader(draw(st.sampled_from(tuple(votes))), draw(st.integers(3, 8)))


@settings(max_examples=600, deadline=None)
@given(histories())
def test_whatever_was_probed(history: tuple[Round, Leader]) -> None:
    now, known = history
    found = decide(now, known)
    others = [m for m in now.votes if m != known.member]
    still = [
        m
        for m in others
        if (a := now.answers.get(m)) and not a.primary and a.follows == known.member and a.term == known.term
    ]
    seen = 2 * now.count(still) > now.count(others)
    if found.moved:
        assert found.leader is not None
        assert found.leader.term > known.term
        assert not seen
        behind = [
            m
            for m, a in now.answers.items()
            if a.term == found.leader.term and found.leader.member in (m, a.follows)
        ]
        assert 2 * now.count(behind) > sum(now.votes.values())
        assert now.answers[found.leader.member].primary
    if found.standing is Standing.UNREACHABLE:
        assert now.silent.get(known.member, 0) >= PROBES_NEEDED
        assert not seen
    if found.standing is Standing.ONLY_THIS_HOST:
        assert not found.moved and known.member not in now.answers
    assert (found.standing is Standing.NO_MAJORITY) == ("Nothing is changed from here." in found.advice)


@settings(max_examples=300, deadline=None)
@given(histories())
def test_no_two_members_are_followed_at_once(history: tuple[Round, Leader]) -> None:
    now, _ = history
    reverse = replace(now, answers=dict(reversed(now.answers.items())))
    assert followed(now) == followed(reverse)
