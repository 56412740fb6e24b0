"""The oplog of a profile from every source: the live one, and what the stream left in its stores."""

from __future__ import annotations

from mongo_dr_console.config import Profile
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import identity_of
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_answering
from mongo_dr_console.stream.coverage import gather
from mongo_dr_console.stream.history import History, history_of
from mongo_dr_console.stream.sinks import keeps_of
from mongo_dr_console.workers.index_keeping import known_of


def kept_oplog(
    profile: Profile, client: Client | None, identity: Identity | None = None, branch: str | None = None
) -> History:
    """Stores that do not answer are left out: what they alone have is a gap then.

    Args:
        client: Of the deployment; None where it does not answer.
        identity: Of the deployment, where it is known.
        branch: Name of another history, as ``mdr coverage`` shows it.

    Raises:
        WrongUse: There is no such branch.
    """
    return kept_and_unread(profile, client, identity, branch)[0]


def kept_and_unread(
    profile: Profile, client: Client | None, identity: Identity | None = None, branch: str | None = None
) -> tuple[History, dict[str, Trouble]]:
    """The same, and by name why a store was left out."""
    snapshots: list[SnapshotEntry] = []
    stores = []
    answering, unread = open_answering(profile)
    for name, store in answering.items():
        try:
            snapshots += list_snapshots(store, known_of(profile, store))
        except Trouble as trouble:
            unread[name] = trouble
            continue
        stores.append(store)
    keeps = keeps_of(profile, stores)
    gathered = gather(snapshots, client, profile.environment, keeps.values())
    whose = identity or identity_of([s for s in snapshots if s.restorable], gathered.live, gathered.stretches)
    return history_of(gathered, keeps, client, whose, branch), unread
