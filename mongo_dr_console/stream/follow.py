"""Keeping up with the live oplog on disk while a restore works, since its own writes roll the oplog over."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.oplog import ends, entry_at, majority_position, raw_batches

_PAUSE_SECONDS = 0.1
_PATIENCE_SECONDS = 300


class EntrySink(Protocol):
    """Where entries go."""

    def append(self, batch: bytes) -> None:
        """Takes whole raw entries."""
        ...

    def flush(self) -> None:
        """After this, what was appended can be read and survives the process."""
        ...


def continue_from(
    client: Client,
    position: Position,
    end_hash: str,
    through: Position | None,
    only: dict[str, Any] | None = None,
) -> Iterator[bytes]:
    """Batches of majority-committed entries after ``position``, after proof that the live oplog continues it.

    ``only``: a query that the server evaluates; entries that do not meet it are left out.

    Raises:
        Failed: ``gap`` where the oplog has rolled over, ``divergence`` where another entry is there.
    """
    first = True
    query = None if only is None else {"$or": [{"ts": position.timestamp}, only]}
    for batch in raw_batches(client, position, through, query):
        if not first:
            yield batch
            del batch
            continue
        first = False
        joint = next(rawbson.split(batch))
        _same_entry(client, joint, position, end_hash)
        if len(batch) > len(joint):
            yield batch[len(joint) :]
    if first:
        _same_entry(client, None, position, end_hash)


def _same_entry(client: Client, joint: bytes | None, position: Position, end_hash: str) -> None:
    found = Position.of(raw_entry(joint)["ts"]) if joint is not None else None
    if joint is not None and found == position:
        if rawbson.entry_hash(joint) == end_hash:
            return
        raise Failed(
            "divergence",
            f"The live oplog has another entry at {position}: it does not continue what was saved (a forced "
            "reconfiguration, or a rollback). Nothing live was changed.",
            "Restore to a position the snapshot itself reaches, or choose a newer snapshot.",
        )
    oldest, newest = ends(client)
    if newest < position:
        raise Unreachable(
            "member-behind",
            f"The member that answers has the oplog only up to {newest}; {position} is needed.",
            "Try again when the set has a primary and its members have caught up: mdr status",
        )
    raise Failed(
        "gap",
        f"The live oplog does not reach back to {position} any more: it begins at {oldest}, so what was "
        "written in between is not to be had from it. Nothing live was changed.",
        "Choose a newer base snapshot: mdr snapshots list",
    )


class Follower:
    """Copies the live oplog to a sink in a thread of its own, until it is stopped.

    Args:
        client: To the source deployment; elections are waited out.
        sink: Where the entries go.
        position, end_hash: The last entry that is there already, which proves that the next one continues it.
        only: A query for the entries that are worth keeping: not this job's own, which are most of what is
            written meanwhile. The server leaves the others out, so that the thread keeps up.
    """

    def __init__(
        self,
        client: Client,
        sink: EntrySink,
        position: Position,
        end_hash: str,
        only: dict[str, Any],
    ) -> None:
        self._client = client
        self._sink = sink
        self._position = position
        self._hash = end_hash
        self._only = only
        self._changed = threading.Condition()
        self._stopping = False
        self._error: Trouble | None = None
        self._thread = threading.Thread(target=self._run, name="oplog-follower", daemon=True)

    @property
    def position(self) -> Position:
        """Everything up to here is in the sink and can be read from it."""
        with self._changed:
            return self._position

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=30)

    def check(self) -> None:
        """Raises what ended the following, if anything did."""
        with self._changed:
            if self._error is not None:
                raise self._error

    def wait_for(self, position: Position, seconds: float, check: Callable[[], None]) -> None:
        """Waits until ``position`` is in the sink.

        Raises:
            Failed: It was not, within that time.
        """
        deadline = time.monotonic() + seconds
        while True:
            check()
            with self._changed:
                if self._error is not None:
                    raise self._error
                if self._position >= position:
                    return
                self._changed.wait(0.2)
            if time.monotonic() > deadline:
                raise Failed(
                    "follow-slow",
                    f"The oplog could not be followed up to {position} within {seconds:.0f} s.",
                    "Try again: mdr jobs resume",
                )

    def _run(self) -> None:
        lost_since: float | None = None
        while not self._stopping:
            try:
                self._read_on()
                lost_since = None
            except (PyMongoError, Unreachable) as error:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > _PATIENCE_SECONDS:
                    self._end(told(error) if isinstance(error, PyMongoError) else error)
                    return
            except Trouble as trouble:
                if trouble.code == "server-error":
                    lost_since = lost_since or time.monotonic()
                    if time.monotonic() - lost_since <= _PATIENCE_SECONDS:
                        time.sleep(1)
                        continue
                self._end(trouble)
                return
            except Exception as error:
                self._end(Failed("follow-failed", f"Following the oplog failed: {error}"))
                return
            with self._changed:
                self._changed.wait(_PAUSE_SECONDS)

    def _read_on(self) -> None:
        """Up to what a majority has now. That last entry is kept whatever it is: from it a later run goes on,
        and proves that nothing is missing in between."""
        now, _ = majority_position(self._client)
        if now <= self._position:
            return
        last = b""
        for batch in continue_from(self._client, self._position, self._hash, now, self._only):
            self._sink.append(batch)
            last = deque(rawbson.split(batch), maxlen=1)[0]
        if not last or Position.of(raw_entry(last)["ts"]) != now:
            last = entry_at(self._client, now) or b""
            if not last:
                raise Unreachable("member-behind", f"The member that answers has no entry at {now} yet.")
            self._sink.append(last)
        self._sink.flush()
        with self._changed:
            self._position, self._hash = now, rawbson.entry_hash(last)
            self._changed.notify_all()

    def _end(self, trouble: Trouble) -> None:
        with self._changed:
            self._error = trouble
            self._changed.notify_all()
