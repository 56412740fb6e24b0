"""``/metrics`` for Prometheus: the readings of every profile of this process, on one address, where the
config tells one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.metrics import METRICS, Metric, Sample, samples
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.trouble import Unreachable

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric as Family

Look = Callable[[], tuple[Readings, AlertFacts | None, Limits]]
"""What is known of one profile now."""


class Exposition:
    """The collector of one address: asked at each scrape, it asks nobody but the newest readings."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._profiles: dict[str, Look] = {}
        self._lock = threading.Lock()

    def add(self, profile: str, look: Look) -> None:
        with self._lock:
            self._profiles[profile] = look

    def remove(self, profile: str) -> int:
        """Takes a profile away; returns how many are left."""
        with self._lock:
            self._profiles.pop(profile, None)
            return len(self._profiles)

    def collect(self) -> Iterable[Family]:
        with self._lock:
            looks = dict(self._profiles)
        now = self._clock()
        found: dict[str, list[tuple[str, Sample]]] = {}
        for profile, look in looks.items():
            readings, facts, limits = look()
            for sample in samples(readings, facts, limits, now):
                found.setdefault(sample.metric, []).append((profile, sample))
        for name, metric in METRICS.items():
            if name in found:
                yield _family(metric, found[name])

    def describe(self) -> Iterable[Family]:
        """Nothing: names are not checked before there are values."""
        return ()


def _family(metric: Metric, rows: Iterable[tuple[str, Sample]]) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds: Mapping[str, Any] = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
    labels = ("profile", *metric.labels)
    family: Any = kinds[metric.kind](metric.name, metric.about, labels=labels, unit=metric.unit)
    for profile, sample in rows:
        family.add_metric((profile, *sample.labels), sample.value)
    return family  # type: ignore[no-any-return]


class _Served:
    """An address that is listened on, for as long as one profile needs it."""

    def __init__(self, address: str, clock: Callable[[], datetime]) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        self.exposition = Exposition(clock)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.exposition)
        host, _, port = address.rpartition(":")
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            self._server, self._thread = start_http_server(
                int(port), addr=host.strip("[]"), registry=registry
            )
        except OSError as error:
            raise Unreachable(
                "metrics-address",
                f"/metrics cannot be served on {address}: {error.strerror or error}.",
                "Another agent of this host may serve there: each process needs an address of its own.",
            ) from None
        self.port: int = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_RETRY_SECONDS = 5.0

_served: dict[str, _Served] = {}
_lock = threading.Lock()


class MetricsDuty:
    """Shows one profile's readings on an address; several profiles of one process share it.

    Args:
        profile: Its name.
        address: ``host:port``; port 0 takes any that is free.
        look: What is known now.
        tell: Hears where the address cannot be had: everything else goes on.
        clock: Tells the time (UTC).
    """

    name = "metrics"

    def __init__(
        self,
        profile: str,
        address: str,
        look: Look,
        tell: Callable[[str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._profile, self._address, self._look, self._tell = profile, address, look, tell
        self._closing: threading.Thread | None = None
        self._stopped = threading.Event()
        self._retrying = threading.Thread(target=self._try_on, name="mdr-metrics", daemon=True)
        self.port = 0
        """That is listened on; 0: none."""

    def start(self) -> None:
        if not self._serve(tell=True):
            self._retrying.start()

    def _try_on(self) -> None:
        """Until the address is free: whoever has it may be an agent that ends."""
        while not self._stopped.wait(_RETRY_SECONDS):
            if self._serve(tell=False):
                self._tell(f"metrics: served on {self._address}")
                return

    def _serve(self, *, tell: bool) -> bool:
        with _lock:
            if self._stopped.is_set():
                return True
            try:
                served = _served.get(self._address) or _Served(self._address, self._clock)
            except Unreachable as trouble:
                if tell:
                    self._tell(f"metrics: {trouble}")
                return False
            _served[self._address] = served
            served.exposition.add(self._profile, self._look)
            self.port = served.port
            return True

    def stop(self) -> None:
        with _lock:
            self._stopped.set()
            served = _served.get(self._address)
            if self.port and served is not None and served.exposition.remove(self._profile) == 0:
                del _served[self._address]
                self._closing = threading.Thread(target=served.close, name="mdr-metrics-end", daemon=True)
                self._closing.start()

    def join(self, seconds: float) -> bool:
        if self._closing is None:
            return True
        self._closing.join(seconds)
        return not self._closing.is_alive()
