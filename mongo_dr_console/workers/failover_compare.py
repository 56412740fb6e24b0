"""What a former primary had that the new one has not: the lost-write report of a failover.

Writes that no majority had taken are rolled back by the server when the former primary returns. Where they
are still to be had is said here: in its own oplog while it answers, in the stream where it had got that far.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.coverage import Cause
from mongo_dr_console.model.failover import Leader
from mongo_dr_console.model.failoverdoc import KeptBeyond, LostWrites
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.model.words import duration
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.mongo.probing import APPNAME
from mongo_dr_console.stores.open import open_answering
from mongo_dr_console.stream.coverage import read_coverage
from mongo_dr_console.stream.sinks import keeps_of

_MOST_ENTRIES = 100_000
_LOOK_MS = 5000
_TOPIC_SECONDS = 3.0


def compare(profile: Profile, former: Leader | None, last_seen: str, leader: Leader) -> LostWrites:
    """Asks the new primary, the former one, and the stream. What does not answer is named, never waited for.

    Args:
        last_seen: The former primary's newest entry that a probe saw; empty: none.
    """
    uri = profile.connection_uri()
    beyond: list[KeptBeyond] = []
    unread: list[str] = []
    kept: Position | None = None
    with closing(_client(uri, leader.member)) as client:
        try:
            kept = _kept_through(client, leader.term)
        except Trouble as trouble:
            unread.append(f"{leader.member}: {trouble.message}")
        if former is not None and former.member != leader.member and kept is not None:
            _ask_former(uri, former, kept, beyond, unread)
        _ask_stream(profile, client, beyond, unread)
    seen = Position.parse(last_seen) if last_seen else None
    return report(former, kept, seen, beyond, unread)


def report(
    former: Leader | None,
    kept: Position | None,
    seen: Position | None,
    beyond: list[KeptBeyond],
    unread: list[str],
) -> LostWrites:
    """What the answers come to, in words."""
    seconds = None if kept is None or seen is None else float(max(0, seen.t - kept.t))
    return LostWrites(
        text=_text(former, kept, seen, beyond, unread),
        complete=not unread,
        kept_through=None if kept is None else str(kept),
        last_seen=None if seen is None else str(seen),
        seconds=seconds,
        beyond=beyond,
        unread=unread,
    )


def _text(
    former: Leader | None,
    kept: Position | None,
    seen: Position | None,
    beyond: list[KeptBeyond],
    unread: list[str],
) -> str:
    if beyond:
        known = [b.entries for b in beyond if b.entries is not None]
        many = f"{max(known)} operations" if known else "Operations"
        where = ", ".join(b.source for b in beyond)
        return (
            f"{many} are not on the new primary, and still in {where}. The server rolls them back when the "
            "former primary returns: save its data folder first where they matter; a branch of the stream is "
            "restored by name (mdr coverage)."
        )
    if kept is None or former is None:
        return "Whether writes were lost is not known."
    if seen is not None and seen > kept:
        return (
            f"The former primary had entries up to {seen}, and the new one goes on after {kept}: writes of "
            f"at least {duration(max(0.0, float(seen.t - kept.t)))} that no majority had taken are rolled "
            f"back when {former.member} returns. Nothing that was acknowledged by a majority is among them."
        )
    rest = " What could not be asked may know of more." if unread else ""
    return f"Nothing that a probe saw is lost: the new primary goes on after {kept}.{rest}"


def _client(uri: str, member: str, seconds: float = 2) -> Client:
    return connect(member_uri(uri, member), direct=True, seconds=seconds, answer_seconds=8, appname=APPNAME)


def _kept_through(client: Client, term: int) -> Position | None:
    """The newest entry of an older term; what is newer was written by the new primary."""
    try:
        found = client.local["oplog.rs"].find_one(
            {"t": {"$lt": term}}, {"ts": 1}, sort=[("$natural", -1)], max_time_ms=_LOOK_MS
        )
    except PyMongoError as error:
        raise told(error) from None
    return None if found is None else Position.of(found["ts"])


def _ask_former(
    uri: str, former: Leader, kept: Position, beyond: list[KeptBeyond], unread: list[str]
) -> None:
    try:
        with closing(_client(uri, former.member, seconds=1)) as client:
            entries = _entries_after(client, former, kept)
    except (Trouble, PyMongoError) as error:
        trouble = told(error) if isinstance(error, PyMongoError) else error
        unread.append(f"{former.member}: {trouble.message}")
        return
    if entries:
        names = Counter(str(e["ns"]) for e in entries if e["ns"])
        beyond.append(
            KeptBeyond(
                source=f"member:{former.member}",
                after=str(kept),
                through=str(Position.of(entries[-1]["ts"])),
                entries=len(entries),
                namespaces=dict(names.most_common(20)),
            )
        )


def _entries_after(client: Client, former: Leader, kept: Position) -> list[dict[str, Any]]:
    """Its own entries after the last one in common; not those that it has copied from the new primary."""
    query = {"ts": {"$gt": kept.timestamp}, "t": {"$lte": former.term}, "op": {"$ne": "n"}}
    found = client.local["oplog.rs"].find(query, {"ts": 1, "ns": 1}).max_time_ms(_LOOK_MS)
    return list(found.limit(_MOST_ENTRIES))


def _ask_stream(profile: Profile, client: Client, beyond: list[KeptBeyond], unread: list[str]) -> None:
    if profile.oplog.kafka is None and profile.oplog.segments is None:
        return
    stores, troubles = open_answering(profile)
    unread += [f"store {name}: {trouble.message}" for name, trouble in troubles.items()]
    try:
        known = read_coverage(
            [],
            client,
            profile.environment,
            keeps=keeps_of(profile, stores.values(), within=_TOPIC_SECONDS).values(),
        )
    except (Trouble, PyMongoError) as error:
        trouble = told(error) if isinstance(error, PyMongoError) else error
        unread.append(f"the stream: {trouble.message}")
        return
    unread += [f"{u.source}: {u.error.message}" for u in known.unread]
    for branch in known.branches:
        if branch.cause is Cause.DIVERGED and branch.name:
            beyond += [
                KeptBeyond(source=source, after=str(branch.start), through=str(branch.end), entries=None)
                for source in branch.sources
            ]
