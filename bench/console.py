"""What the console costs and how fast it answers, measured from outside on a real terminal.

Each figure stands beside its target; beyond twice the target the run fails. Servers of its own are started on
this machine and removed.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO)]

from support.prepared import PreparedProfile, prepare  # noqa: E402
from support.terminal import Terminal, cpu_seconds_of  # noqa: E402

from mongo_dr_console.mongo.launch import Options, ReplicaSet  # noqa: E402

CONSOLE = [sys.executable, "-m", "mongo_dr_console", "--profile", "test", "console", "--no-mouse"]
HANGING = [sys.executable, str(REPO / "bench" / "hanging.py")]
WIDE, SMALL = (120, 36), (80, 24)
FIGURES = ["dead", "hanging", "job", "warm", "keys", "idle"]
MEMBERS = 7

DRAWN = ("Replica set", "Backups", "Events", "1-6 panel")
"""What a whole first frame has: panels from top to bottom, and the footer."""

STARTS = 7
KEY_ROUNDS = 30
JOB_ROUNDS = 20
SETTLE_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Args:
        unit: With how it is written.
        beside: More of the same measurement, in words.
    """

    name: str
    value: float
    target: float
    unit: str
    beside: str

    @property
    def mark(self) -> str:
        if self.value <= self.target:
            return "ok"
        return "over" if self.value <= 2 * self.target else "FAILED"

    def __str__(self) -> str:
        value, target = f"{self.value:.3g} {self.unit}", f"{self.target:g} {self.unit}"
        return f"{self.mark:6}  {self.name:44}  {value:>10}  target {target:>9}   {self.beside}"


def first_paint(environment: dict[str, str], where: str, target: float) -> Figure:
    """From the start of the process to the first whole frame, by a console whose modules are compiled."""
    found = []
    for _ in range(STARTS + 1):
        with Terminal(CONSOLE, env=environment, size=WIDE) as terminal:
            terminal.wait_for(_whole, what="a first whole frame")
            found.append(terminal.last_output - terminal.started)
            terminal.press("Q")
            terminal.wait()
    found = found[1:]  # the first one compiles what was changed
    middle = statistics.median(found)
    beside = f"median of {STARTS}; best {min(found):.2f} s, worst {max(found):.2f} s"
    return Figure(f"first paint, {where}", middle, target, "s", beside)


def _whole(text: str) -> bool:
    return all(word in text for word in DRAWN)


def keys_answer(
    command: Sequence[str], environment: dict[str, str], where: str, target: float, ready: str = ""
) -> Figure:
    """From a key to what it changes on the screen, which shows ``ready`` before the first one."""
    found: list[float] = []
    with Terminal(command, env=environment, size=WIDE) as terminal:
        terminal.wait_for(lambda text: _whole(text) and ready in text, what="a first whole frame")

        def timed(key: str, changed: Callable[[str], object]) -> None:
            pressed = time.monotonic()
            terminal.press(key)
            terminal.wait_for(changed, seconds=10, what=f"what {key!r} does")
            found.append(terminal.last_output - pressed)

        for _ in range(KEY_ROUNDS):
            for number in "234561":
                timed(number, lambda text, n=number: f"▶ {n}" in text or f"▶{n}" in text)  # type: ignore[misc]
            timed("z", lambda text: "Backups" not in text)
            timed("z", lambda text: "Backups" in text)
            timed(":", lambda text: "a few letters" in text)
            typed = ""
            for letter in "refresh":
                typed += letter
                timed(letter, lambda text, typed=typed: f": {typed} " in text)  # type: ignore[misc]
            terminal.press("escape")
            terminal.wait_for(_whole, what="the dashboard again")
        terminal.press("Q")
        terminal.wait()
    found.sort()
    worst, p99 = found[-1], found[min(len(found) - 1, round(len(found) * 0.99))]
    beside = (
        f"{len(found)} keys; median {1000 * statistics.median(found):.0f} ms, worst {1000 * worst:.0f} ms"
    )
    return Figure(f"a key's answer (p99), {where}", 1000 * p99, target, "ms", beside)


def idle(replica_set: ReplicaSet, environment: dict[str, str], seconds: float) -> list[Figure]:
    """What a console that nobody touches costs on a living deployment: its own bytes and processor time, and
    the members' processor time beyond what they use without it, before and after."""
    alone = _members_share(replica_set, seconds / 2)
    with Terminal(CONSOLE, env=environment, size=WIDE) as terminal:
        terminal.wait_for(lambda text: _whole(text) and "PRIMARY" in text, what="the set's members")
        time.sleep(SETTLE_SECONDS)
        began, sent, used, drawn = time.monotonic(), terminal.bytes_out, terminal.cpu_seconds, terminal.frames
        watched = _members_share(replica_set, seconds)
        took = time.monotonic() - began
        rate = (terminal.bytes_out - sent) / took
        share = 100 * (terminal.cpu_seconds - used) / took
        frames = (terminal.frames - drawn) / took
        terminal.press("Q")
        terminal.wait()
    time.sleep(SETTLE_SECONDS)
    alone = (alone + _members_share(replica_set, seconds / 2)) / 2
    over = f"over {took:.0f} s, {frames:.1f} frames/s"
    members = f"of one core, all {MEMBERS} members together: {watched:.1f} % with it, {alone:.1f} % without"
    return [
        Figure("idle traffic, polling every 2 s", rate / 1000, 1.0, "kB/s", over),
        Figure("processor time, idle", share, 3.0, "%", f"of one core, {over}"),
        Figure("pollers, on the servers' side", watched - alone, 1.0, "%", members),
    ]


