"""Coverage for commands and jobs: the stores' snapshots and the live oplog, asked in turn.

Pollers read the same facts without blocking (``mongo.oplogstats.read_live``); what they mean is decided in
one place, ``model.coverage``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage, LiveOplog
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo import oplog
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.identity import read_identity


def read_coverage(
    snapshots: Sequence[SnapshotEntry],
    client: Client | None,
    environment: str,
    *,
    now: datetime | None = None,
) -> Coverage:
    """What can be restored to. The deployment may be gone: then the snapshots alone count.

    Args:
        snapshots: From every store that can be read.
        client: Of the source deployment; None where it is known to be gone.
        environment: Of the profile, for the identity.
    """
    live, error = None, None
    if client is not None:
        try:
            live = live_oplog(client, covering.wanted_hashes(snapshots), environment)
        except Trouble as trouble:
            error = SourceError(trouble.code, trouble.message, trouble.hint)
    return covering.build(snapshots, live, now=now or datetime.now(UTC), live_error=error)


def live_oplog(client: Client, positions: Iterable[Position], environment: str) -> LiveOplog:
    """Both ends of the live oplog, and the hashes of the entries at these positions.

    Raises:
        Failed: There is no oplog.
        Refused, Unreachable: As the driver says.
    """
    oldest, newest = oplog.ends(client)
    committed, _ = oplog.majority_position(client)
    found = {
        position: None if (entry := oplog.entry_at(client, position)) is None else rawbson.entry_hash(entry)
        for position in positions
        if oldest <= position <= newest
    }
    return LiveOplog(oldest, min(newest, committed), newest, found, read_identity(client, environment))
