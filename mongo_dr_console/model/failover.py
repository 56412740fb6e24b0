"""Whether the primary is gone, for whom, and whom a majority follows now. Pure.

What this host sees decides nothing alone: a primary is *unreachable* when several probes in a row got no
answer and the majority of the other members say so too; and applications are led elsewhere only to a member
that says itself that it is the primary, that a majority of the votes follows in the same term, and whose
term is higher than that of the primary before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

PROBES_NEEDED = 3
"""So many probes in a row without an answer, before a member counts as silent."""


class Standing(StrEnum):
    """How the primary stands."""

    FINE = "fine"
    SUSPECT = "suspect"
    UNREACHABLE = "unreachable"
    ONLY_THIS_HOST = "only-this-host"
    NO_MAJORITY = "no-majority"


@dataclass(frozen=True, slots=True)
class Leader:
    """A primary and the term in which it was elected."""

    member: str
    term: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member said when it was probed.

    Args:
        primary: Whether it says that it is the primary and takes writes.
        term: Its own election's where it is the primary, else the newest that it knows; None: not told.
        follows: Whom it takes for the primary; None: nobody.
        up: The members that it hears of, itself included; None: it may not tell.
        applied: Its newest entry as ``t:i``; empty: not told.
    """

    primary: bool
    term: int | None
    follows: str | None
    up: frozenset[str] | None = None
    applied: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What is known of the members at one moment.

    Args:
        votes: Of each member of the set.
        answers: The newest answer of each member whose newest probe was answered.
        silent: How many probes in a row each of the others did not answer.
    """

    votes: Mapping[str, int]
    answers: Mapping[str, Answer] = field(default_factory=dict)
    silent: Mapping[str, int] = field(default_factory=dict)

    def probed(self, member: str, answer: Answer | None) -> Round:
        """With one more probe of a member; None: it did not answer."""
        answers = {m: a for m, a in self.answers.items() if m != member}
        silent = {m: n for m, n in self.silent.items() if m != member}
        if answer is None:
            silent[member] = self.silent.get(member, 0) + 1
        else:
            answers[member] = answer
        return replace(self, answers=answers, silent=silent)

    @property
    def needed(self) -> int:
        """Votes that an election and a majority write need."""
        return sum(self.votes.values()) // 2 + 1

    def count(self, members: Iterable[str]) -> int:
        """Votes of these members."""
        return sum(self.votes.get(m, 0) for m in members)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the newest probes come to.

    Args:
        leader: Whom a majority follows now, as it says itself; None: nobody that this host knows of.
        moved: Whether that is another primary, or another term, than was known, and a higher term:
            applications are to be led to it. Never true for a lower or an equal term.
        text: Why, in a sentence.
        advice: What can be done where nothing can be done from here; empty otherwise.
    """

    standing: Standing
    leader: Leader | None
    moved: bool
    text: str
    advice: str = ""


def decide(now: Round, known: Leader | None) -> Decision:
    """Holds the newest probes against the primary that is known.

    Args:
        known: To whom applications are led now; None: nobody is known yet.
    """
    leader = followed(now)
    if leader is not None:
        return _with_leader(now, known, leader)
    if known is None:
        standing, text = _nobody(now, "No primary is known yet")
        return Decision(standing, None, False, text, _advice(now, standing))
    standing, text = _without_leader(now, known)
    return Decision(standing, None, False, text, _advice(now, standing))


def followed(now: Round) -> Leader | None:
    """The member that says that it is the primary and that a majority of the votes follows in its term."""
    for member, answer in now.answers.items():
        if not answer.primary or answer.term is None:
            continue
        if now.count(m for m, a in now.answers.items() if _follows(m, a, member, answer.term)) >= now.needed:
            return Leader(member, answer.term)
    return None


def _follows(member: str, answer: Answer, leader: str, term: int) -> bool:
    if member == leader:
        return answer.primary
    return not answer.primary and answer.follows == leader and answer.term == term


