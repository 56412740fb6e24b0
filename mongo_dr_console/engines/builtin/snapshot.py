"""A stored snapshot as a restore reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace, is_of_logins, is_restorable
from mongo_dr_console.model.timeline import SnapshotCollection
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection

StagedCollections = list[tuple[SnapshotCollection, Callable[[], Iterator[bytes]], int | None]]


@dataclass(slots=True)
class StoredSnapshot:
    """Reads the collections' descriptions once; data and oplog each time they are asked for."""

    reader: SnapshotReader
    _collections: StagedCollections | None = field(default=None)

    def staged_collections(self) -> StagedCollections:
        """The collections and time series, sorted by name, and those where users and roles lie."""
        if self._collections is None:
            self._collections = [self._staged(c) for c in self._wanted("collection", "timeseries")]
        return self._collections

    def views(self) -> dict[Namespace, RawBSONDocument]:
        """The views' definitions, as ``system.views`` holds them."""
        found = {}
        for stored in self._wanted("view"):
            fields = {"_id": str(stored.namespace), **stored.option_values}
            found[stored.namespace] = RawBSONDocument(bson.encode(fields), rawbson.RAW)
        return found

    def has_logins(self) -> bool:
        """Whether it holds users or roles."""
        return any(is_of_logins(c.namespace) for c in self.reader.collections)

    def oplog(self) -> Iterator[bytes]:
        return self.reader.oplog()

    def fall_over(self, namespace: Namespace) -> bool:
        """The data of a collection turned out to be damaged: whether another copy is read from now on."""
        stored = self.reader.collection(namespace)
        return stored is not None and stored.data_path is not None and self.reader.fall_over(stored.data_path)

    def sizes(self) -> dict[Namespace, tuple[int | None, int | None]]:
        """Documents and bytes (uncompressed BSON), None where only a manifest would know."""
        return {c.namespace: (c.documents, c.bytes) for c in self._wanted("collection", "timeseries")}

    def _wanted(self, *kinds: str) -> list[StoredCollection]:
        return [
            c
            for c in self.reader.collections
            if c.kind in kinds and (is_restorable(c.namespace) or is_of_logins(c.namespace))
        ]

    def _staged(
        self, stored: StoredCollection
    ) -> tuple[SnapshotCollection, Callable[[], Iterator[bytes]], int | None]:
        collection = SnapshotCollection(
            namespace=stored.namespace,
            options=stored.option_values,
            indexes=tuple(stored.index_values),
            uuid=stored.uuid,
            series=stored.kind == "timeseries",
        )
        return collection, lambda: self.reader.documents(stored), stored.documents
