"""What a dump says of each collection, the one line of its metadata file and its row in the manifest; and the
small files beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from mongo_dr_console import __version__
from mongo_dr_console.engines.builtin.dump_scan import Scan
from mongo_dr_console.model import extjson
from mongo_dr_console.model.filenames import METADATA_SUFFIX, escape
from mongo_dr_console.model.manifest import CollectionEntry, Compression
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.collections import EMPTY, ListedCollection
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.snapshot_files import TOOL

ZSTD_NOTE = """These files are packed with zstd, which mongorestore cannot read. Unpack them first:

    zstd -d -r --rm .
"""


def metadata_text(entry: ListedCollection) -> str:
    """The one line of a metadata file, fields in mongodump's order.

    Raises:
        Failed: Options or indexes that Extended JSON cannot carry unchanged.
    """
    try:
        parts = [] if entry.options == EMPTY else [f'"options":{extjson.dumps(entry.options)}']
        parts.append(f'"indexes":[{",".join(extjson.dumps(raw) for raw in entry.indexes)}]')
    except extjson.NotCanonical as error:
        raise Failed(
            "metadata-unwritable",
            f"The options or indexes of {entry.database}.{entry.name} cannot be written without changing "
            f"them: {error}. No snapshot was made.",
            "Change them, or leave its database out: --db",
        ) from None
    if entry.uuid is not None:
        parts.append(f'"uuid":"{entry.uuid}"')
    parts.append(f'"collectionName":{extjson.quote(entry.name)}')
    parts.append(f'"type":"{entry.kind}"')
    return "{" + ",".join(parts) + "}"


def prelude(server_version: str) -> str:
    """What ``prelude.json`` holds."""
    facts = {"ServerVersion": server_version, "ToolVersion": f"{TOOL} {__version__}"}
    return json.dumps(facts, separators=(",", ":"))


def described(
    chosen: Iterable[ListedCollection], scans: Iterable[Scan], compression: Compression
) -> list[CollectionEntry]:
    """The rows of the manifest, sorted by name."""
    found = {scan.namespace: scan for scan in scans}
    rows = [
        _collection_entry(e, found.get(Namespace(e.database, e.name)), SUFFIXES[compression]) for e in chosen
    ]
    return sorted(rows, key=lambda r: (r.database, r.name))


def _collection_entry(entry: ListedCollection, scan: Scan | None, suffix: str) -> CollectionEntry:
    return CollectionEntry(
        database=entry.database,
        name=entry.name,
        kind=entry.kind,
        uuid=entry.uuid,
        documents=scan.tally.documents if scan else 0,
        bytes=scan.tally.bytes if scan else 0,
        options=extjson.to_jsonable(entry.options),
        indexes=[extjson.to_jsonable(raw) for raw in entry.indexes],
        data_path=scan.path if scan else None,
        metadata_path=f"{entry.database}/{escape(entry.name)}{METADATA_SUFFIX}{suffix}",
    )
