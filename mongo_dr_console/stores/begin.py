"""Beginning a snapshot in a store of whatever type."""

from __future__ import annotations

from collections.abc import Iterable

from mongo_dr_console.model.manifest import FileEntry
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.store import Store


def begin_snapshot(store: Store, name: str | None = None, wanted: Iterable[FileEntry] = ()) -> SnapshotOutput:
    """A writer to be used in a ``with`` block; what dead writers left in the store is removed first.

    Args:
        name: None for one of this second.
        wanted: What the files will be, where that is known: what a dead writer of this name had finished of
            them is kept.

    Raises:
        Failed: ``snapshot-exists``.
        Refused: A store that cannot be written to.
    """
    if isinstance(store, LocalStore):
        return SnapshotWriter(store, name, wanted)
    from mongo_dr_console.stores.s3 import S3Store
    from mongo_dr_console.stores.s3_snapshot import S3SnapshotWriter

    if isinstance(store, S3Store):
        return S3SnapshotWriter(store, name, wanted)
    raise Refused("store-unsupported", f"Nothing is written to {store.describe()} by this version.")
