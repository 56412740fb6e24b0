"""Alerts in words, for the command and the console alike. Pure."""

from __future__ import annotations

from datetime import datetime

from mongo_dr_console.model.alert import EVERYTHING, Alert, Silence
from mongo_dr_console.model.alertfacts import AlertFacts, WayFacts
from mongo_dr_console.model.words import duration, moment


def since(then: datetime | None, now: datetime) -> str:
    """How long ago, in whole seconds."""
    return "?" if then is None else duration(max(0.0, round((now - then).total_seconds())))


def agent_text(facts: AlertFacts | None, now: datetime) -> str:
    """Who watches, or since when nobody does."""
    if facts is None:
        return "No agent has watched for alerts yet: mdr agent"
    seen = since(facts.written_at, now)
    if facts.stale(now):
        gone = f"the agent on {facts.host} was last seen {seen} ago"
        return f"Nobody watches now: {gone}. What stands here is old."
    return f"The agent on {facts.host} watches; last seen {seen} ago."


def state_word(alert: Alert, facts: AlertFacts, now: datetime) -> str:
    """What is done about an alert that runs."""
    silence = facts.silenced(alert.kind, now)
    words = []
    if alert.acked_by is not None:
        words.append(f"taken up by {alert.acked_by}")
    if silence is not None:
        words.append("silenced")
    if alert.unknown_since is not None:
        words.append(f"not known since {since(alert.unknown_since, now)}")
    return ", ".join(words)


def alert_cells(alert: Alert, facts: AlertFacts, now: datetime) -> tuple[str, ...]:
    """Id, level, what, since when, what is done about it, in words."""
    lasts = since(alert.started_at or alert.began_at, now)
    return (alert.id, alert.level.word, alert.name, lasts, state_word(alert, facts, now), alert.text)


def past_text(alert: Alert, now: datetime) -> str:
    """An alert that ended."""
    return f"{alert.name}, until {since(alert.ended_at, now)} ago: {alert.text}"


def silence_text(silence: Silence, now: datetime) -> str:
    what = "everything" if silence.kind == EVERYTHING else silence.kind
    left = duration(max(0.0, round((silence.until - now).total_seconds())))
    reason = f": {silence.reason}" if silence.reason else ""
    return f"{silence.id}  {what} for {left} more, until {moment(silence.until)}, by {silence.by}{reason}"


def way_text(way: WayFacts, waiting: int, now: datetime) -> str:
    """Whether messages arrive."""
    counted = f"{way.sent} sent" + (f", {waiting} waiting" if waiting else "")
    lost = f", {way.lost} given up" if way.lost else ""
    if way.trouble is None:
        last = "" if way.sent_at is None else f", the last {since(way.sent_at, now)} ago"
        return f"{way.name}: {counted}{last}{lost}"
    return f"{way.name}: fails since {since(way.trouble_since, now)}; {counted}{lost}: {way.trouble.message}"
