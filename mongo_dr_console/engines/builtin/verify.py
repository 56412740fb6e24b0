"""Comparing a restored collection with what snapshot and oplog say about it."""

from __future__ import annotations

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin import indexes
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.mongo.client import Client

_NOT_COMPARED = frozenset({"uuid", "recordIdsReplicated", "temp", "autoIndexId"})


def problems_of(
    client: Client,
    staged: Staged,
    expected: int | None,
    *,
    lenient: bool,
    without: frozenset[str] = frozenset(),
) -> tuple[list[str], str | None]:
    """What is not as it should be, and a conflict in words where a skipped event explains a difference.

    Args:
        client: To the deployment.
        staged: The restored collection, before its TTL indexes.
        expected: Documents there must be; None where that is not known exactly.
        lenient: Whether operations of a skipped event touched it.
        without: Indexes that the server refused, which was told already.
    """
    problems, conflict = [], None
    found = client[staged.database][staged.name].count_documents({})
    if expected is not None and found != expected:
        text = f"{found} documents instead of {expected}"
        if lenient:
            conflict = f"{text}: later inserts or deletes met documents that the skipped event had removed"
        else:
            problems.append(text)
    if staged.series:
        # Ordinary documents so far: indexes and options come with the series itself.
        return problems, conflict
    wanted = {
        name: spec
        for name, spec in staged.indexes.items()
        if not indexes.is_ttl(spec) and name not in without
    }
    problems += indexes.differences(client, staged, wanted)
    if comparable_options(options_of(client, staged)) != comparable_options(staged.options):
        problems.append("its options differ")
    return problems, conflict


def options_of(client: Client, staged: Staged) -> RawBSONDocument:
    """The options of a collection as the server lists them, raw."""
    listing = {"listCollections": 1, "filter": {"name": staged.name}}
    reply = client[staged.database].command(listing, codec_options=rawbson.RAW)
    for info in reply["cursor"]["firstBatch"]:
        return RawBSONDocument(info["options"].raw, rawbson.RAW)
    return RawBSONDocument(bson.encode({}), rawbson.RAW)


def comparable_options(options: RawBSONDocument) -> bytes:
    fields = {k: indexes.plain(v) for k, v in sorted(options.items()) if k not in _NOT_COMPARED}
    return bson.encode(fields)
