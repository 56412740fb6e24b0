"""The work of a backup job: a snapshot into the first store, copied into the others, noted in each ledger."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Any

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.engines.builtin.dump_member import MAX_LAG_SECONDS, choose_member
from mongo_dr_console.engines.builtin.dump_oplog import RENAMED, UPGRADED
from mongo_dr_console.engines.mongo_tools import abilities
from mongo_dr_console.engines.mongo_tools import dump as tool_dump
from mongo_dr_console.model.catalogue import utc, window_json
from mongo_dr_console.model.manifest import Compression, Manifest
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed, Interrupted, Trouble
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import read_manifest
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.open import choose_stores
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.index_keeping import keep_index

_STARTS = 4
NAMED = "snapshot-named"
"""The checkpoint that tells a snapshot's name before there is anything of it."""
_NICE = 5


def run(context: JobContext) -> JobOutcome:
    """Request: ``stores`` (names, or None for all of the profile), ``compression``, ``databases`` (None for
    all), ``namespaces`` (beside them), ``engine`` (None for the profile's), ``rate`` (bytes in a second),
    ``member`` (None for the least loaded one) and ``max_lag`` (seconds that it may be behind). A resumed job
    starts afresh, unless the snapshot had its name already."""
    _give_way()
    request = context.request
    stores = choose_stores(context.profile, request.get("stores"))
    first, *others = stores.values()
    manifest = _finished_before(context, first) or take_snapshot(context, first)
    _note_in_ledger(context, first, manifest)
    missing = _copy(context, manifest, first, others)
    names = [name for name in stores if name not in missing]
    keep_index(context.profile, [stores[name] for name in names])
    return JobOutcome(
        result=_result(manifest, names),
        partial="; ".join(f"the snapshot is not in store {n}: {why}" for n, why in missing.items()) or None,
    )


def _finished_before(context: JobContext, store: Store) -> Manifest | None:
    """The snapshot of an earlier run that was killed after it had been finished."""
    named = [c.facts["name"] for c in context.checkpoints if c.kind == NAMED]
    for name in reversed(named):
        try:
            manifest = read_manifest(store, name)
        except Trouble:
            continue
        context.report(Note(f"snapshot {name} was finished by an earlier run of this job"))
        return manifest
    return None


def take_snapshot(context: JobContext, store: Store) -> Manifest:
    """A snapshot as the job's request says, into one store; its name is journalled before it is begun."""
    with ExitStack() as stack:
        client = stack.enter_context(closing(connect(context.profile.connection_uri())))
        take = _engine(context, client, stack)
        for start in range(1, _STARTS + 1):
            try:
                with begin_snapshot(store) as writer:
                    context.report(Checkpoint(NAMED, {"name": writer.name, "store": store.name}))
                    return take(writer)
            except Failed as failure:
                if failure.code not in (RENAMED, UPGRADED) or start == _STARTS:
                    raise
                context.report(Note(f"{failure.message} The backup starts over.", "warning"))
    raise AssertionError("unreachable")


def _engine(context: JobContext, client: Client, stack: ExitStack) -> Callable[[SnapshotOutput], Manifest]:
    """What takes the snapshot: the engine that was asked for, else the profile's."""
    identity = read_identity(client, context.profile.environment)
    compression: Compression = context.request.get("compression") or "gzip"
    databases = tuple(context.request.get("databases") or ()) or None
    if (context.request.get("engine") or context.profile.engine) == abilities.ENGINE:
        wanted = tool_dump.ToolDumpRequest(
            identity=identity,
            uri=context.profile.connection_uri(),
            tools=context.profile.mongo_tools.path,
            compression=compression,
            databases=databases,
        )
        return lambda writer: tool_dump.dump(client, wanted, writer, context.report, context.stop)
    request = DumpRequest(
        identity=identity,
        compression=compression,
        databases=databases,
        namespaces=tuple(map(Namespace.parse, context.request.get("namespaces") or ())) or None,
        rate=context.request.get("rate"),
        member=_member(context, client, stack),
    )
    return lambda writer: dump(client, request, writer, context.report, context.stop)


def _member(context: JobContext, client: Client, stack: ExitStack) -> Client | None:
    """A client of the member that data is read from; None for the primary, or whoever the URI names."""
    uri, named = context.profile.connection_uri(), context.request.get("member")
    if named is None and client.options.direct_connection:
        return None
    max_lag = context.request.get("max_lag")
    chosen = choose_member(client, uri, named, MAX_LAG_SECONDS if max_lag is None else float(max_lag))
    if chosen is None:
        context.report(Note("data is read from the primary: no secondary is fit for it"))
        return None
    context.report(Note(f"data is read from {chosen}"))
    return stack.enter_context(closing(connect(member_uri(uri, chosen), direct=True)))


def _give_way() -> None:
    """Lets others on this host go first; only in a process that does nothing else."""
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            os.nice(_NICE)


def _copy(context: JobContext, manifest: Manifest, source: Store, targets: list[Store]) -> dict[str, str]:
    """Copies to the other stores; returns why, by name, for those that do not have it."""
    missing = {}
    for target in targets:
        try:
            if not _has(target, manifest):
                copy_snapshot(source, manifest.name, target, context.report, context.stop)
            _note_in_ledger(context, target, manifest)
        except Interrupted:
            raise
        except Trouble as trouble:
            context.report(Note(f"not copied to {target.name}: {trouble}", "error"))
            missing[target.name] = trouble.message
    return missing


def _has(store: Store, manifest: Manifest) -> bool:
    try:
        return read_manifest(store, manifest.name).checksum == manifest.checksum
    except Trouble:
        return False


def _note_in_ledger(context: JobContext, store: Store, manifest: Manifest) -> None:
    document = _result(manifest, [store.name]) | {
        "schema": "mdr.backup-record",
        "job": context.job,
        "identity": manifest.identity.model_dump(mode="json"),
        "engine": manifest.engine,
        "compression": manifest.compression,
        "scope": manifest.scope,
        "checksum": manifest.checksum,
        "started_at": utc(manifest.started_at),
        "finished_at": utc(manifest.finished_at),
    }
    context.report(StepStarted("ledger"))
    try:
        path = ledger.append(store, "backups", document)
    except Trouble as trouble:
        # The snapshot itself is whole; its manifest says all that the ledger would.
        context.report(Note(f"not noted in the ledger of {store.name}: {trouble}", "warning"))
        return
    context.report(StepDone("ledger", detail=path))


def _result(manifest: Manifest, stores: list[str]) -> dict[str, Any]:
    return {
        "schema": "mdr.backup",
        "snapshot": manifest.name,
        "stores": stores,
        "documents": manifest.documents,
        "bytes": manifest.bytes,
        "stored_bytes": manifest.stored_bytes,
        "seconds": round(manifest.seconds, 3),
        "window": window_json(manifest.window),
    }
