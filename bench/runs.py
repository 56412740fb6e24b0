"""Running what is measured: our jobs as processes of their own, as a user's are, and the real tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.engines.mongo_tools.tools import ToolName, find_tool
from mongo_dr_console.model.journal import JobEnded, JobStarted, decode_all
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StepDone, StepStarted
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan

PROFILE = "bench"
_LOOK_SECONDS = 0.02
_TOOL_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\S*\t(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Args:
        seconds: Of the work itself.
        process: Seconds of the whole process, its start with it.
        peak: Bytes of memory that it held at most (``VmHWM``).
        steps: Seconds of each of its steps.
        result: The job's result.
    """

    seconds: float
    process: float
    peak: int
    steps: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """A profile for a set, with a store, below one folder."""

    config_file: Path
    profile: Profile
    store: Path

    @classmethod
    def make(cls, folder: Path, replica_set: ReplicaSet) -> Place:
        folder.mkdir(parents=True, exist_ok=True)
        config, store = folder / "config.toml", folder / "store"
        text = (
            f"[profiles.{PROFILE}]\nuri = '{replica_set.uri}'\nenvironment = 'bench'\naccess = 'restore'\n"
            f"state_dir = '{folder / 'state'}'\n"
            f"[profiles.{PROFILE}.stores.local]\ntype = 'local'\npath = '{store}'\n"
        )
        config.touch(mode=0o600)
        config.write_text(text)
        return cls(config, load_config(config).profiles[PROFILE], store)

    def backup(self, compression: str) -> Run:
        return self._job("backup", {"stores": None, "compression": compression, "databases": None})

    def restore(self, snapshot: str, through: str | None = None) -> Run:
        """Puts everything back as it was at the end of the snapshot, or through a position."""
        intent = Intent(snapshot=snapshot, through=through, namespaces=(), mode="swap")
        deployments = open_deployments(PROFILE, self.profile, None)
        plan = make_plan(PROFILE, self.profile, intent, deployments)
        return self._job("restore", {"plan": plan.to_json()})

    def _job(self, kind: str, request: dict[str, Any]) -> Run:
        os.sync()
        folder = jobs.create(PROFILE, self.profile, self.config_file, kind, request)
        words = [sys.executable, "-m", "mongo_dr_console.workers.job", str(folder.path)]
        process, peak = _run(words, folder.path / "stderr.log")
        lines = decode_all(folder.journal.read_bytes())
        begun = next(line.at for line in lines if isinstance(line.event, JobStarted))
        ended = next(line for line in lines if isinstance(line.event, JobEnded))
        assert isinstance(ended.event, JobEnded)
        if ended.event.state != "done":
            raise SystemExit(f"the {kind} ended {ended.event.state}: {ended.event.error}")
        starts = {line.event.step: line.at for line in lines if isinstance(line.event, StepStarted)}
        steps = {
            line.event.step: (line.at - starts[line.event.step]).total_seconds()
            for line in lines
            if isinstance(line.event, StepDone) and line.event.step in starts
        }
        return Run((ended.at - begun).total_seconds(), process, peak, steps, ended.event.result)


@dataclass(frozen=True, slots=True)
class Tools:
    """The installed mongodump and mongorestore."""

    dump: Path
    restore: Path

    @classmethod
    def find(cls) -> Tools | None:
        """In the folder that ``MDR_MONGO_TOOLS`` names, else on PATH; None where one is missing."""
        names: tuple[ToolName, ToolName] = ("mongodump", "mongorestore")
        try:
            return cls(*(find_tool(name).path for name in names))
        except Trouble:
            return None

    def run_dump(self, uri: str, out: Path, flags: list[str]) -> Run:
        shutil.rmtree(out, ignore_errors=True)
        os.sync()
        words = [str(self.dump), f"--uri={uri}", f"--out={out}", "--oplog", *flags]
        seconds, peak = _run(words, out.with_suffix(".log"))
        return Run(seconds, seconds, peak)

    def run_restore(self, uri: str, folder: Path, flags: list[str], log: Path) -> Run:
        """``steps`` has how long the replay took, as its own lines tell."""
        os.sync()
        seconds, peak = _run([str(self.restore), f"--uri={uri}", *flags, str(folder)], log)
        told = log.read_text()
        if not re.search(r"\d+ document\(s\) restored successfully\. 0 document\(s\) failed", told):
            raise SystemExit(f"mongorestore did not restore everything: {told[-500:]}")
        return Run(seconds, seconds, peak, _replayed(told))


def _replayed(told: str) -> dict[str, float]:
    def at(start: str) -> float | None:
        for time_text, line in _TOOL_TIME.findall(told):
            if line.startswith(start):
                parsed = time.strptime(time_text[:19], "%Y-%m-%dT%H:%M:%S")
                return time.mktime(parsed) + float(time_text[19:])
        return None

    begun, ended = at("replaying oplog"), at("applied ")
    return {} if begun is None or ended is None else {"replay": ended - begun}


def _run(words: list[str], log: Path) -> tuple[float, int]:
    """Seconds and peak memory of a process; its standard error goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    peak = 0
    with log.open("wb") as error:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=error)
        # What the kernel counts for an ended child has its parent's memory in it: so it is looked at alive.
        while True:
            peak = max(peak, _peak(process.pid))
            try:
                process.wait(_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{words[0]} ended with {process.returncode}: {log.read_text()[-500:]}")
    return seconds, peak


def _peak(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def position_now(replica_set: ReplicaSet) -> Position:
    with closing(replica_set.client()) as client:
        reply = client.admin.command(
            {"appendOplogNote": 1, "data": {"bench": 1}, "writeConcern": {"w": "majority"}}
        )
        return Position.of(reply["operationTime"])


def stored(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
