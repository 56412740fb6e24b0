"""When messages are written: whatever is seen, starts and ends come in pairs, and nothing flaps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.readingkit import NOW

from mongo_dr_console.model.alert import EVERYTHING, Ack, Alert, AlertState, Message, Rules, Silence, Timing
from mongo_dr_console.model.alerting import PAST_KEPT, Look, Sign, Where, step, with_orders
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level

SECOND = timedelta(seconds=1)
TIMING = Timing(start_after=30 * SECOND, end_after=60 * SECOND, repeat=timedelta(hours=1))
RULES = Rules(TIMING)
KIND = Kind.OPLOG_LAG
WARNING, CRITICAL, FINE, UNKNOWN = Level.WARNING, Level.CRITICAL, Level.FINE, Level.UNKNOWN


def sign(level: Level, held: Level | None = None) -> Sign:
    return Sign(level, level if held is None else held, f"It is {level}.", 1.0)


class Run:
    """Steps one after the other."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.now, self.state = rules, NOW, AlertState()
        self.sent: list[Message] = []

    def see(self, level: Level, seconds: float, *, held: Level | None = None, every: float = 5) -> list[str]:
        before = len(self.sent)
        looks = {KIND: Look({"b:1": sign(level, held)})}
        for _ in range(int(seconds / every)):
            self.now += every * SECOND
            self.state, messages = step(self.state, looks, self.rules, self.now, Where("p", "prod", "rs0"))
            self.sent += messages
        return [m.event for m in self.sent[before:]]

    def order(self, *silences: Silence, acks: tuple[Ack, ...] = ()) -> None:
        self.state = with_orders(self.state, acks, silences)

    def silence(self, seconds: float, kind: str = EVERYTHING) -> None:
        self.order(Silence(id="s", kind=kind, until=self.now + seconds * SECOND, at=self.now))

    @property
    def alert(self) -> Alert:
        (found,) = self.state.alerts
        return found


def test_a_message_says_what_where_how_bad_and_for_how_long() -> None:
    run = Run()
    run.see(CRITICAL, 60)
    run.see(FINE, 120)
    start, end = run.sent
    assert start.title == "[CRITICAL] prod/rs0: oplog-lag b:1" and start.text == "It is critical."
    assert end.title == "[OVER] prod/rs0: oplog-lag b:1" and end.level is CRITICAL
    assert end.text.startswith("Over after 2m") and "It is critical." in end.text
    assert start.alert == end.alert and start.id != end.id


def test_worse_is_news_and_better_is_not_until_it_is_worse_again() -> None:
    run = Run()
    assert run.see(WARNING, 60) == ["start"]
    assert run.see(CRITICAL, 25) == [] and run.see(CRITICAL, 60) == ["worse"]
    assert run.see(WARNING, 120) == [] and run.alert.level is WARNING
    assert run.see(CRITICAL, 60) == ["worse"]
    assert run.see(FINE, 120) == ["end"]


def test_a_short_peak_is_not_the_level_that_is_told() -> None:
    run = Run()
    run.see(WARNING, 25)
    assert run.see(CRITICAL, 10) == ["start"] and run.alert.level is WARNING


def test_it_is_repeated_until_somebody_takes_it_up_or_it_ends() -> None:
    run = Run()
    assert run.see(WARNING, 3 * 3600 + 90, every=30) == ["start", "repeat", "repeat", "repeat"]
    assert "So for 3h" in run.sent[-1].text
    run.order(acks=(Ack(alert=run.alert.id, level=WARNING, by="ann@db1", at=run.now),))
    assert run.see(WARNING, 5 * 3600, every=30) == [] and run.alert.acked_by == "ann@db1"
    assert run.see(CRITICAL, 3600 * 2.5, every=30)[:2] == ["worse", "repeat"], "what is worse is not taken up"
    run.order(acks=(Ack(alert=run.alert.id, level=WARNING, by="ann@db1", at=run.now),))
    assert run.alert.acked_by is None, "what was taken up as a warning is not taken up as critical"
    run.order(acks=(Ack(alert=run.alert.id, level=CRITICAL, by="ann@db1", at=run.now),))
    assert run.see(FINE, 120) == ["end"]


def test_nothing_is_repeated_where_that_is_not_wanted() -> None:
    run = Run(Rules(replace(TIMING, repeat=timedelta(0))))
    assert run.see(WARNING, 24 * 3600, every=60) == ["start"]


def test_what_starts_in_a_silence_is_told_after_it_and_what_ends_in_it_too() -> None:
    run = Run()
    run.silence(600)
    assert run.see(WARNING, 595) == [] and run.alert.running
    assert run.see(WARNING, 10) == ["start"]
    run.silence(600)
    assert run.see(FINE, 595) == [] and run.alert.told is WARNING
    assert run.see(FINE, 10) == ["end"] and not run.state.alerts and not run.state.silences


def test_what_begins_and_ends_in_a_silence_is_remembered_and_never_sent() -> None:
    run = Run()
    run.silence(600, KIND.value)
    assert run.see(CRITICAL, 100) == [] and run.see(FINE, 600) == []
    assert [a.kind for a in run.state.past] == [KIND] and run.state.past[0].ended_at is not None


