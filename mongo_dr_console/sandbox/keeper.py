"""The process that makes, keeps and ends the practice deployment.

``python -m mongo_dr_console.sandbox.keeper FOLDER [kafka]``, started by ``sandbox.practice``. The members,
the workload and the broker, where one is wanted, are its children and end with it. Until it hears ``keep`` on
its stdin, the end of that (whoever started it is gone, by Ctrl-C or kill -9) ends it, and all that it made.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from pymongo.errors import PyMongoError

from mongo_dr_console.config import PRACTICE, load_config
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.client import told
from mongo_dr_console.mongo.launch import Options, ReplicaSet, User
from mongo_dr_console.sandbox import shop
from mongo_dr_console.sandbox.kafka import LocalBroker
from mongo_dr_console.sandbox.place import HELD_BACK, STREAM, WORKLOAD, Place, PracticeFacts, write_private
from mongo_dr_console.sandbox.turn import remove_if_idle
from mongo_dr_console.workers import jobs

SET_NAME = "practice"
OPLOG_MB = 200
RESTART_SECONDS = 30
"""A member that died is started again after this long, as a service manager would."""

_LOOK_SECONDS = 0.5
_END_SECONDS = 15
_WORKLOAD_SECONDS = 1
KEEP = "keep\n"


@dataclass(slots=True)
class Keeper:
    """Everything that the practice deployment is made of, while it is."""

    place: Place
    out: TextIO
    with_kafka: bool = False
    replica_set: ReplicaSet | None = None
    workload: subprocess.Popen[bytes] | None = None
    broker: LocalBroker | None = None
    _broker_died_at: float | None = None
    stream: subprocess.Popen[bytes] | None = None
    _died_at: dict[int, float] = field(default_factory=dict)

    def make(self) -> PracticeFacts:
        """Starts the set, fills it, sets the workload to work and takes the first snapshot.

        Raises:
            Trouble: Some step of it failed.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        app = User.new("shop", [{"role": "readWrite", "db": d} for d in shop.DATABASES])
        options = Options(set_name=SET_NAME, oplog_mb=OPLOG_MB, users=(app,))
        self.tell(step="starting three mongods")
        with ThreadPoolExecutor(1, "generate") as pool:
            documents = pool.submit(shop.generate, now)
            self.replica_set = ReplicaSet.launch(self.place.set_folder, options)
            self.tell(step="filling the shop")
            try:
                with self.replica_set.client(seconds=30) as client:
                    count = shop.load(client, documents.result())
                    config = client.admin.command("replSetGetConfig")["config"]
            except PyMongoError as error:
                raise told(error) from None
        write_private(self.place.uri_file, self.replica_set.uri)
        write_private(self.place.workload_uri_file, self.replica_set.user_uri(app))
        self.place.store.mkdir(mode=0o700)
        self.place.state.mkdir(mode=0o700)
        if self.with_kafka:
            self.tell(step="starting Kafka")
            # In this thread: a process that is to die with its parent dies with the thread that started it.
            self.broker = LocalBroker.launch(self.place.kafka_folder)
        kafka = self.broker.bootstrap if self.broker else None
        self.place.write_config(kafka)
        self.start_workload()
        self.tell(step="taking the first snapshot")
        facts = PracticeFacts(
            set_name=SET_NAME,
            replica_set_id=str(config["settings"]["replicaSetId"]),
            members=tuple(m.port for m in self.replica_set.members),
            documents=count,
            snapshot=self.take_snapshot(),
            kafka=kafka,
        )
        self.place.write_facts(facts)
        self.start_stream()
        return facts

    def take_snapshot(self) -> str | None:
        """The job that ``mdr backup`` runs. Raises Failed where it does not end well."""
        profile = load_config(self.place.config).profiles[PRACTICE]
        request: dict[str, Any] = {"stores": None, "compression": "gzip", "databases": []}
        job = jobs.create(PRACTICE, profile, self.place.config, "backup", request)
        jobs.launch(job)
        for _ in jobs.follow_batches(job):
            pass
        view = jobs.load(job)
        if view.state != "done":
            error = view.error
            raise Failed(
                "first-snapshot", f"The first snapshot failed: {error.message if error else view.state}"
            )
        return (view.result or {}).get("snapshot")

    def start_workload(self) -> None:
        self.workload = self._child(WORKLOAD, str(self.place.folder))

    def _child(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.Popen(
            processes.die_with_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )

    def start_stream(self) -> None:
        """The oplog into the local store, and into the topic where there is one, as ``mdr agent`` does it."""
        self.stream = self._child(STREAM, str(self.place.config), PRACTICE)

    def keep(self, stopped: threading.Event) -> None:
        """Starts again what dies, ends a lag that is over, until told to stop or the folder is gone."""
        while not stopped.wait(_LOOK_SECONDS) and self.place.facts_file.exists():
            self._look_after_members()
            self._look_after_workload()
            self._look_after_broker()
            self._end_lag()

    def clear(self) -> None:
        """Ends every process of the folder but this one, and removes the folder."""
        me = os.getpid()
        processes.end(lambda: [p for p in self.place.processes() if p.pid != me])
        made = self.place.made_around.exists()
        shutil.rmtree(self.place.folder, ignore_errors=True)
        if made:
            remove_if_idle(self.place.folder.parent)

    def tell(self, **line: Any) -> None:
        """A line of JSON to whoever started us and may be gone."""
        try:
            print(json.dumps(line), file=self.out, flush=True)
        except (BrokenPipeError, ValueError):
            return

    def _look_after_members(self) -> None:
        assert self.replica_set is not None
        for index, member in enumerate(self.replica_set.members):
            if member.alive:
                self._died_at.pop(index, None)
            elif time.monotonic() - self._died_at.setdefault(index, time.monotonic()) > RESTART_SECONDS:
                del self._died_at[index]
                try:
                    self.replica_set.start(index)
                except Trouble as trouble:
                    print(trouble, file=sys.stderr, flush=True)

    def _look_after_workload(self) -> None:
        if self.workload is not None and self.workload.poll() is not None:
            time.sleep(_WORKLOAD_SECONDS * random.random())
            self.start_workload()
        if self.stream is not None and self.stream.poll() is not None:
            self.start_stream()

    def _look_after_broker(self) -> None:
        if self.broker is None or self.broker.alive:
            self._broker_died_at = None
            return
        if self._broker_died_at is None:
            self._broker_died_at = time.monotonic()
        elif time.monotonic() - self._broker_died_at > RESTART_SECONDS:
            self._broker_died_at = None
            try:
                self.broker.start()
            except Trouble as trouble:
                print(trouble, file=sys.stderr, flush=True)

    def _end_lag(self) -> None:
        lag = self.place.lag()
        if lag is None or time.time() < lag.until:
            return
        assert self.replica_set is not None
        for index, member in enumerate(self.replica_set.members):
            if member.port == lag.port and member.alive:
                try:
                    with self.replica_set.member_client(index, seconds=5) as client:
                        client.admin.command("configureFailPoint", HELD_BACK, mode="off")
                except PyMongoError as error:
                    print(told(error), file=sys.stderr, flush=True)
                    return
        self.place.lag_file.unlink(missing_ok=True)


class _Told(BaseException):
    """Somebody wants it to end."""


def _listen(keeper: Keeper, stopped: threading.Event, cleared: threading.Event) -> None:
    """Hears whether whoever started us wants it kept, or is gone."""
    if sys.stdin.readline() == KEEP or stopped.is_set():
        return
    os.kill(os.getpid(), signal.SIGTERM)
    # An exception out of a signal's handler can leave a lock of the standard library taken, and the main
    # thread waiting for it.
    if not cleared.wait(_END_SECONDS):
        keeper.clear()
        os._exit(1)


def main(words: list[str]) -> int:
    stopped, cleared = threading.Event(), threading.Event()

    def told_to_end(*_: object) -> None:
        if not stopped.is_set():
            stopped.set()
            raise _Told

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told_to_end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keeper = Keeper(Place(Path(words[0])), sys.stdout, with_kafka="kafka" in words[1:])
    try:
        threading.Thread(target=_listen, args=(keeper, stopped, cleared), daemon=True).start()
        keeper.tell(ready=keeper.make().model_dump(mode="json"))
        keeper.keep(stopped)
    except _Told:
        return 0
    except Trouble as trouble:
        keeper.tell(trouble={"code": trouble.code, "message": trouble.message, "hint": trouble.hint})
        return 1
    finally:
        stopped.set()
        keeper.clear()
        cleared.set()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Without waiting for threads: one that was being started when a signal came may wait for work for ever.
    os._exit(code)
