"""The upper rungs of verification: a restore on paper (4), and a real one into a scratch mongod (5)."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.on_paper import Outcome, outcome_of
from mongo_dr_console.engines.builtin.restore import BuiltinRestore, RestoreRequest
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.namespace import Namespace, is_of_logins, is_restorable
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Progress
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Interrupted, Trouble
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import list_collections
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.stores.snapshot_reader import SnapshotReader
from mongo_dr_console.stores.verification import Deeper
from mongo_dr_console.workers.context import JobContext
from mongo_dr_console.workers.plan_sources import Deployments
from mongo_dr_console.workers.planning import make_plan

SCRATCH = "scratch"
_SUM = 1 << 256


def deeper(context: JobContext) -> Deeper:
    """The checks of both rungs, for a job."""
    return {4: on_paper, 5: lambda reader: restored(context, reader)}


# Rung 4


def on_paper(reader: SnapshotReader) -> list[str]:
    """What of options, indexes, views and the snapshot's own oplog cannot be read or followed."""
    problems = [
        text for c in reader.collections for text in _unreadable(str(c.namespace), c.indexes, c.options)
    ]
    if problems:
        return problems
    try:
        outcome = outcome_of(StoredSnapshot(reader), _end(reader))
    except Trouble as trouble:
        return [trouble.message]
    if not outcome.collections and not outcome.views:
        return ["there is nothing in it that a restore would make"]
    return []


def _unreadable(name: str, indexes: Iterable[bytes], options: bytes) -> Iterator[str]:
    try:
        bson.decode(options)
        for raw in indexes:
            index = bson.decode(raw)
            if not isinstance(index.get("name"), str) or not isinstance(index.get("key"), dict):
                yield f"{name}: an index has no name or no key: {index}"
    except BSONError as error:
        yield f"{name}: its options or indexes cannot be read: {error}"


def _end(reader: SnapshotReader) -> Position:
    return reader.window.end if reader.window is not None else Position(0, 0)


# Rung 5


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No oplog after the snapshot's own."""

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        return iter(())


def restored(context: JobContext, reader: SnapshotReader) -> list[str]:
    """Restores the snapshot into a mongod of its own, and compares; returns what differs.

    Raises:
        WrongUse: There is no mongod to be started here.
        Failed: It does not start.
    """
    folder = context.folder / SCRATCH
    shutil.rmtree(folder, ignore_errors=True)
    options = Options(nodes=1, auth=False, set_name=SCRATCH, parameters={"ttlMonitorEnabled": "false"})
    scratch = ReplicaSet.launch(folder, options)
    try:
        with closing(scratch.client()) as client:
            return _restored_into(client, scratch.uri, context, reader)
    finally:
        scratch.close()
        shutil.rmtree(folder, ignore_errors=True)


def _restored_into(client: Client, uri: str, context: JobContext, reader: SnapshotReader) -> list[str]:
    profile = context.profile.model_copy(
        update={"uri": uri, "uri_file": None, "uri_env": None, "environment": SCRATCH}
    )
    target = read_identity(client, SCRATCH)
    source: Identity | None = reader.manifest.identity if reader.manifest is not None else None
    deployments = Deployments(None, source, None, client, target, SCRATCH, profile, context.profile)
    intent = Intent(
        snapshot=reader.name, store=reader.store.name, to_profile=SCRATCH, engine="builtin", users=False
    )
    snapshot = StoredSnapshot(reader)

    def report(event: Progress) -> None:
        # A resumed verification restores from the start: nothing of this one is left.
        if not isinstance(event, Checkpoint):
            context.report(event)

    try:
        plan = make_plan(SCRATCH, context.profile, intent, deployments, counts=False)
        request = RestoreRequest(context.job, plan, snapshot, _Nothing(), None)
        facts = BuiltinRestore(client, request, report, context.stop.check).restore()
        expected = outcome_of(snapshot, _end(reader))
    except Trouble as trouble:
        if isinstance(trouble, Interrupted):
            raise
        return [f"the restore failed: {trouble.message}"]
    problems = [f"{r['documents']} documents of {r['namespace']} were refused" for r in facts["rejected"]]
    problems += [f"index {u['index']} of {u['namespace']}: {u['why']}" for u in facts["unbuilt_indexes"]]
    return problems + list(differences(client, reader, expected))


def differences(client: Client, reader: SnapshotReader, expected: Outcome) -> Iterator[str]:
    """Between what was restored and what the snapshot says: collections, views, options, indexes, and every
    document that its oplog does not write."""
    wanted = {n: s for n, s in expected.collections.items() if is_restorable(n) and not is_of_logins(n)}
    for database in sorted({n.database for n in (*wanted, *expected.views)}):
        listed = {c.name: c for c in list_collections(client, database)}
        for namespace, staged in wanted.items():
            if namespace.database != database:
                continue
            found = listed.get(namespace.collection)
            if found is None:
                yield f"{namespace} is not there"
                continue
            if not staged.series:
                yield from _indexes(namespace, staged, found.indexes)
                yield from _documents(client, reader, namespace, expected)
        for view in expected.views:
            if view.database == database and view.collection not in listed:
                yield f"the view {view} is not there"


def _indexes(namespace: Namespace, staged: Staged, found: Iterable[bytes]) -> Iterator[str]:
    there = {index["name"]: index for index in map(bson.decode, found)}
    for name, raw in staged.indexes.items():
        if name not in there:
            yield f"{namespace} lacks the index {name}"
        elif list(there[name]["key"].items()) != list(bson.decode(raw.raw)["key"].items()):
            yield f"{namespace} has another index {name}"


def _documents(
    client: Client, reader: SnapshotReader, namespace: Namespace, expected: Outcome
) -> Iterator[str]:
    """Compares byte for byte, in whatever order: the sum of the documents' SHA-256."""
    stored = reader.collection(namespace)
    if stored is None or not expected.compares(namespace):
        return
    written = expected.written.get(namespace, set())
    before = _sum((raw for chunk in reader.documents(stored) for raw in rawbson.split(chunk)), written)
    batches: Iterable[Any] = client[namespace.database][namespace.collection].find_raw_batches({})
    after = _sum((raw for batch in batches for raw in rawbson.split(batch)), written)
    if before != after:
        yield (
            f"{namespace}: {after[0]} documents were restored that its oplog does not write, where there are "
            f"{before[0]}"
            if before[0] != after[0]
            else f"{namespace}: documents are not byte for byte what the snapshot has"
        )


def _sum(documents: Iterable[bytes], without: set[bytes]) -> tuple[int, int]:
    count = total = 0
    for raw in documents:
        if without and _key(raw) in without:
            continue
        count += 1
        total = (total + int.from_bytes(hashlib.sha256(raw).digest(), "big")) % _SUM
    return count, total


def _key(raw: bytes) -> bytes:
    return bson.encode({"_id": RawBSONDocument(raw, rawbson.RAW).get("_id")})