def _members_share(replica_set: ReplicaSet, seconds: float) -> float:
    """Processor time that all members used together for so long, in % of one core."""
    pids = [member.process.pid for member in replica_set.members if member.process is not None]
    began, used = time.monotonic(), sum(map(cpu_seconds_of, pids))
    time.sleep(seconds)
    return 100 * (sum(map(cpu_seconds_of, pids)) - used) / (time.monotonic() - began)


def one_job(environment: dict[str, str]) -> Figure:
    """From a job's step in its journal to both of two consoles that are attached to it."""
    from support.engineer import Engineer
    from support.jobkit import LOADING, held, make_job, write

    from mongo_dr_console.model.progress import StepProgress, StepStarted

    os.environ.update({name: environment[name] for name in ("MDR_CONFIG", "MDR_STATE_DIR")})
    folder = make_job("restore", *LOADING)
    found: list[float] = []
    words = ("--profile", "test", "console", "--no-mouse")
    consoles = [Engineer(environment, size, words) for size in (WIDE, SMALL)]
    with held(folder), consoles[0].terminal, consoles[1].terminal:
        for console in consoles:
            console.sees("1-6 panel")
            console.attaches(folder.id)
        for number in range(JOB_ROUNDS):
            step = f"step-{number}"
            write(folder, StepStarted(step, 9, "operations"), StepProgress(step, 3))
            written = time.monotonic()
            for console in consoles:
                console.sees(f"● {step}")
            found.append(max(console.terminal.last_output for console in consoles) - written)
    beside = f"{JOB_ROUNDS} steps; median {statistics.median(found):.2f} s"
    return Figure("a job's step, on both of two consoles (worst)", max(found), 2.0, "s", beside)


@contextmanager
def dead(folder: Path) -> Iterator[dict[str, str]]:
    """A profile of which nothing answers: nobody listens on the ports of members, bucket and broker, and the
    folder of its local store is gone."""
    with ExitStack() as held:
        hosts = [f"127.0.0.1:{_port_without_listener(held)}" for _ in range(5)]
        prepared, environment = _prepared(folder / "dead", f"mongodb://{','.join(hosts[:3])}/?replicaSet=rs")
        with prepared.config_file.open("a") as config:
            config.write(
                "[profiles.test.stores.s3]\ntype = 's3'\nbucket = 'none'\nregion = 'eu-central-1'\n"
                f"endpoint = 'http://{hosts[3]}'\n"
                f"[profiles.test.oplog.kafka]\nbootstrap = ['{hosts[4]}']\ntopic = 'oplog-backup'\n"
            )
        prepared.store.rmdir()
        yield environment | {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}


def _port_without_listener(held: ExitStack) -> int:
    taken = held.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return int(taken.getsockname()[1])


@contextmanager
def alive(folder: Path) -> Iterator[tuple[ReplicaSet, dict[str, str]]]:
    """A profile with a replica set of seven and a first snapshot."""
    from support.jobs import mdr

    replica_set = ReplicaSet.launch(folder / "set", Options(nodes=MEMBERS, set_name="rs"))
    try:
        replica_set.wait_for_members()
        prepared, environment = _prepared(folder / "alive", replica_set.uri)
        os.environ.update(environment)
        mdr(prepared, "backup")
        yield replica_set, environment
    finally:
        replica_set.close()


def _prepared(folder: Path, uri: str) -> tuple[PreparedProfile, dict[str, str]]:
    state = folder / "state"
    state.mkdir(parents=True)
    prepared = prepare(folder, uri, state)
    told = {
        "MDR_CONFIG": str(prepared.config_file),
        "MDR_STATE_DIR": str(state),
        "TEXTUAL_ANIMATIONS": "none",
    }
    left_out = ("MDR_PROFILE", "NO_COLOR", "TMUX", "STY", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    return prepared, {**environment, **told, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the idle console is watched")
    parser.add_argument("only", nargs="*", choices=[*FIGURES, []], help="these alone")
    asked = parser.parse_args()
    wanted = asked.only or FIGURES
    figures: list[Figure] = []

    def tell(figure: Figure) -> None:
        figures.append(figure)
        print(figure, flush=True)

    with tempfile.TemporaryDirectory(prefix="mdr-bench-") as name:
        folder = Path(name)
        with dead(folder) as environment:
            if "dead" in wanted:
                tell(first_paint(environment, "nothing answers", 1.0))
            if "hanging" in wanted:
                tell(keys_answer(HANGING, environment, "three sources hanging", 100))
            if "job" in wanted:
                tell(one_job(environment))
        if {"warm", "keys", "idle"} & set(wanted):
            with alive(folder) as (replica_set, environment):
                if "warm" in wanted:
                    tell(first_paint(environment, "warm", 0.5))
                if "keys" in wanted:
                    tell(keys_answer(CONSOLE, environment, f"polling {MEMBERS} members", 50, "PRIMARY"))
                if "idle" in wanted:
                    for figure in idle(replica_set, environment, asked.seconds):
                        tell(figure)
    return int(any(f.mark == "FAILED" for f in figures))


if __name__ == "__main__":
    sys.exit(main())
