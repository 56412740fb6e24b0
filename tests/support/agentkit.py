"""``mdr agent`` as a process, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import StreamFacts
from mongo_dr_console.workers.streamstate import read_state
from support.prepared import PreparedProfile


def add_segments(prepared: PreparedProfile, seconds: int = 1) -> None:
    with prepared.config_file.open("a") as config:
        config.write(f"[profiles.test.oplog.segments]\nstores = ['local']\nseconds = {seconds}\n")


def add_kafka(prepared: PreparedProfile, bootstrap: str, topic: str) -> None:
    with prepared.config_file.open("a") as config:
        config.write(f"[profiles.test.oplog.kafka]\nbootstrap = ['{bootstrap}']\ntopic = '{topic}'\n")


class Agent:
    """The command as a process, that can be killed and started again."""

    def __init__(self, prepared: PreparedProfile) -> None:
        self.prepared = prepared
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mongo_dr_console", "--profile", "test", "agent"],
            env={**os.environ, "MDR_CONFIG": str(self.prepared.config_file)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(180)

    def state(self) -> StreamFacts | None:
        return read_state("test", self.prepared.profile)

    def wait_for(self, position: Position, seconds: float = 180) -> StreamFacts:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            facts = self.state()
            sinks = [] if facts is None else facts.sinks
            if facts is not None and sinks and all((s.durable or Position(0, 0)) >= position for s in sinks):
                return facts
            time.sleep(0.1)
        raise AssertionError(self.state())
