"""The safety snapshot of in-place mode: what is about to be dropped, in a store, before it is dropped."""

from __future__ import annotations

from collections.abc import Sequence

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.open import choose_stores
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.workers.context import JobContext


def safety_snapshot(context: JobContext, namespaces: Sequence[str]) -> str:
    """Dumps these namespaces into the first local store; returns the snapshot's name.

    Raises:
        Refused: There is no local store to put it in.
        Failed, Unreachable: It could not be taken; nothing was dropped.
    """
    stores = choose_stores(context.profile, None)
    local = next((store for store in stores.values() if isinstance(store, LocalStore)), None)
    if local is None:
        raise Refused(
            "no-local-store",
            "In-place mode takes a safety snapshot first, and the profile has no local store for it. "
            "Nothing was changed.",
            "Add one to the profile, or restore with --mode swap.",
        )
    client = connect(context.profile.connection_uri())
    try:
        request = DumpRequest(
            identity=read_identity(client, context.profile.environment),
            namespaces=tuple(Namespace.parse(n) for n in namespaces),
        )
        with SnapshotWriter(local) as writer:
            return dump(client, request, writer, context.report, context.stop).name
    finally:
        client.close()
