"""Putting the practice deployment up and taking it down: what ``mdr sandbox`` and ``mdr demo`` do."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pymongo.errors import PyMongoError
from pymongo.read_preferences import Nearest

from mongo_dr_console.config import PRACTICE
from mongo_dr_console.model.trouble import Failed, Interrupted, Refused, Trouble
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.mongod import find_mongod
from mongo_dr_console.sandbox.kafka_install import find_jars, find_java
from mongo_dr_console.sandbox.keeper import KEEP
from mongo_dr_console.sandbox.place import KEEPER, Place, PracticeFacts, look
from mongo_dr_console.sandbox.turn import remove_if_empty, turn

Tell = Callable[[str], None]

_END_SECONDS = 20


class Practice(BaseModel):
    """``mdr sandbox up --json``.

    Args:
        config: Its config file, for ``MDR_CONFIG``.
        uri: Has the password of a deployment that holds invented data only.
        store: Where its snapshots lie.
        set: Name of the replica set.
        documents: In all collections.
        snapshot: Name of the first snapshot.
        kafka: host:port of its Kafka broker; None: it has none.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: Literal["mdr.sandbox"] = Field("mdr.sandbox", alias="schema")
    profile: str
    config: str
    uri: str
    store: str
    set: str
    documents: int
    snapshot: str | None
    kafka: str | None = None


@dataclass(slots=True)
class Held:
    """A deployment that ends with the process that holds it, unless it is kept."""

    practice: Practice
    keeper: subprocess.Popen[str] | None
    """None where it was up before."""

    def keep(self) -> None:
        if self.keeper is not None and self.keeper.stdin is not None:
            self.keeper.stdin.write(KEEP)
            self.keeper.stdin.close()
            self.keeper = None

    def release(self, place: Place) -> None:
        """Ends it, if it was put up by this process."""
        if self.keeper is not None:
            _end_keeper(self.keeper)
            down(place)
            self.keeper = None


def up(place: Place, tell: Tell, *, kafka: bool = False) -> Practice:
    """The practice deployment, ready: the one that is up, or a new one.

    Args:
        kafka: With a Kafka broker.

    Raises:
        Failed: No mongod, no Java or Maven for Kafka, or some step failed; nothing is left behind.
        Refused: One is up, without the broker that is wanted; it is left as it is.
        Interrupted: Ctrl-C; nothing is left behind.
    """
    held = hold(place, tell, kafka=kafka)
    held.keep()
    return held.practice


def hold(place: Place, tell: Tell, *, kafka: bool = False) -> Held:
    """As ``up``, but a new one ends with this process, however that ends, until ``keep`` is called."""
    find_mongod()
    if kafka:
        tell("looking for Kafka, which is fetched the first time")
        find_java()
        find_jars()
    with turn(place.folder.parent, lambda: tell("waiting for another mdr sandbox")) as fresh:
        facts = _usable(place)
        if facts is not None:
            if kafka and facts.kafka is None:
                raise Refused(
                    "sandbox-without-kafka",
                    "The practice deployment is up already, without Kafka. It was left as it is.",
                    "mdr sandbox down, then: mdr sandbox up --kafka",
                )
            tell("the practice deployment is up already")
            return Held(_practice(place, facts), None)
        if place.folder.exists() or place.processes():
            tell("clearing away a practice deployment that is dead")
        made = _clear(place) or fresh
        place.folder.mkdir(mode=0o700, parents=True)
        if made:
            place.made_around.touch()
        return _start(place, made, tell, kafka)


def down(place: Place) -> bool:
    """Ends everything of it and removes its folder; whether there was anything.

    Raises:
        Failed: A process would not end.
    """
    if not place.folder.parent.exists():
        return False
    with turn(place.folder.parent):
        there = place.folder.exists() or bool(place.processes())
        if _clear(place):
            remove_if_empty(place.folder.parent)
    return there


def _start(place: Place, made: bool, tell: Tell, kafka: bool) -> Held:
    keeper = _spawn_keeper(place, kafka)
    try:
        facts = _await_ready(keeper, place, tell)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            tell("interrupted; removing what was started")
        _end_keeper(keeper)
        _clear(place)
        if made:
            remove_if_empty(place.folder.parent)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(
                "interrupted", "Interrupted; nothing of the practice deployment is left."
            ) from None
        raise
    return Held(_practice(place, facts), keeper)


def _spawn_keeper(place: Place, kafka: bool) -> subprocess.Popen[str]:
    with place.keeper_log.open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", KEEPER, str(place.folder), *(["kafka"] if kafka else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
            text=True,
        )


def _await_ready(keeper: subprocess.Popen[str], place: Place, tell: Tell) -> PracticeFacts:
    assert keeper.stdout is not None
    for line in keeper.stdout:
        said: dict[str, Any] = json.loads(line)
        if "step" in said:
            tell(said["step"])
        elif "ready" in said:
            return PracticeFacts.model_validate(said["ready"])
        elif "trouble" in said:
            raise Failed(**said["trouble"])
    raise Failed("keeper-died", f"The process that keeps the deployment died: {_last_words(place)}")


def _last_words(place: Place) -> str:
    try:
        return place.keeper_log.read_text(encoding="utf-8").strip().splitlines()[-1]
    except (OSError, IndexError):
        return "it said nothing"


def _end_keeper(keeper: subprocess.Popen[str]) -> None:
    # Closing its stdin is what ends it; its own clearing up is the quickest.
    if keeper.stdin is not None and not keeper.stdin.closed:
        keeper.stdin.close()
    try:
        keeper.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def _clear(place: Place) -> bool:
    """Ends and removes everything; whether the folder around it was made for it.

    The caller has the turn.
    """
    made = place.made_around.exists()
    for process in place.processes():
        if process.runs(KEEPER):
            processes.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while any(p.runs(KEEPER) for p in place.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    remaining = processes.end(place.processes)
    if remaining:
        pids = ", ".join(str(p.pid) for p in remaining)
        raise Failed(
            "processes-remain",
            f"Processes of the practice deployment would not end: {pids}.",
            "They may belong to another user; end them by hand, then: mdr sandbox down",
        )
    if place.folder.exists():
        shutil.rmtree(place.folder)
    return made


def _usable(place: Place) -> PracticeFacts | None:
    """Its facts, if it is up and one of its members answers."""
    facts = place.facts()
    if facts is None or look(place).state != "up":
        return None
    return facts if _answers(place) else None


def _answers(place: Place) -> bool:
    try:
        with connect(place.uri, seconds=5) as client:
            return bool(client.admin.command("hello", read_preference=Nearest()))
    except (PyMongoError, OSError, Trouble):
        return False


def _practice(place: Place, facts: PracticeFacts) -> Practice:
    return Practice(
        profile=PRACTICE,
        config=str(place.config),
        uri=place.uri,
        store=str(place.store),
        set=facts.set_name,
        documents=facts.documents,
        snapshot=facts.snapshot,
        kafka=facts.kafka,
    )
