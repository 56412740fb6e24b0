"""Which segments a store has, by name. There may be a hundred thousand, a folder for each day."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import FOLDER, SegmentName, Unread, set_folder
from mongo_dr_console.stores.catalogue_index import is_worth_it
from mongo_dr_console.stores.remembered import WHOLE_SECONDS
from mongo_dr_console.stores.store import Store, StoredObject

_NEWEST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Named:
    """A segment as the store lists it."""

    stored: StoredObject
    name: SegmentName

    @property
    def unread(self) -> Unread:
        return Unread(self.stored.path, self.name.start, self.name.end, self.name.term, self.stored.size)


class SegmentNames:
    """A store's segments as they are listed.

    Of a bucket all are listed every ten minutes, and in between the newest days; those before them are over,
    and only a prune takes something of them. A day whose folder is gone is seen at once.

    Args:
        clock: In seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._days: dict[str, list[Named]] = {}
        self._whole: dict[str | None, float] = {}

    def read(self, set_name: str | None = None) -> Sequence[Named]:
        """All, or those of one set, in the order of their paths.

        Raises:
            Unreachable: The store does not answer.
        """
        now = self._clock()
        whole_at = self._whole.get(set_name)
        if is_worth_it(self._store) and whole_at is not None and now - whole_at < WHOLE_SECONDS:
            return [n for day in self._folders(set_name) for n in self._day(*day)]
        found = self._named(f"{FOLDER}/" if set_name is None else set_folder(set_name))
        self._whole[set_name] = now
        if is_worth_it(self._store):
            for named in found:
                self._days.pop(_folder(named), None)
            for named in found:
                self._days.setdefault(_folder(named), []).append(named)
        return found

    def _folders(self, set_name: str | None) -> list[tuple[str, bool]]:
        """A set's days, and whether they may still grow."""
        sets = [f"{FOLDER}/{s}/" for s in self._store.folders(FOLDER)] if set_name is None else []
        found = []
        for folder in sets or [set_folder(str(set_name))]:
            days = self._store.folders(folder)
            found += [(f"{folder}{d}/", n >= len(days) - _NEWEST_DAYS) for n, d in enumerate(days)]
        return found

    def _day(self, folder: str, grows: bool) -> list[Named]:
        if grows or folder not in self._days:
            self._days[folder] = self._named(folder)
        return self._days[folder]

    def _named(self, prefix: str) -> list[Named]:
        """Ends that are one's beginning are in memory once."""
        found: list[Named] = []
        same: dict[Position, Position] = {}
        for stored in self._store.list(prefix):
            name = SegmentName.parse(stored.path)
            if name is not None:
                start, end = same.setdefault(name.start, name.start), same.setdefault(name.end, name.end)
                found.append(Named(stored, SegmentName(name.set_name, start, end, name.term)))
        return found


def _folder(named: Named) -> str:
    return named.stored.path.rpartition("/")[0] + "/"
