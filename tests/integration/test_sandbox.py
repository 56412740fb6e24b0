"""The practice deployment as people use it: put up, broken, killed, taken down, with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from support.kafka import read
from support.streamkit import oplog_between

from mongo_dr_console.config import load_config
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo import processes
from mongo_dr_console.sandbox.kafka_install import find_jars, find_java
from mongo_dr_console.sandbox.place import KEEPER, STREAM, WORKLOAD

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

MDR = [sys.executable, "-m", "mongo_dr_console"]
_PATIENCE = 180


class Shell:
    """``mdr`` with a state folder of its own."""

    def __init__(self, base: Path) -> None:
        self.state = base / "state"
        self.folder = self.state / "practice"
        self.environment = {
            **os.environ,
            "MDR_STATE_DIR": str(self.state),
            "MDR_CONFIG": str(base / "none.toml"),
        }
        self.environment.pop("MDR_PROFILE", None)

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [*MDR, *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*MDR, *words], env=self.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )

    def pids(self, kind: Callable[[processes.OurProcess], bool]) -> list[int]:
        return [p.pid for p in processes.below(self.folder) if kind(p)]

    def assert_nothing_is_left(self) -> None:
        assert processes.below(self.folder) == []
        assert not self.state.exists()


def is_keeper(process: processes.OurProcess) -> bool:
    return process.runs(KEEPER)


def is_workload(process: processes.OurProcess) -> bool:
    return process.runs(WORKLOAD)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def kafka_can_run() -> bool:
    """Where CI is set it must."""
    try:
        return bool(find_java() and find_jars())
    except Trouble:
        assert not os.environ.get("CI"), "Java and Maven are missing"
        return False


@pytest.fixture
def shell(tmp_path: Path, mongod: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.run("sandbox", "down")


@pytest.fixture(scope="module")
def practice(
    tmp_path_factory: pytest.TempPathFactory, mongod: Path
) -> Iterator[tuple[Shell, dict[str, Any]]]:
    shell = Shell(tmp_path_factory.mktemp("practice"))
    up = shell.run("sandbox", "up", *(["--kafka"] if kafka_can_run() else []))
    yield shell, up
    assert shell.run("sandbox", "down")["removed"]
    shell.assert_nothing_is_left()


Practice = tuple[Shell, dict[str, Any]]


@pytest.fixture
def client(practice: Practice) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(practice[1]["uri"]) as client:
        yield client


def test_up_says_how_to_use_it(practice: Practice) -> None:
    shell, up = practice
    assert up["schema"] == "mdr.sandbox"
    assert (up["profile"], up["set"]) == ("practice", "practice")
    assert Path(up["config"]).stat().st_mode & 0o777 == 0o600
    assert (shell.folder / "uri").stat().st_mode & 0o777 == 0o600
    listed = shell.run("snapshots", "list")["snapshots"]
    assert [s["name"] for s in listed] == [up["snapshot"]]


def test_no_password_stands_in_a_command_line(practice: Practice) -> None:
    shell, up = practice
    secrets = {up["uri"], up["uri"].split(":")[2].split("@")[0]}
    secrets.add((shell.folder / "workload-uri").read_text().split(":")[2].split("@")[0])
    for process in processes.below(shell.folder):
        assert not [s for s in secrets for word in process.words if s in word]


def test_its_oplog_is_streamed_into_the_local_store(practice: Practice) -> None:
    shell, up = practice

    def streamed() -> bool:
        (covered, *_) = shell.run("coverage")["ranges"]
        return {f"snapshot:{up['snapshot']}", "segments:local"} <= set(covered["sources"])

    until(streamed, "the stream does not go on from the first snapshot")
    assert any((shell.folder / "store" / "oplog" / "practice").rglob("*.bson.zst"))
    agents = shell.pids(lambda p: p.runs(STREAM))
    assert len(agents) == 1
    os.kill(agents[0], signal.SIGKILL)
    until(lambda: shell.pids(lambda p: p.runs(STREAM)) not in ([], agents), "the agent is not started again")


def test_a_second_up_answers_with_the_first(practice: Practice) -> None:
    shell, up = practice
    keepers = shell.pids(is_keeper)
    assert shell.run("sandbox", "up") == up
    assert shell.pids(is_keeper) == keepers
    status = shell.run("sandbox", "status")
    assert (status["state"], status["members_running"], status["workload_running"]) == ("up", 3, True)


def test_the_workload_inserts_updates_deletes_and_commits(
    practice: Practice, client: MongoClient[Any]
) -> None:
    oplog = client.local.get_collection("oplog.rs", read_concern=ReadConcern("majority"))

    def seen() -> bool:
        entries = list(
            oplog.find({"ns": {"$in": ["shop.carts", "shop.orders", "admin.$cmd"]}, "lsid": {"$exists": 1}})
        )
        transactions = any("applyOps" in e["o"] for e in entries if e["op"] == "c")
        return transactions and {"i", "u", "d"} <= {e["op"] for e in entries}

    until(seen, "the workload does not do everything")


def _entry_at(client: MongoClient[Any], position: Position) -> dict[str, Any]:
    entry = client.local["oplog.rs"].find_one({"ts": position.timestamp})
    assert entry is not None
    return entry


@pytest.mark.parametrize(
    ("name", "namespace", "belongs"),
    [
        ("drop-collection", "shop.orders", lambda e: e["o"].get("drop") == "orders"),
        ("drop-database", "crm", lambda e: e["ns"] == "crm.$cmd" and "drop" in e["o"]),
        ("bad-update", "shop.products", lambda e: e["op"] == "u" and "lsid" not in e),
        ("mass-delete", "shop.reviews", lambda e: e["op"] == "d" and "lsid" not in e),
    ],
)
def test_a_data_incident_is_placed_at_its_first_entry(
    practice: Practice,
    client: MongoClient[Any],
    name: str,
    namespace: str,
    belongs: Callable[[dict[str, Any]], bool],
) -> None:
    happened = practice[0].run("sandbox", "incident", name)
    assert (happened["schema"], happened["namespace"]) == ("mdr.sandbox-incident", namespace)
    position = Position.parse(happened["position"])
    entry = _entry_at(client, position)
    assert belongs(entry)
    alike = {"ts": {"$lt": position.timestamp}, "op": entry["op"], "ns": entry["ns"]}
    assert not [e for e in client.local["oplog.rs"].find(alike) if belongs(e)]
    found = practice[0].run("find", "--since", "-10m", "--ns", namespace)["events"]
    assert [e["position"] for e in found] == [happened["position"]]
    if "." in namespace:
        assert happened["before"]["documents"] == _written_before(client, namespace, position)


def _written_before(client: MongoClient[Any], namespace: str, position: Position) -> int:
    """Counts the documents of a namespace from the oplog alone, which reaches back to the first one."""
    living: set[Any] = set()
    concerned = {"ts": {"$lt": position.timestamp}, "ns": {"$in": [namespace, "admin.$cmd"]}}
    for entry in client.local["oplog.rs"].find(concerned, {"o._id": 1, "o.applyOps": 1, "op": 1, "ns": 1}):
        operations = entry["o"].get("applyOps", [entry])
        for operation in operations:
            if operation["ns"] == namespace and operation["op"] == "i":
                living.add(operation["o"]["_id"])
            elif operation["ns"] == namespace and operation["op"] == "d":
                living.discard(operation["o"]["_id"])
    return len(living)


def test_an_incident_that_happened_already_is_refused(practice: Practice) -> None:
    shell, _ = practice
    refused = shell.run("--profile", "production", "sandbox", "incident", "drop-collection", code=4)
    assert refused["error"]["code"] == "not-practice"


def test_a_member_that_lags_stops_and_goes_on_by_itself(practice: Practice, client: MongoClient[Any]) -> None:
    shell, _ = practice
    happened = shell.run("sandbox", "incident", "lag", "--seconds", "20")
    assert happened["namespace"] is None

    def applied() -> list[Position]:
        members = client.admin.command("replSetGetStatus")["members"]
        return sorted(Position.of(m["optime"]["ts"]) for m in members)

    held = Position.parse(happened["position"])
    until(lambda: applied()[-1] > held and applied()[0] < held, "nobody went ahead of the member")
    assert shell.run("sandbox", "incident", "lag", code=4)["error"]["code"] == "lag-already"
    until(lambda: applied()[0] > held, "the member did not go on")
    until(lambda: not (shell.folder / "lag.json").exists(), "the lag is not said to be over")


def test_a_killed_primary_is_followed_by_another(practice: Practice, client: MongoClient[Any]) -> None:
    shell, _ = practice
    client.admin.command("ping")
    before = client.primary
    happened = shell.run("sandbox", "incident", "kill-primary")
    assert shell.run("sandbox", "status")["members_running"] == 2
    with MongoClient(practice[1]["uri"]) as after:
        entry = _entry_at(after, Position.parse(happened["position"]))
        assert entry["o"] == {"msg": "new primary"}
        assert after.primary != before


def test_its_agent_streams_into_its_kafka(practice: Practice, client: MongoClient[Any]) -> None:
    shell, up = practice
    if up["kafka"] is None:
        pytest.skip("no Java 17 or no Maven: apt-get install openjdk-17-jre-headless maven")
    config = load_config(Path(up["config"])).profiles["practice"].oplog.kafka
    assert config is not None and config.bootstrap == (up["kafka"],)
    until(lambda: "kafka" in shell.run("coverage")["ranges"][-1]["sources"], "the topic is no source")
    found = read(config)
    first, last = Link.of(found[0]).position, Link.of(found[-1]).position
    assert found[1:] == oplog_between(client, first, last)
    status = shell.run("sandbox", "status")
    assert (status["kafka"], status["kafka_running"]) == (up["kafka"], True)
    found = {f["code"]: f for f in shell.run("doctor", code=1)["findings"]}
    assert found["kafka-partitions"]["level"] == "fine"
    assert found["kafka-replicas"]["fix"]


def test_kafka_without_java_says_what_to_install_and_leaves_nothing(shell: Shell) -> None:
    shell.environment |= {"PATH": "/nowhere", "JAVA_HOME": ""}
    error = shell.run("sandbox", "up", "--kafka", code=1)["error"]
    assert error["code"] == "java-missing"
    assert "apt-get install" in error["hint"]
    shell.assert_nothing_is_left()


def test_a_killed_workload_is_started_again(practice: Practice) -> None:
    shell, _ = practice
    (killed,) = shell.pids(is_workload)
    os.kill(killed, signal.SIGKILL)
    until(lambda: shell.pids(is_workload) not in ([], [killed]), "the workload did not come back")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_keeper_takes_all_with_it_and_up_starts_afresh(practice: Practice) -> None:
    shell, up = practice
    (keeper,) = shell.pids(is_keeper)
    os.kill(keeper, signal.SIGKILL)
    until(lambda: processes.below(shell.folder) == [], "members or workload outlived the keeper")
    assert shell.run("sandbox", "status")["state"] == "broken"
    assert shell.run("sandbox", "incident", "drop-collection", code=4)["error"]["code"] == "no-practice"
    again = shell.run("sandbox", "up")
    assert again["uri"] != up["uri"]
    assert shell.run("sandbox", "status")["state"] == "up"


@pytest.mark.parametrize(
    ("step", "number", "code"),
    [("starting", signal.SIGKILL, -9), ("filling", signal.SIGINT, 130), ("taking", signal.SIGKILL, -9)],
)
def test_up_that_is_ended_in_the_middle_leaves_nothing(
    shell: Shell, step: str, number: signal.Signals, code: int
) -> None:
    up = shell.start("sandbox", "up")
    assert up.stderr is not None
    line = next(line for line in up.stderr if line.startswith(step))
    assert line
    up.send_signal(number)
    rest = up.stderr.read()
    assert up.wait(_PATIENCE) == code, rest
    assert "Traceback" not in rest
    until(lambda: processes.below(shell.folder) == [], "a process is left")
    until(lambda: not shell.state.exists(), "a file is left")


def test_two_at_once_share_one(shell: Shell) -> None:
    both = [shell.start("sandbox", "up") for _ in range(2)]
    said = [one.communicate(timeout=300)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("up already" in text for text in said) == [False, True]
    assert len(shell.pids(is_keeper)) == 1
    for pid in shell.pids(lambda p: p.is_mongod):
        os.kill(pid, signal.SIGKILL)
    assert shell.run("sandbox", "down")["removed"]
    shell.assert_nothing_is_left()


def test_a_demo_that_is_ended_leaves_nothing(shell: Shell) -> None:
    demo = shell.start("demo")
    assert demo.stderr is not None
    said = [next(line for line in demo.stderr if "sandbox incident" in line)]
    demo.send_signal(signal.SIGTERM)
    said += demo.stderr.readlines()
    assert demo.wait(_PATIENCE) == 0, said
    shell.assert_nothing_is_left()
