"""Beginning a snapshot in a store of whatever type."""

from __future__ import annotations

from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.store import Store


def begin_snapshot(store: Store, name: str | None = None) -> SnapshotOutput:
    """A writer to be used in a ``with`` block; what dead writers left in the store is removed first.

    Args:
        name: None for one of this second.

    Raises:
        Failed: ``snapshot-exists``.
        Refused: A store that cannot be written to.
    """
    if isinstance(store, LocalStore):
        return SnapshotWriter(store, name)
    from mongo_dr_console.stores.s3 import S3Store
    from mongo_dr_console.stores.s3_snapshot import S3SnapshotWriter

    if isinstance(store, S3Store):
        return S3SnapshotWriter(store, name)
    raise Refused("store-unsupported", f"Nothing is written to {store.describe()} by this version.")
