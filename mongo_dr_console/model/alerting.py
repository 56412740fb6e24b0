"""When an alert starts, becomes worse, is repeated and ends. Pure: one step from what was remembered and what
is seen now to what is remembered and what is to be sent.

Levels move in time alone: a higher one counts once it was seen for ``start_after`` without a break, a lower
one (fine is the lowest) for ``end_after``. What is sent follows from two levels, the one that is so and the
one that people were told; so a start is always followed by an end, and a silence only puts off what it holds
back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mongo_dr_console.model.alert import (
    Ack,
    Alert,
    AlertState,
    Event,
    Message,
    Rules,
    Silence,
    Timing,
    Toward,
    short_id,
)
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.words import duration

PAST_KEPT = 50


@dataclass(frozen=True, slots=True)
class Sign:
    """What is seen of one subject now.

    Args:
        level: As the limits say; ``unknown`` where it cannot be said.
        held: The level that an alert which runs already would not fall below: by the lower marks.
        value: What was held against the limit: seconds, or a ratio.
    """

    level: Level
    held: Level
    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of one kind now, by subject; a subject that is not there is fine.

    Args:
        unknown: Why nothing can be said of any subject; empty: it can.
    """

    signs: Mapping[str, Sign] = field(default_factory=dict)
    unknown: str = ""

    def of(self, subject: str) -> Sign:
        if self.unknown:
            return Sign(Level.UNKNOWN, Level.UNKNOWN, self.unknown)
        return self.signs.get(subject, _FINE)


_FINE = Sign(Level.FINE, Level.FINE, "")


@dataclass(frozen=True, slots=True)
class Where:
    """Whose alerts these are, for the messages."""

    profile: str = ""
    environment: str = ""
    set_name: str = ""


def step(
    state: AlertState, looks: Mapping[Kind, Look], rules: Rules, now: datetime, where: Where | None = None
) -> tuple[AlertState, tuple[Message, ...]]:
    """One step.

    Args:
        state: What was remembered.
        looks: What is seen now. A kind that is not there was not looked at, and so is not known.
        now: UTC; never before that of the last step.

    Returns:
        What is remembered now, and what is to be sent, in order.
    """
    silences = tuple(s for s in state.silences if now < s.until)
    alerts: list[Alert] = []
    messages: list[Message] = []
    past = list(state.past)
    for alert in _all(state.alerts, looks, rules, now):
        timing = rules.of(alert.kind)
        look = looks.get(alert.kind, Look(unknown="It was not looked at."))
        # What is no longer watched ends.
        sign = look.of(alert.subject) if timing.on else _FINE
        moved = _moved(alert, sign, timing, now)
        if not any(s.covers(moved.kind, now) for s in silences):
            moved, event = _told(moved, timing, now)
            if event is not None:
                messages.append(_message(alert, moved, event, now, where or Where()))
        if moved.running or moved.told is not Level.FINE or moved.rising is not None:
            alerts.append(moved)
        elif moved.started_at is not None:
            past.append(moved)
    kept = tuple(past[-PAST_KEPT:])
    return AlertState(alerts=tuple(alerts), silences=silences, past=kept), tuple(messages)


def _all(
    known: tuple[Alert, ...], looks: Mapping[Kind, Look], rules: Rules, now: datetime
) -> Iterable[Alert]:
    """The alerts that are remembered, and a new one for whatever else is seen."""
    yield from known
    there = {(a.kind, a.subject) for a in known}
    for kind, look in looks.items():
        for subject, sign in look.signs.items():
            bad = sign.level in (Level.WARNING, Level.CRITICAL)
            if bad and (kind, subject) not in there and rules.of(kind).on:
                yield Alert(id=short_id(kind, subject, now), kind=kind, subject=subject, began_at=now)


def _moved(alert: Alert, sign: Sign, timing: Timing, now: datetime) -> Alert:
    """The alert as it is after what is seen."""
    if sign.level is Level.UNKNOWN:
        # Not known is neither worse nor over; that it was seen to be over for a while counts no more.
        return alert.model_copy(update={"unknown_since": alert.unknown_since or now, "falling": None})
    seen = _worse(sign.level, _better(alert.level, sign.held))
    bad = seen is not Level.FINE
    known = alert.model_copy(
        update={
            "unknown_since": None,
            "text": sign.text if bad and sign.text else alert.text,
            "value": sign.value if bad else alert.value,
            "rising": _risen(alert, seen, now),
            "falling": _fallen(alert, seen, now),
        }
    )
    rising, falling = known.rising, known.falling
    if rising is not None and now - rising.since >= timing.start_after:
        started = known.started_at if alert.running or alert.told is not Level.FINE else now
        return known.model_copy(
            update={"level": rising.level, "rising": None, "started_at": started, "ended_at": None}
        )
    if falling is not None and now - falling.since >= timing.end_after:
        ended = now if falling.level is Level.FINE else None
        return known.model_copy(update={"level": falling.level, "falling": None, "ended_at": ended})
    return known


