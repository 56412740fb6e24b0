"""Taking a snapshot, reading one back, copying one: what is asked before the job starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from textual import on
from textual.widget import Widget

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.words import duration, size
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowItem, RowList
from mongo_dr_console.workers.desk import Compression, StoreChoice

K = TypeVar("K", bound=str)

COMPRESSIONS: dict[Compression, str] = {
    "gzip": "as mongodump writes it; every mongorestore reads it",
    "zstd": "smaller and faster; mongorestore cannot read it as it is",
    "none": "fastest to read back, and several times as large",
}
LEVELS: dict[str, str] = {
    "1": "files: all are there, each as long as it should be",
    "2": "checksums: every byte is as it was written",
    "3": "contents: every document can be read, none is missing",
}


@dataclass(frozen=True, slots=True)
class BackupWanted:
    """What was chosen. ``stores`` is empty where all of the profile's are meant."""

    stores: tuple[str, ...]
    compression: Compression


class Pick(RowList, Generic[K]):
    """One of a few: enter or space chooses."""

    DEFAULT_CSS = "Pick { height: auto; }"

    def __init__(self, texts: dict[K, str], chosen: K, **widget: str) -> None:
        super().__init__(**widget)
        self._texts = texts
        self.chosen: K = chosen
        self._mark()
        self.go_to(chosen)

    def choose(self, key: K) -> None:
        self.chosen = key
        self._mark()

    def _mark(self) -> None:
        widest = max(map(len, self._texts))
        self.set_items(
            [
                RowItem(
                    key, line(f"({'●' if key == self.chosen else ' '}) {key.ljust(widest)}  ", (text, "dim"))
                )
                for key, text in self._texts.items()
            ]
        )


class _Ticks(RowList):
    """Stores with ticks; one that cannot be used says why."""

    DEFAULT_CSS = "_Ticks { height: auto; max-height: 8; }"

    def __init__(self, stores: Sequence[StoreChoice], **widget: str) -> None:
        super().__init__(**widget)
        self._stores = tuple(stores)
        self.ticked = {s.name for s in stores if not s.refusal}
        self._mark()

    def tick(self, name: str) -> str:
        """Ticks a store, or takes the tick away; returns why not."""
        refusal = next((s.refusal for s in self._stores if s.name == name), "")
        if not refusal:
            self.ticked ^= {name}
            self._mark()
        return refusal

    def _mark(self) -> None:
        self.set_items([RowItem(s.name, self._store_row(s)) for s in self._stores])

    def _store_row(self, store: StoreChoice) -> Line:
        if store.refusal:
            return line((f"[-] {store.name}  cannot be used ({store.where})", "dim"))
        return line(f"[{'x' if store.name in self.ticked else ' '}] {store.name}  ", (store.where, "dim"))


class BackupDialog(Dialog[BackupWanted]):
    """Asks where to and how; gives back what was chosen.

    Args:
        stores: Those of the profile.
        lines: What it will read.
    """

    def __init__(self, stores: Sequence[StoreChoice], lines: Sequence[Line]) -> None:
        super().__init__("Back up the whole deployment", lines, "Start")
        self._stores = tuple(stores)

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("Into these stores (space):")])
        yield _Ticks(self._stores, id="stores")
        yield LinesView([line("Compressed (space):")])
        yield Pick(COMPRESSIONS, "gzip", id="compression")

    @property
    def ready(self) -> bool:
        if not self.is_mounted:
            return any(not s.refusal for s in self._stores)
        return bool(self.query_one("#stores", _Ticks).ticked)

    def answer(self) -> BackupWanted:
        ticked = self.query_one("#stores", _Ticks).ticked
        chosen = tuple(s.name for s in self._stores if s.name in ticked)
        compression = self.query_one("#compression", Pick).chosen
        return BackupWanted(() if len(chosen) == len(self._stores) else chosen, compression)

    @on(RowList.Ticked, "#stores")
    @on(RowList.Picked, "#stores")
    def _ticked(self, ticked: RowList.Ticked | RowList.Picked) -> None:
        if why := self.query_one("#stores", _Ticks).tick(ticked.key):
            self.notify(why, severity="warning", markup=False)
        self.refresh_ready()

    @on(RowList.Ticked, "#compression")
    @on(RowList.Picked, "#compression")
    def _chosen(self, chosen: RowList.Ticked | RowList.Picked) -> None:
        self.query_one("#compression", Pick).choose(chosen.key)


class VerifyDialog(Dialog[int]):
    """Asks how thoroughly; gives back the level."""

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__("Verify a snapshot", lines, "Start")

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("How thoroughly (space):")])
        yield Pick(LEVELS, "2", id="level")

    def answer(self) -> int:
        return int(self.query_one("#level", Pick).chosen)

    @on(RowList.Ticked)
    @on(RowList.Picked)
    def _chosen(self, chosen: RowList.Ticked | RowList.Picked) -> None:
        self.query_one("#level", Pick).choose(chosen.key)


class CopyDialog(Dialog[str]):
    """Asks where to; gives back the store.

    Args:
        lines: What is copied.
        stores: Those that do not have it and can be used.
    """

    def __init__(self, lines: Sequence[Line], stores: Sequence[StoreChoice]) -> None:
        super().__init__("Copy a snapshot", lines, "Start")
        self._stores = tuple(stores)

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("Into this store (space):")])
        yield Pick({s.name: s.where for s in self._stores}, self._stores[0].name, id="store")

    def answer(self) -> str:
        return str(self.query_one("#store", Pick).chosen)

    @on(RowList.Ticked)
    @on(RowList.Picked)
    def _chosen(self, chosen: RowList.Ticked | RowList.Picked) -> None:
        self.query_one("#store", Pick).choose(chosen.key)


def reading_lines(view: View) -> list[Line]:
    """What a backup will read, going by the newest snapshot."""
    backups = view.readings.backups
    newest = None if backups is None or backups.value is None else backups.value.newest
    rows = wrapped(
        "It reads every database and the oplog written meanwhile, so that the snapshot is one moment. "
        "Live work goes on.",
        DIALOG_WIDTH,
    )
    if newest is None or newest.documents is None:
        return [
            *rows,
            *wrapped("How much that is is not known: there is no snapshot to go by.", DIALOG_WIDTH),
        ]
    took = "" if newest.seconds is None else f" in {duration(newest.seconds)}"
    text = (
        f"The newest snapshot, {newest.name}, read {newest.documents:,} documents "
        f"({size(newest.bytes)}, {size(newest.stored_bytes)} stored){took}."
    )
    return [*rows, *wrapped(text, DIALOG_WIDTH)]


def copy_lines(entry: SnapshotEntry, stores: Sequence[str]) -> list[Line]:
    """What will be copied."""
    text = (
        f"Snapshot {entry.name}, which lies in {', '.join(stores)}: {size(entry.stored_bytes)} are read and "
        "written. It is offered there once it is whole; a copy that was cut off goes on where it was."
    )
    return wrapped(text, DIALOG_WIDTH)


def verify_lines(entry: SnapshotEntry, stores: Sequence[str]) -> list[Line]:
    """What will be read back."""
    many = "each store that has it is read" if len(stores) > 1 else "nothing is changed"
    text = f"Snapshot {entry.name} in {', '.join(stores)}, {size(entry.stored_bytes)} stored; {many}."
    return wrapped(text, DIALOG_WIDTH)
