"""The safety snapshot of in-place mode: what is about to be dropped, in a store, before it is dropped."""

from __future__ import annotations

from collections.abc import Sequence

from mongo_dr_console.config import Profile
from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.open import choose_stores
from mongo_dr_console.workers.context import JobContext


def safety_snapshot(context: JobContext, target: Profile, namespaces: Sequence[str]) -> str:
    """Dumps these namespaces of the deployment that is written to into the nearest store of the job's
    profile; returns the snapshot's name.

    Raises:
        WrongUse: There is no store to put it in.
        Failed, Unreachable: It could not be taken; nothing was dropped.
    """
    store = next(iter(choose_stores(context.profile, None).values()))
    client = connect(target.connection_uri())
    try:
        request = DumpRequest(
            identity=read_identity(client, target.environment),
            namespaces=tuple(Namespace.parse(n) for n in namespaces),
        )
        with begin_snapshot(store) as writer:
            return dump(client, request, writer, context.report, context.stop).name
    finally:
        client.close()
