"""The practice deployment in tests: put up, an incident, and what its documents must be, by a twin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bson.timestamp import Timestamp
from pymongo import MongoClient

from mongo_dr_console.model.journal import JobStarted
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StepStarted
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.jobs import JobFolder
from support import twin

INCIDENTS = {
    "drop-collection": ("drop", "shop", "orders"),
    "bad-update": ("mass-update", "shop", "products"),
    "mass-delete": ("mass-delete", "shop", "reviews"),
    "drop-database": ("drop-database", "crm", None),
}
"""Their kind as an event, database and collection."""


class Practice:
    """The practice deployment, in a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = practice_environment(folder)
        self.client: Any = MongoClient(self.mdr("sandbox", "up")["uri"])

    @property
    def state(self) -> Path:
        """Where all that it has lies."""
        return Path(self.environment["MDR_STATE_DIR"])

    def mdr(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """A command's JSON; ``codes`` are those it may exit with."""
        done = subprocess.run(
            [sys.executable, "-m", "mongo_dr_console", *words, "--json"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
        )
        assert done.returncode in codes, (done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def restore(self, *words: str) -> dict[str, Any]:
        plan = self.mdr("restore", "plan", *words)
        path = self._folder / "plan.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        run = ["--profile", "practice", "restore", "run", "--plan", str(path), "--confirm", plan["confirm"]]
        job = self.mdr(*run)
        assert job["state"] == "done"
        return job

    def compare(self, incident: str, job: dict[str, Any], last: Timestamp, *, leaving_out: bool) -> None:
        """Holds what a restore put in place to what the oplog's own entries make, up to a position.

        Args:
            job: The restore job's JSON.
            leaving_out: The incident's own operations.
        """
        kind, database, collection = INCIDENTS[incident]
        placed = Position.parse(job["result"]["position"]).timestamp
        names = {n["to"].partition(".")[2] for n in job["result"]["namespaces"]}
        present = twin.at_cluster_time(self.client, database, placed)
        copy = f"twin_{database}"
        self.client.drop_database(copy)
        try:
            wanted = twin.build(
                self.client,
                database,
                copy,
                Timestamp(1, 1),
                applies=lambda ts: ts <= last,
                skips=lambda ts, session, o: leaving_out and is_own(kind, collection, session, o),
                only=collection,
            )
        finally:
            self.client.drop_database(copy)
        here = {k: v for k, v in present.items() if k in names}
        there = {k: v for k, v in wanted.items() if k in names}
        assert here
        assert twin.differences(here, there) == []

    def close(self) -> None:
        self.client.close()
        self.mdr("sandbox", "down")


@contextmanager
def held_at_its_first_step(state: Path) -> Iterator[Callable[[], None]]:
    """A restore that is begun meanwhile stands still once it is at a step, until what is yielded is called:
    on a busy machine it would be over before all have looked."""
    caught: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not caught and not over.wait(0.01):
            for journal in state.glob("practice/state/jobs/*/journal.jsonl"):
                folder = JobFolder(journal.parent)
                events = [line.event for line in jobs.read_lines(folder)]
                at_a_step = any(isinstance(event, StepStarted) for event in events)
                if at_a_step and jobs.read_plan(folder).kind == "restore":
                    caught.extend(event.pid for event in events if isinstance(event, JobStarted))
                    os.kill(caught[0], signal.SIGSTOP)

    def go_on() -> None:
        over.set()
        watcher.join()
        for pid in caught:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield go_on
    finally:
        go_on()


def practice_environment(folder: Path) -> dict[str, str]:
    """The environment of commands that work on a practice deployment below this folder."""
    kept = {k: v for k, v in os.environ.items() if k != "MDR_PROFILE"}
    return {**kept, "MDR_STATE_DIR": str(folder / "state"), "MDR_CONFIG": str(folder / "none.toml")}


def is_own(kind: str, collection: str | None, session: Any, operation: Any) -> bool:
    """Whether an operation is the incident's, by what is known of it here and not by the event finder."""
    if kind in ("drop", "drop-database"):
        name = next(iter(operation["o"]))
        named = kind == "drop-database" or operation["o"].get("drop") == collection
        return operation["op"] == "c" and name in ("drop", "dropDatabase") and named
    wanted = {"mass-delete": "d", "mass-update": "u"}[kind]
    return session is None and operation["op"] == wanted and operation["ns"].partition(".")[2] == collection
