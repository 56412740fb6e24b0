"""The failover monitor on a real set, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mongo_dr_console.agent.duty import Post, Term
from mongo_dr_console.agent.failing_over import FailoverMonitor
from mongo_dr_console.config import load_config
from mongo_dr_console.model.failoverdoc import EndpointContent, FailoverFacts, FailoverRecord, records
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers.endpoints import parse
from mongo_dr_console.workers.failover_state import FailoverFiles, read_monitor
from support.prepared import PreparedProfile

R = Any


class Watched:
    """A profile whose primary is watched, and what can be seen of it from outside."""

    def __init__(self, prepared: PreparedProfile, more: str = "") -> None:
        with prepared.config_file.open("a") as config:
            config.write(more)
        self.config_file = prepared.config_file
        self.profile = load_config(prepared.config_file).profiles["test"]
        self.store = LocalStore("local", prepared.store)
        self.files = FailoverFiles.of("test", self.profile)
        self.told: list[str] = []
        self.term = Term(fence=1)

    def monitor(self, term: Term | None = None) -> FailoverMonitor:
        from mongo_dr_console.config import AgentConfig

        self.term = term or Term(fence=1)
        return FailoverMonitor(
            Post("test", self.profile, self.config_file, AgentConfig(), self.term, self.told.append)
        )

    @contextmanager
    def watching(self, term: Term | None = None) -> Iterator[FailoverMonitor]:
        monitor = self.monitor(term)
        monitor.start()
        try:
            yield monitor
        finally:
            monitor.stop()
            assert monitor.join(120) or self.files.run.exists()

    def facts(self) -> FailoverFacts | None:
        return read_monitor("test", self.profile)

    def ledger(self) -> list[FailoverRecord]:
        """Newest first."""
        return records(ledger.read_all(self.store, "failovers"))

    def wait_facts(self, reached: Callable[[FailoverFacts], bool], seconds: float = 180) -> FailoverFacts:
        return until(lambda: (f := self.facts()) is not None and reached(f) and f, seconds, self.facts)

    def wait_ledger(self, reached: Callable[[list[FailoverRecord]], bool], seconds: float = 180) -> list[Any]:
        return until(lambda: reached(r := self.ledger()) and r, seconds, lambda: (self.told, self.facts()))


def until(look: Callable[[], R], seconds: float, why: Callable[[], object] = lambda: "") -> R:
    """What ``look`` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {why()}")


class EndpointLog:
    """Everything that an endpoint's file ever said, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[EndpointContent] = []
        self.at: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> EndpointLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            text = self.path.read_text() if self.path.exists() else ""
            content = parse(text, "endpoint")
            if content is not None and (not self.seen or self.seen[-1] != content):
                self.at.append(time.time())
                self.seen.append(content)
            self._stop.wait(0.005)

    @property
    def last(self) -> EndpointContent | None:
        return self.seen[-1] if self.seen else None
