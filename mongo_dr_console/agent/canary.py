"""The canary: a heartbeat written to the deployment, and how long until it is safe in each sink."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from contextlib import closing

from pymongo.errors import PyMongoError

from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import Latency
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client, connect

COLLECTION = "canary"
_KEPT = 600
_WAITING = 10_000


class Canary:
    """Writes once in ``seconds``, and measures from before each write until it is safe.

    Args:
        uri: Of the profile.
        name: Tells the heartbeats of several agents apart.
        seconds: Between two writes.
    """

    def __init__(self, uri: str, name: str, seconds: float = 1.0) -> None:
        self._uri, self._name, self._seconds = uri, name, seconds
        self._lock = threading.Lock()
        self._sent: deque[tuple[Position, float]] = deque(maxlen=_WAITING)
        self._waiting: dict[str, deque[tuple[Position, float]]] = {}
        self._measured: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mdr-canary", daemon=True)

    def start(self, sinks: list[str]) -> None:
        self._waiting = {sink: deque(maxlen=_WAITING) for sink in sinks}
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def moved(self, sink: str, position: Position) -> None:
        """Everything up to a position is safe in a sink."""
        now = time.monotonic()
        with self._lock:
            waiting = self._waiting.get(sink)
            while waiting and waiting[0][0] <= position:
                self._measured[sink].append(now - waiting.popleft()[1])

    def latency(self, sink: str) -> Latency | None:
        """Over the last ten minutes at most."""
        with self._lock:
            return Latency.of(list(self._measured[sink]))

    def _run(self) -> None:
        with closing(connect(self._uri, seconds=2, answer_seconds=10, appname="mdr-canary")) as client:
            while not self._stop.wait(self._seconds):
                self._beat(client)

    def _beat(self, client: Client) -> None:
        started = time.monotonic()
        try:
            answer = client[OWN_DATABASE].command(
                "update",
                COLLECTION,
                updates=[{"q": {"_id": self._name}, "u": {"$inc": {"n": 1}}, "upsert": True}],
                writeConcern={"w": "majority", "wtimeout": 5000},
            )
        except (PyMongoError, Trouble):
            return  # nothing was acknowledged, so nothing is owed; the pumps tell what is wrong
        if "writeConcernError" in answer or "operationTime" not in answer:
            return
        with self._lock:
            for waiting in self._waiting.values():
                waiting.append((Position.of(answer["operationTime"]), started))