def _with_leader(now: Round, known: Leader | None, leader: Leader) -> Decision:
    if known is None or leader == known:
        return Decision(
            Standing.FINE, leader, False, f"{leader.member} is the primary in term {leader.term}."
        )
    if leader.term > known.term:
        silent = now.silent.get(known.member, 0) >= PROBES_NEEDED
        standing = Standing.UNREACHABLE if silent and leader.member != known.member else Standing.FINE
        text = (
            f"{leader.member} is the primary in term {leader.term}; before it {known.member} in {known.term}."
        )
        return Decision(standing, leader, True, text)
    text = (
        f"{leader.member} is the primary in term {leader.term}, which is not higher than term {known.term} "
        f"of {known.member}, to which applications are led: the set was reconfigured by force or made anew."
    )
    return Decision(
        Standing.SUSPECT,
        leader,
        False,
        text,
        f"If {leader.member} is right: mdr endpoint switch --to {leader.member} --lower-term",
    )


def _without_leader(now: Round, known: Leader) -> tuple[Standing, str]:
    answer = now.answers.get(known.member)
    if answer is not None:
        says = (
            "takes writes still, and no majority follows it" if answer.primary else "is not primary any more"
        )
        return _nobody(now, f"{known.member} {says}")
    probes = now.silent.get(known.member, 0)
    if probes < PROBES_NEEDED:
        return Standing.SUSPECT, f"{known.member} did not answer {probes} of {PROBES_NEEDED} probes."
    others = [m for m in now.votes if m != known.member]
    sees = [m for m in others if m in now.answers and _sees(now.answers[m], known)]
    denies = [m for m in others if m in now.answers and m not in sees]
    half = now.count(others) / 2
    if sees and now.count(sees) > half:
        text = (
            f"{known.member} does not answer this host, and {_names(sees)} still follow it: nothing is "
            "switched."
        )
        return Standing.ONLY_THIS_HOST, text
    if denies and now.count(denies) > half:
        return _nobody(
            now,
            f"{known.member} does not answer, and {_names(denies)} do not follow it any more",
            Standing.UNREACHABLE,
        )
    return _nobody(now, f"{known.member} does not answer, and too few other members tell why")


def _sees(answer: Answer, known: Leader) -> bool:
    """Whether it still follows that very primary."""
    return (
        not answer.primary
        and answer.follows == known.member
        and (answer.term is None or answer.term <= known.term)
        and (answer.up is None or known.member in answer.up)
    )


def _nobody(now: Round, text: str, otherwise: Standing = Standing.SUSPECT) -> tuple[Standing, str]:
    """Nobody is followed by a majority: for want of votes, or until the election is over."""
    if not now.answers:
        return Standing.SUSPECT, f"{text}; no member answers this host."
    votes = now.count(up(now))
    if votes < now.needed:
        return Standing.NO_MAJORITY, f"{text}; {votes} of {now.needed} needed votes are up."
    return (
        otherwise,
        f"{text}; {votes} of {now.needed} needed votes are up, so an election is to be expected.",
    )


def up(now: Round) -> frozenset[str]:
    """The members that are up as far as those tell that answer; the largest group that hears of each
    other."""
    groups = [a.up for a in now.answers.values() if a.up is not None]
    return max([*groups, frozenset(now.answers)], key=now.count, default=frozenset())


def _advice(now: Round, standing: Standing) -> str:
    if standing is not Standing.NO_MAJORITY:
        return ""
    there = up(now)
    down = sorted(m for m in now.votes if m not in there and now.votes[m])
    missing = now.needed - now.count(there)
    which = down[0] if len(down) == 1 else f"members with {missing} more vote(s), of {_names(down)}"
    return (
        f"Start {which}, or mend the network to it; the set elects a primary by itself then. Only where they "
        "cannot come back: rs.reconfig(…, {force: true}) on a member that is up takes the lost ones out of "
        "the set; it loses what those alone had acknowledged, and two halves that are both forced drift "
        "apart for good. Nothing is changed from here."
    )


def _names(members: Iterable[str]) -> str:
    *first, last = sorted(members) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last