def test_a_silence_of_another_kind_holds_nothing_back() -> None:
    run = Run()
    run.silence(600, Kind.CANARY.value)
    assert run.see(WARNING, 60) == ["start"]


def test_unknown_keeps_it_and_says_so() -> None:
    run = Run()
    run.see(WARNING, 60)
    assert run.see(FINE, 55) == []
    assert run.see(UNKNOWN, 7200, every=60) == ["repeat", "repeat"] or run.alert.running
    assert "not known since" in run.sent[-1].text
    assert run.see(FINE, 55) == [], "what was fine before counts no more"
    assert run.see(FINE, 10) == ["end"]


def test_a_kind_that_was_not_looked_at_is_not_over() -> None:
    run = Run()
    run.see(WARNING, 60)
    state, messages = step(run.state, {}, RULES, run.now + timedelta(hours=9))
    assert not [m for m in messages if m.event == "end"] and state.alerts[0].running


def test_a_kind_that_is_switched_off_ends_and_starts_no_more() -> None:
    run = Run()
    run.see(WARNING, 60)
    run.rules = Rules(TIMING, {KIND: replace(TIMING, on=False)})
    assert run.see(CRITICAL, 120) == ["end"]
    assert run.see(CRITICAL, 120) == [] and not run.state.alerts


def test_single_kinds_have_times_of_their_own() -> None:
    run = Run(Rules(TIMING, {KIND: replace(TIMING, start_after=timedelta(0))}))
    assert run.see(WARNING, 5) == ["start"]


def test_the_past_is_bounded() -> None:
    run = Run(Rules(replace(TIMING, start_after=timedelta(0), end_after=timedelta(0))))
    for _ in range(PAST_KEPT + 5):
        run.see(WARNING, 5)
        run.see(FINE, 5)
    assert len(run.state.past) == PAST_KEPT


def test_what_is_remembered_comes_back_from_json_as_it_was() -> None:
    run = Run()
    run.see(WARNING, 60)
    run.silence(60)
    run.see(CRITICAL, 10)
    assert AlertState.model_validate_json(run.state.model_dump_json()) == run.state


# Whatever is seen


@dataclass(frozen=True)
class Tick:
    seconds: int
    seen: dict[str, Sign]
    silence: int = 0


levels = st.sampled_from([FINE, WARNING, CRITICAL, UNKNOWN])


@st.composite
def signs(draw: Any) -> Sign:
    level = draw(levels)
    held = level if level is UNKNOWN else max(level, draw(levels.filter(lambda one: one is not UNKNOWN)))
    return sign(level, max(level, held, key=lambda one: one.rank) if level is not UNKNOWN else UNKNOWN)


ticks = st.lists(
    st.builds(
        Tick,
        st.integers(1, 40),
        st.dictionaries(st.sampled_from(["a", "b"]), signs(), max_size=2),
        st.sampled_from([0, 0, 0, 60, 200]),
    ),
    max_size=60,
)


@given(ticks)
@settings(max_examples=300, deadline=None)
def test_whatever_is_seen_starts_and_ends_alternate_and_nothing_flaps(rows: list[Tick]) -> None:
    now, state = NOW, AlertState()
    told: dict[str, list[Message]] = defaultdict(list)
    for row in rows:
        now += row.seconds * SECOND
        if row.silence:
            until = now + row.silence * SECOND
            state = with_orders(
                state, (), (*state.silences, Silence(id="s", kind=EVERYTHING, until=until, at=now))
            )
        quiet = any(s.covers(KIND, now) for s in state.silences)
        state, messages = step(state, {KIND: Look(row.seen)}, RULES, now)
        assert not (quiet and messages), "a silence sends nothing"
        for message in messages:
            told[message.subject].append(message)
    # All is well for long enough, and no silence stands: every start has its end.
    for _ in range(10):
        now += 60 * SECOND
        state, messages = step(state, {KIND: Look({})}, RULES, now)
        for message in messages:
            told[message.subject].append(message)
    assert state.alerts == ()
    for messages_of in told.values():
        pairs = [m.event for m in messages_of if m.event in ("start", "end")]
        assert pairs == ["start", "end"] * (len(pairs) // 2)


@given(ticks)
@settings(max_examples=300, deadline=None)
def test_no_message_without_its_time(rows: list[Tick]) -> None:
    now, state = NOW, AlertState()
    seen: dict[str, list[tuple[datetime, Sign]]] = defaultdict(list)
    for row in rows:
        now += row.seconds * SECOND
        state, messages = step(state, {KIND: Look(row.seen)}, RULES, now)
        for subject in ("a", "b"):
            seen[subject].append((now, row.seen.get(subject, sign(FINE))))
        for message in messages:
            ago = [(now - at, one) for at, one in seen[message.subject]]
            if message.event == "start":
                lately = [one.level for age, one in ago if age <= TIMING.start_after]
                assert FINE not in lately and max(age for age, _ in ago) >= TIMING.start_after
                assert message.level in (WARNING, CRITICAL)
            if message.event == "end":
                lately = [
                    max(one.level, one.held, key=lambda each: each.rank)
                    for age, one in ago
                    if age <= TIMING.end_after
                ]
                assert set(lately) == {FINE}
