"""What the failover monitor keeps on this host and in the agents' store: its state, its run-book, the
pause."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.failoverdoc import FailoverFacts, FailoverRecord, Pause, records
from mongo_dr_console.model.readings import FAILOVER
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.agents_store import ROOT, agents_store
from mongo_dr_console.stores.open import open_answering
from mongo_dr_console.stores.patience import of_a_look
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.access import reaches
from mongo_dr_console.workers.streamstate import agent_folder
from mongo_dr_console.workers.threads import DaemonThreads, OneCall
from mongo_dr_console.workers.wholefile import damaged, read_document, write_document

M = TypeVar("M", bound=BaseModel)
_PAUSE = "failover-pause"


@dataclass(frozen=True, slots=True)
class FailoverFiles:
    """The files of one profile, below the agent's folder."""

    folder: Path

    @classmethod
    def of(cls, profile_name: str, profile: Profile) -> FailoverFiles:
        return cls(agent_folder(profile) / "failover" / profile_name)

    @property
    def state(self) -> Path:
        """What the monitor said last."""
        return self.folder / "state.json"

    @property
    def run(self) -> Path:
        """The run-book that is under way."""
        return self.folder / "run.json"

    @property
    def pause(self) -> Path:
        return self.folder / "pause.json"

    @property
    def told(self) -> Path:
        """What a program as endpoint was told last."""
        return self.folder / "endpoint.json"

    @property
    def unsent(self) -> Path:
        """A folder: ended run-books that no store has taken yet."""
        return self.folder / "unsent"

    @property
    def last(self) -> Path:
        """The newest run-book that ended here."""
        return self.folder / "last.json"

    def write(self, path: Path, document: BaseModel, *, sync: bool = True) -> None:
        """Whole or not at all; with ``sync`` it is on the disk when this returns.

        Raises:
            Failed: It cannot be written.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_document(path, document, sync=sync)
        except OSError as error:
            raise Failed(
                "failover-state-unwritten",
                f"{path} cannot be written: {error.strerror}. Without it a failover could not go on after a "
                "kill.",
                "Make room in the state folder, or correct its owner.",
            ) from None

    def read(self, path: Path, model: type[M]) -> M | None:
        """None where there is none.

        Raises:
            Failed: It cannot be understood.
        """
        try:
            return read_document(path, model, "itself", "a second")
        except OSError:
            raise damaged(path, "itself", "a second") from None


def read_monitor(profile_name: str, profile: Profile) -> FailoverFacts | None:
    """What this host's monitor said last; None where none ever ran here.

    Raises:
        Failed: It cannot be understood.
    """
    files = FailoverFiles.of(profile_name, profile)
    return files.read(files.state, FailoverFacts)


class FailoverStateSource:
    """The primary as this host's failover monitor sees it; None where there is none."""

    name, interval, timeout = FAILOVER, 1.0, 3.0

    def __init__(self, profile_name: str, profile: Profile, threads: DaemonThreads) -> None:
        self._profile_name, self._profile = profile_name, profile
        self._thread = OneCall(threads)

    async def read(self) -> tuple[FailoverFacts | None, str]:
        facts = await self._thread.call(lambda: read_monitor(self._profile_name, self._profile))
        return facts, "" if facts is None else facts.host


# The ledger


def settle(files: FailoverFiles, record: FailoverRecord) -> None:
    """A run-book has ended: it is kept to be sent, then no longer under way.

    Raises:
        Failed: This host cannot keep it.
    """
    files.write(files.unsent / f"{record.id}.json", record)
    files.write(files.last, record)
    files.run.unlink(missing_ok=True)


def send_unsent(profile: Profile, files: FailoverFiles) -> int:
    """Appends what ended to the ledgers of the stores that answer; how many are left. Where the access is
    watch nothing goes into a store: it stays on this host, until it is raised.

    One that was sent and could not be removed comes into a ledger twice, and is read once.
    """
    waiting = sorted(files.unsent.glob("*.json")) if files.unsent.exists() else []
    if not waiting or not profile.stores or not reaches(profile.access, "operate"):
        return 0
    stores, _ = open_answering(profile)
    left = 0
    for path in waiting:
        if not _append(stores, path):
            left += 1
    return left


def _append(stores: dict[str, Store], path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    taken = False
    for store in stores.values():
        try:
            ledger.append(store, "failovers", document)
            taken = True
        except Trouble:
            continue
    if taken:
        path.unlink(missing_ok=True)
    return taken


def read_failovers(profile: Profile, files: FailoverFiles) -> tuple[list[FailoverRecord], list[str]]:
    """Those that the stores and this host know of, newest first, and in words which stores could not be
    asked."""
    documents = []
    for path in files.unsent.glob("*.json") if files.unsent.exists() else ():
        try:
            documents.append(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue
    stores, troubles = open_answering(profile)
    for name, store in stores.items():
        try:
            documents += ledger.read_all(store, "failovers")
        except Trouble as trouble:
            troubles[name] = trouble
    return records(documents), [
        f"store {name} could not be asked: {t.message}" for name, t in troubles.items()
    ]


# The pause


def shared_pause(profile: Profile, set_name: str) -> tuple[Store, str] | None:
    """Where all agents of a profile look; None where they share no store."""
    store = agents_store(profile, of_a_look())
    return None if store is None or not set_name else (store, f"{ROOT}{set_name}/{_PAUSE}.json")


def read_pause(files: FailoverFiles, shared: tuple[Store, str] | None) -> Pause | None:
    """The newest of both places; what cannot be read says nothing."""
    found = [p for p in (_local(files), _shared(shared)) if p is not None]
    return max(found, key=lambda p: p.at, default=None)


def write_pause(files: FailoverFiles, shared: tuple[Store, str] | None, pause: Pause) -> list[str]:
    """Writes it to both places; where it could not be written, and why."""
    places: list[tuple[str, Callable[[], object]]] = [
        (str(files.pause), lambda: files.write(files.pause, pause))
    ]
    if shared is not None:
        store, path = shared
        data = pause.model_dump_json().encode()
        places.append((store.describe(), lambda: store.write(path, [data])))
    failed = []
    for where, write in places:
        try:
            write()
        except Trouble as trouble:
            failed.append(f"{where}: {trouble.message}")
    return failed


def _local(files: FailoverFiles) -> Pause | None:
    try:
        return files.read(files.pause, Pause)
    except Failed:
        return None


def _shared(shared: tuple[Store, str] | None) -> Pause | None:
    if shared is None:
        return None
    store, path = shared
    try:
        return Pause.model_validate_json(b"".join(store.read(path)))
    except (Trouble, ValidationError):
        return None


def now() -> datetime:
    return datetime.now(UTC)
