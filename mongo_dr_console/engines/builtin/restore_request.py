"""What a restore is asked for, and where it reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.rejects import Rejects
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint
from mongo_dr_console.model.timeline import SnapshotCollection


class SnapshotSource(Protocol):
    """What a restore reads of its base snapshot."""

    def staged_collections(
        self,
    ) -> list[tuple[SnapshotCollection, Callable[[], Iterator[bytes]], int | None]]:
        """The ordinary collections in a fixed order, each with its data (chunks) and its documents."""
        ...

    def views(self) -> dict[Namespace, RawBSONDocument]:
        """The views' definitions."""
        ...

    def oplog(self) -> Iterator[bytes]:
        """The oplog of the window, in chunks."""
        ...

    def fall_over(self, namespace: Namespace) -> bool:
        """The data of a collection turned out to be damaged: whether another copy is read from now on."""
        ...


class OplogRange(Protocol):
    """The saved oplog after the snapshot's window."""

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole entries with ``start <= ts <= end``."""
        ...


class Following(Protocol):
    """The thread that keeps up with the live oplog."""

    @property
    def position(self) -> Position: ...

    def wait_for(self, position: Position, seconds: float, check: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to restore, and from what.

    Args:
        job: The job's id.
        plan: The confirmed plan.
        snapshot: The base.
        saved: The oplog after the base's window, outside the deployment.
        follower: Set where writes up to the cut-over itself are replayed.
        checkpoints: Of earlier runs.
        rejects: Keeps the documents that the server does not take.
        folder: Where merge mode keeps what it wrote, and what it left alone.
    """

    job: str
    plan: Plan
    snapshot: SnapshotSource
    saved: OplogRange
    follower: Following | None
    checkpoints: tuple[Checkpoint, ...] = ()
    rejects: Rejects = field(default_factory=lambda: Rejects(None))
    folder: Path | None = None