def _risen(alert: Alert, seen: Level, now: datetime) -> Toward | None:
    if seen.rank <= alert.level.rank:
        return None
    if alert.rising is None:
        return Toward(level=seen, since=now)
    return Toward(level=_better(alert.rising.level, seen), since=alert.rising.since)


def _fallen(alert: Alert, seen: Level, now: datetime) -> Toward | None:
    if seen.rank >= alert.level.rank:
        return None
    if alert.falling is None:
        return Toward(level=seen, since=now)
    return Toward(level=_worse(alert.falling.level, seen), since=alert.falling.since)


def _worse(one: Level, other: Level) -> Level:
    return max(one, other, key=lambda level: level.rank)


def _better(one: Level, other: Level) -> Level:
    return min(one, other, key=lambda level: level.rank)


def _told(alert: Alert, timing: Timing, now: datetime) -> tuple[Alert, Event | None]:
    """What people are to be told of it now, and the alert once they are."""
    event = _event(alert, timing, now)
    if event is None:
        # Less bad is no news, but worse again is: what counts is what was so since.
        return alert.model_copy(
            update={"told": alert.level}
        ) if alert.told is not alert.level else alert, None
    changes: dict[str, object] = {"told": alert.level, "told_at": now}
    if event != "repeat":
        changes |= {"acked_by": None, "acked_at": None}
    return alert.model_copy(update=changes), event


def _event(alert: Alert, timing: Timing, now: datetime) -> Event | None:
    if alert.told is Level.FINE:
        return "start" if alert.running else None
    if not alert.running:
        return "end"
    if alert.level.rank > alert.told.rank:
        return "worse"
    due = alert.told_at is not None and now - alert.told_at >= timing.repeat > timedelta(0)
    return "repeat" if due and alert.acked_at is None else None


def _message(before: Alert, alert: Alert, event: Event, now: datetime, where: Where) -> Message:
    return Message(
        id=short_id(alert.id, event, now),
        event=event,
        alert=alert.id,
        kind=alert.kind.value,
        subject=alert.subject,
        level=before.told if event == "end" else alert.level,
        text=_words(alert, event, now),
        value=alert.value,
        profile=where.profile,
        environment=where.environment,
        set_name=where.set_name,
        started_at=alert.began_at,
        at=now,
    )


def _words(alert: Alert, event: Event, now: datetime) -> str:
    lasted = duration(max(0.0, (now - alert.began_at).total_seconds()))
    if event == "end":
        return f"Over after {lasted}. It was: {alert.text}"
    unknown = ""
    if alert.unknown_since is not None:
        since = duration(max(0.0, (now - alert.unknown_since).total_seconds()))
        unknown = f" Whether it is still so is not known since {since}."
    return f"{alert.text}{f' So for {lasted}.' if event == 'repeat' else ''}{unknown}"


def taken_over(mine: AlertState, before: AlertState) -> AlertState:
    """What another leader remembered, with what was seen here since: what people were told counts."""
    theirs = {(a.kind, a.subject): a for a in before.alerts}
    new = [a for a in mine.alerts if (a.kind, a.subject) not in theirs]
    silences = {s.id: s for s in (*before.silences, *mine.silences)}
    return AlertState(
        alerts=(*before.alerts, *new),
        silences=tuple(silences.values()),
        past=(*before.past, *mine.past)[-PAST_KEPT:],
    )


def with_orders(state: AlertState, acks: Iterable[Ack], silences: Iterable[Silence]) -> AlertState:
    """What people ordered since. An acknowledgement counts for what was so bad, and no worse."""
    by_alert = {ack.alert: ack for ack in acks}
    alerts = tuple(_acked(alert, by_alert.get(alert.id)) for alert in state.alerts)
    return state.model_copy(update={"alerts": alerts, "silences": tuple(silences)})


def _acked(alert: Alert, ack: Ack | None) -> Alert:
    if ack is None or not alert.running or ack.level.rank < alert.level.rank:
        return alert
    return alert.model_copy(update={"acked_by": ack.by, "acked_at": ack.at})
