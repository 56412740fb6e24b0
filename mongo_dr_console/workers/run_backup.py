"""The work of a backup job: a snapshot into the first store, copied into the others, noted in each ledger."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.engines.builtin.dump_oplog import RENAMED, UPGRADED
from mongo_dr_console.model.catalogue import utc, window_json
from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed, Interrupted, Refused, Trouble
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.catalogue import read_manifest
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.open import choose_stores
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.workers.context import JobContext, JobOutcome

_STARTS = 4
_NAMED = "snapshot-named"


def run(context: JobContext) -> JobOutcome:
    """Request: ``stores`` (names, or None for all of the profile), ``compression``, ``databases`` (None for
    all). A resumed job starts afresh, unless the snapshot had its name already."""
    request = context.request
    stores = choose_stores(context.profile, request.get("stores"))
    local = [store for store in stores.values() if isinstance(store, LocalStore)]
    if not local:
        raise Refused(
            "no-local-store",
            "This version takes snapshots into local stores only, and there is none.",
            "Add one to the profile: [profiles.NAME.stores.local] with type and path",
        )
    first, others = local[0], local[1:]
    manifest = _finished_before(context, first) or _dump(context, first)
    _note_in_ledger(context, first, manifest)
    missing = _copy(context, manifest, first, others)
    if request.get("stores") is None:
        missing |= {
            name: "this version does not copy to stores of its type"
            for name in context.profile.stores
            if name not in stores
        }
    names = [store.name for store in local if store.name not in missing]
    return JobOutcome(
        result=_result(manifest, names),
        partial="; ".join(f"the snapshot is not in store {n}: {why}" for n, why in missing.items()) or None,
    )


def _finished_before(context: JobContext, store: LocalStore) -> Manifest | None:
    """The snapshot of an earlier run that was killed after it had been finished."""
    named = [c.facts["name"] for c in context.checkpoints if c.kind == _NAMED]
    for name in reversed(named):
        try:
            manifest = read_manifest(store, name)
        except Trouble:
            continue
        context.report(Note(f"snapshot {name} was finished by an earlier run of this job"))
        return manifest
    return None


def _dump(context: JobContext, store: LocalStore) -> Manifest:
    databases = context.request.get("databases")
    client = connect(context.profile.connection_uri())
    try:
        request = DumpRequest(
            identity=read_identity(client, context.profile.environment),
            compression=context.request.get("compression") or "gzip",
            databases=tuple(databases) if databases else None,
        )
        for start in range(1, _STARTS + 1):
            try:
                with SnapshotWriter(store) as writer:
                    context.report(Checkpoint(_NAMED, {"name": writer.name, "store": store.name}))
                    return dump(client, request, writer, context.report, context.stop)
            except Failed as failure:
                if failure.code not in (RENAMED, UPGRADED) or start == _STARTS:
                    raise
                context.report(Note(f"{failure.message} The backup starts over.", "warning"))
    finally:
        client.close()
    raise AssertionError("unreachable")


def _copy(
    context: JobContext, manifest: Manifest, source: LocalStore, targets: list[LocalStore]
) -> dict[str, str]:
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


def _has(store: LocalStore, manifest: Manifest) -> bool:
    try:
        return read_manifest(store, manifest.name).checksum == manifest.checksum
    except Trouble:
        return False


def _note_in_ledger(context: JobContext, store: LocalStore, manifest: Manifest) -> None:
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
