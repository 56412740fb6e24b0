"""A profile's schedule, and what became of its runs, for the agent, the command and the console."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from mongo_dr_console.config import Profile
from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.runs import Run
from mongo_dr_console.model.schedule import KINDS, Entry, Kind, Window
from mongo_dr_console.model.scheduleview import LEADING_SECONDS, Held, ScheduleDocument, kinds_of
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores.agents_store import Shared
from mongo_dr_console.stores.lease import last_lease
from mongo_dr_console.stores.runs import Runs
from mongo_dr_console.workers.agentplace import place_of
from mongo_dr_console.workers.streamstate import read_state


def entries_of(name: str, profile: Profile) -> list[Entry]:
    """What the profile asks for, by kind."""
    wanted = profile.schedule
    window = None if wanted.window is None else Window.parse(wanted.window)
    return [
        Entry(name, kind, expression, wanted.timezone, wanted.jitter, window)
        for kind in KINDS
        if (expression := getattr(wanted, kind)) is not None
    ]


def read_schedule(name: str, profile: Profile, now: datetime) -> ScheduleDocument:
    """Also while no agent runs: from the agents' store alone.

    Raises:
        Trouble: The store does not answer, or it cannot be told which deployment this is.
    """
    place, entries = place_of(name, profile), entries_of(name, profile)
    newest: dict[Kind, Run | None] = {}
    held: dict[Kind, Held] = {}
    leader, seen_at, leads = None, None, False
    try:
        leader, seen_at, leads = _leader(name, profile, place, now)
        runs = Runs(place.store, place.folder)
        for entry in entries:
            newest[entry.kind] = next(iter(runs.of_kind(entry.kind)), None)
            if (waits := runs.held(entry.kind)) is not None:
                held[entry.kind] = waits
    except Trouble as trouble:
        # The first backup, or the first agent, makes the store's folder.
        if trouble.code != "store-missing" or (profile.stores and newest):
            raise
    return ScheduleDocument(
        profile=name,
        timezone=profile.schedule.timezone,
        window=profile.schedule.window,
        jitter_seconds=profile.schedule.jitter.total_seconds(),
        leader=leader,
        leading=leads,
        agent_seen_at=seen_at,
        kinds=kinds_of(entries, newest, held, now),
    )


def _leader(
    name: str, profile: Profile, place: Shared, now: datetime
) -> tuple[Leader | None, datetime | None, bool]:
    """Who leads or did last, when that was last heard of, and whether it still does."""
    lease = last_lease(place.store, place.folder)
    if lease is not None:
        document, seen_at = lease
        return document.leader(), seen_at, not document.ended and _is_recent(seen_at, now)
    with suppress(Failed):
        facts = read_state(name, profile)
        if facts is not None and facts.role == "alone":
            return facts.leader, facts.written_at, facts.running and _is_recent(facts.written_at, now)
    return None, None, False


def _is_recent(seen_at: datetime, now: datetime) -> bool:
    return (now - seen_at).total_seconds() < LEADING_SECONDS
