"""Where the practice deployment keeps what it has, and what it says about itself.

Everything lies in one folder: ``config.toml`` (the profile ``practice``), the URIs, the members' data, the
store, the state of its jobs. When the folder is gone, so is the deployment.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mongo_dr_console.config import PRACTICE, practice_folder
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.launch import HOST
from mongo_dr_console.mongo.processes import OurProcess
from mongo_dr_console.sandbox.kafka import MAIN

KEEPER = "mongo_dr_console.sandbox.keeper"
WORKLOAD = "mongo_dr_console.sandbox.workload"
STREAM = "mongo_dr_console.agent"
HELD_BACK = "rsSyncApplyStop"
"""The server's fail point that stops a secondary's applier."""


class PracticeFacts(BaseModel):
    """Written when the deployment is ready; without it there is none that could be used.

    ``members`` are ports of the loopback address, in the order of the set's configuration.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    set_name: str
    replica_set_id: str
    members: tuple[int, ...]
    documents: int
    snapshot: str | None
    kafka: str | None = None
    """``host:port`` of its broker, where it has one."""


class Lag(BaseModel):
    """A member that is being held back, and until when (seconds since 1970)."""

    model_config = ConfigDict(frozen=True)

    port: int
    until: float


class PracticeStatus(BaseModel):
    """``mdr sandbox status --json``.

    Args:
        state: ``broken`` is what is left of one that cannot be used.
        config: Its config file.
        store: Where its snapshots lie.
        set: Name of the replica set.
        members: How many there are.
        members_running: How many of them run.
        workload_running: Whether something writes to it.
        kafka: host:port of its Kafka broker; None: it has none.
        kafka_running: Whether that runs.
        lag_until: Until when a member is held back; None: none is.
        folder: Where it lies.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: Literal["mdr.sandbox-status"] = Field("mdr.sandbox-status", alias="schema")
    state: Literal["up", "starting", "broken", "down"]
    profile: str | None = None
    config: str | None = None
    store: str | None = None
    set: str | None = None
    members: int = 0
    members_running: int = 0
    workload_running: bool = False
    kafka: str | None = None
    kafka_running: bool = False
    lag_until: datetime | None = None
    folder: str


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a practice deployment and the names in it."""

    folder: Path

    @classmethod
    def usual(cls) -> Place:
        return cls(practice_folder().absolute())

    @property
    def endpoint(self) -> Path:
        """Where applications read which member is the primary."""
        return self.folder / "endpoint.json"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def uri_file(self) -> Path:
        return self.folder / "uri"

    @property
    def workload_uri_file(self) -> Path:
        return self.folder / "workload-uri"

    @property
    def facts_file(self) -> Path:
        return self.folder / "practice.json"

    @property
    def lag_file(self) -> Path:
        return self.folder / "lag.json"

    @property
    def made_around(self) -> Path:
        """Is there where the folder around this one was made for it, and goes with it."""
        return self.folder / "made-around"

    @property
    def set_folder(self) -> Path:
        return self.folder / "set"

    @property
    def kafka_folder(self) -> Path:
        return self.folder / "kafka"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def keeper_log(self) -> Path:
        return self.folder / "keeper.log"

    @property
    def uri(self) -> str:
        """The whole set as the tool's user, with its password."""
        return self.uri_file.read_text(encoding="utf-8").strip()

    def member_uri(self, port: int) -> str:
        """One member alone."""
        return f"{self.uri.partition('@')[0]}@{HOST}:{port}/?authSource=admin"

    def facts(self) -> PracticeFacts | None:
        """None where it was never ready, or the file cannot be understood."""
        try:
            return PracticeFacts.model_validate_json(self.facts_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_facts(self, facts: PracticeFacts) -> None:
        write_private(self.facts_file, facts.model_dump_json(indent=2))

    def lag(self) -> Lag | None:
        try:
            return Lag.model_validate_json(self.lag_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_config(self, kafka: str | None = None) -> None:
        """The profile ``practice``; readings of a deployment that is minutes old have thresholds to match.

        Args:
            kafka: ``host:port`` of its broker.
        """
        stream = [f"[profiles.{PRACTICE}.oplog.kafka]", f'bootstrap = ["{kafka}"]', ""] if kafka else []
        write_private(
            self.config,
            "\n".join(
                [
                    f'default_profile = "{PRACTICE}"',
                    "",
                    f"[profiles.{PRACTICE}]",
                    f"uri_file = {_toml(self.uri_file)}",
                    'environment = "practice"',
                    'access = "restore"',
                    f"state_dir = {_toml(self.state)}",
                    "",
                    f"[profiles.{PRACTICE}.stores.local]",
                    'type = "local"',
                    f"path = {_toml(self.store)}",
                    "",
                    *stream,
                    f"[profiles.{PRACTICE}.oplog.segments]",
                    'stores = ["local"]',
                    "seconds = 5",
                    "",
                    f"[profiles.{PRACTICE}.endpoint]",
                    'type = "file"',
                    f"path = {_toml(self.endpoint)}",
                    "",
                    f"[profiles.{PRACTICE}.thresholds]",
                    'margin = { warning = "10m", critical = "2m" }',
                    "",
                ]
            ),
        )

    def processes(self) -> list[OurProcess]:
        return processes.below(self.folder)


def look(place: Place) -> PracticeStatus:
    """What there is of it now: from the folder and the processes, without asking the deployment."""
    facts, found = place.facts(), place.processes()
    kept = any(p.runs(KEEPER) for p in found)
    running = sum(p.is_mongod for p in found)
    if not found and not place.folder.exists():
        return PracticeStatus(state="down", folder=str(place.folder))
    lag = place.lag()
    state: Literal["up", "starting", "broken"] = "broken"
    if kept:
        state = "starting" if facts is None else "up" if running else "broken"
    return PracticeStatus(
        state=state,
        profile=PRACTICE if facts else None,
        config=str(place.config) if facts else None,
        store=str(place.store) if facts else None,
        set=facts.set_name if facts else None,
        members=len(facts.members) if facts else 0,
        members_running=running,
        workload_running=any(p.runs(WORKLOAD) for p in found),
        kafka=facts.kafka if facts else None,
        kafka_running=any(p.runs(MAIN) for p in found),
        lag_until=datetime.fromtimestamp(round(lag.until), UTC) if lag else None,
        folder=str(place.folder),
    )


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, for its owner's eyes only."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _toml(path: Path) -> str:
    # JSON's strings are TOML's basic strings, once non-ASCII stays as it is.
    return json.dumps(str(path), ensure_ascii=False)
