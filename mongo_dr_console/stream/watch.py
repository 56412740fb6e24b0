"""Knowing the set while its oplog is tailed: who its members are, and what a majority has."""

from __future__ import annotations

import threading
from contextlib import closing

from pymongo.errors import PyMongoError

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.members import seeds
from mongo_dr_console.mongo.oplog import majority_position

_EVERY_SECONDS = 0.5


class SetWatch:
    """Asks the set twice a second, in a thread of its own. All that it knows is the newest it heard.

    Args:
        uri: Of the profile.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._committed: Position | None = None
        self._members: tuple[str, ...] = seeds(uri)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mdr-set-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def committed(self) -> Position | None:
        """What a majority has, as far as is known; it never goes back, save for another history."""
        with self._lock:
            return self._committed

    @property
    def members(self) -> tuple[str, ...]:
        """``host:port`` of those that can be read from, the primary first."""
        with self._lock:
            return self._members

    def _run(self) -> None:
        with closing(
            connect(self._uri, any_member=True, seconds=2, answer_seconds=4, appname="mdr-set-watch")
        ) as client:
            while not self._stop.is_set():
                self._look(client)
                self._stop.wait(_EVERY_SECONDS)

    def _look(self, client: Client) -> None:
        try:
            committed: Position | None = majority_position(client)[0]
        except (Trouble, PyMongoError):
            committed = None
        members = _named(client)
        with self._lock:
            self._committed = committed or self._committed
            self._members = members or self._members


def _named(client: Client) -> tuple[str, ...]:
    primary, others = client.primary, sorted(client.secondaries)
    rows = ([primary] if primary else []) + [o for o in others if o != primary]
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in rows)
