"""Bad input: each ends in a clear error with what to do and the right exit code, and nothing is changed."""

from __future__ import annotations

import codecs
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import twin
from support.jobs import Answer, mdr
from support.scene import SECRET, Scene, call, edit_json, files_in, make_scene, refused, told, write_config

from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import HOST, HeldPort
from mongo_dr_console.mongo.mongod import find_mongod
from mongo_dr_console.mongo.oplog import ends

# Without a deployment


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    (tmp_path / "uri").write_text(f"mongodb://u:{SECRET}@127.0.0.1:1/", encoding="utf-8")
    write_config(path, uri_file=tmp_path / "uri", store=tmp_path / "store", state=tmp_path / "state")
    return path


COMMANDS = {
    ("restore", "plan"): 2,
    ("backup",): 2,
    ("snapshots", "list"): 2,
    ("jobs", "list"): 2,
    ("find",): 2,
    ("coverage",): 2,
    ("config", "check"): 2,
    ("status",): 3,
    ("doctor",): 3,
}

WRONG_CONFIGS = {
    "missing": (None, "config-missing", ["mdr config init"]),
    "no TOML": ("[profiles.test\n", "config-not-toml", ["line 1"]),
    "unknown key": (
        f"[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\nacces = 'watch'\n",
        "config-wrong",
        ["line 3", "acces", "access"],
    ),
    "wrong value": (
        f"[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\n\naccess = 'everything'\n",
        "config-wrong",
        ["line 4", "access", "watch", "operate", "restore"],
    ),
    "wrong duration": (
        f"[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\n[profiles.test.targets]\nrpo = 'soon'\n",
        "config-wrong",
        ["line 4", "rpo", "60s"],
    ),
    "two ways in": (
        f"[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\nuri_env = 'X'\n",
        "config-wrong",
        ["exactly one of uri, uri_file and uri_env"],
    ),
    "store without a type": (
        f"[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\n[profiles.test.stores.a]\npath = '/x'\n",
        "config-wrong",
        ["line 3", "type", "local"],
    ),
    "an unknown default": (
        f"default_profile = 'prod'\n[profiles.test]\nuri = 'mongodb://u:{SECRET}@h'\n",
        "config-wrong",
        ["line 1", "default_profile", "test"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG_CONFIGS)
def test_a_wrong_config_names_key_and_line_and_what_is_allowed(wrong: str, tmp_path: Path) -> None:
    text, code, says = WRONG_CONFIGS[wrong]
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    for words, exit_code in COMMANDS.items():
        refused(path, words, code, exit_code, str(path), *says)
    assert sorted(p.name for p in tmp_path.iterdir()) == ([path.name] if text is not None else [])


WRONG_USES = {
    "unknown profile": (("--profile", "prod", "restore", "plan"), "profile-unknown", 2, ["prod", "test"]),
    "unknown profile, status": (("--profile", "prod", "status"), "profile-unknown", 3, ["test"]),
    "unknown option": (("restore", "plan", "--nope"), "usage", 2, ["--nope", "--help"]),
    "unknown option, status": (("status", "--nope"), "usage", 3, ["--nope"]),
    "unknown option, doctor": (("-p", "test", "doctor", "--nope"), "usage", 3, ["--nope"]),
    "unknown option, sandbox": (("sandbox", "status", "--nope"), "usage", 2, ["--nope"]),
    "a profile called status": (("--profile", "status", "find", "--nope"), "usage", 2, ["--nope"]),
    "unknown command": (("restor",), "usage", 2, ["restor"]),
    "unknown mode": (("restore", "plan", "--mode", "over"), "usage", 2, ["swap", "in-place", "beside"]),
    "level too high": (("snapshots", "verify", "latest", "--level", "9"), "usage", 2, ["--level"]),
    "no name": (("snapshots", "show"), "usage", 2, ["NAME"]),
    "mapping": (("restore", "plan", "--map", "a.b"), "map-wrong", 2, ["a.b", "db.coll=db.coll"]),
    "unknown job": (("jobs", "show", "ffff"), "job-unknown", 2, ["ffff", "mdr jobs list"]),
    "unknown job, undo": (("restore", "undo", "ffff"), "job-unknown", 2, ["mdr jobs list"]),
    "unknown job, accept": (("restore", "accept", "ffff"), "job-unknown", 2, ["mdr jobs list"]),
    "no job at all": (("jobs", "attach", ""), "job-unknown", 2, ["mdr jobs list"]),
    "a path as a job": (("jobs", "show", "../.."), "job-unknown", 2, ["mdr jobs list"]),
    "unknown store": (("backup", "--store", "s3"), "store-unknown", 2, ["s3", "local"]),
    "no folder of the store": (("snapshots", "list"), "store-missing", 3, ["local", "store"]),
}


@pytest.mark.parametrize("use", WRONG_USES)
def test_wrong_use(use: str, config: Path) -> None:
    words, code, exit_code, says = WRONG_USES[use]
    before = files_in(config.parent)
    refused(config, words, code, exit_code, *says)
    assert files_in(config.parent) == before


def test_no_plan_is_read_as_one(config: Path, tmp_path: Path) -> None:
    for name, text in {
        "none": None,
        "text": "hello",
        "json": "[1]",
        "other": '{"schema": "mdr.find"}',
    }.items():
        path = tmp_path / name
        if text is not None:
            path.write_text(text, encoding="utf-8")
        refused(config, ("restore", "run", "--plan", str(path)), "plan-unreadable", 2, str(path))
    path.write_bytes(b"\xff\xfe\x00")
    refused(config, ("restore", "run", "--plan", str(path)), "plan-unreadable", 2, str(path))
    refused(config, ("restore", "run", "--plan", str(tmp_path)), "plan-unreadable", 2, str(tmp_path))


def test_a_plan_goes_with_no_other_option(config: Path) -> None:
    for option in (
        ("--before", "latest"),
        ("--through", "latest"),
        ("--snapshot", "x"),
        ("--store", "local"),
        ("--skip", "x"),
        ("--ns", "a"),
        ("--map", "a=b"),
        ("--to", "x"),
        ("--mode", "in-place"),
    ):
        refused(config, ("restore", "run", "--plan", "p", *option), "plan-and-options", 2, "--plan")


@pytest.mark.parametrize(
    ("access", "words", "needed"),
    [
        ("watch", ("backup",), "operate"),
        ("watch", ("snapshots", "verify", "latest"), "operate"),
        ("watch", ("restore", "run"), "restore"),
        ("operate", ("restore", "run"), "restore"),
        ("operate", ("restore", "undo", "ffff"), "restore"),
        ("operate", ("restore", "accept", "ffff"), "restore"),
        ("operate", ("jobs", "unlock"), "restore"),
    ],
)
def test_access(access: str, words: tuple[str, ...], needed: str, config: Path) -> None:
    config.write_text(config.read_text().replace("'restore'", f"'{access}'"), encoding="utf-8")
    refused(config, words, "access", 4, access, needed, "Nothing was changed")


@pytest.mark.parametrize(
    "words", [("backup",), ("restore", "run"), ("restore", "undo", "f"), ("restore", "accept", "f")]
)
def test_a_change_wants_one_of_several_profiles_named(words: tuple[str, ...], config: Path) -> None:
    text = config.read_text()
    more = f"[profiles.other]\nuri = 'mongodb://u:{SECRET}@127.0.0.1:1'\n"
    config.write_text(f"{text}\n{more}", encoding="utf-8")
    refused(config, words, "profile-unsaid", 2, "--profile")
    config.write_text(f"default_profile = 'test'\n{text}\n{more}", encoding="utf-8")
    refused(config, words, "profile-unsaid", 2, "--profile")


WRONG_URIS = {
    "nothing": "",
    "no scheme": f"u:{SECRET}@localhost",
    "no host": "mongodb://",
    "another scheme": f"http://u:{SECRET}@localhost",
    "a slash in the password": f"mongodb://u:x/{SECRET}@localhost/",
    "an at in the password": f"mongodb://u:x@{SECRET}@localhost/",
    "a colon in the password": f"mongodb://u:x:{SECRET}@localhost/",
    "an at and a slash in the password": f"mongodb://u:x@y/{SECRET}@localhost/",
    "a question mark in the password": f"mongodb://u:x?{SECRET}@localhost/",
    "a percent in the password": f"mongodb://u:x%{SECRET}@localhost/",
    "a port that is none": f"mongodb://u:{SECRET}@localhost:seven/",
    "a value that is none": f"mongodb://u:{SECRET}@localhost/?tls=maybe",
    "a file that is not there": f"mongodb://u:{SECRET}@localhost/?tls=true&tlsCAFile=/nowhere/ca",
}


@pytest.mark.parametrize("wrong", WRONG_URIS)
def test_a_uri_that_cannot_be_understood(wrong: str, config: Path) -> None:
    (config.parent / "uri").write_text(WRONG_URIS[wrong], encoding="utf-8")
    code = "uri-wrong" if WRONG_URIS[wrong] else "uri-missing"
    before = files_in(config.parent)
    for words in (("restore", "plan"), ("find",)):
        refused(config, words, code, 2)
    # Readings carry their errors, so the verdict is told from what there is.
    for command in ("status", "doctor"):
        answer = call(config, command, "--json")
        assert answer.code in (2, 3), answer
        assert code in answer.out
        assert SECRET not in answer.out + answer.err
    assert files_in(config.parent) == before


def test_a_uri_that_is_not_there(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config.parent / "uri").unlink()
    refused(config, ("restore", "plan"), "uri-missing", 2, str(config.parent / "uri"), "uri_file")
    monkeypatch.delenv("MDR_TEST_URI", raising=False)
    config.write_text("[profiles.test]\nuri_env = 'MDR_TEST_URI'\n", encoding="utf-8")
    refused(config, ("restore", "plan"), "uri-missing", 2, "MDR_TEST_URI")


def run_all(config: Path, *commands: tuple[str, ...]) -> list[Answer]:
    """Commands as processes, all at once: each of them waits for the deployment."""
    prepared = type("Prepared", (), {"name": "test", "config_file": config})
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: mdr(prepared, *words, "--json"), commands))


def test_a_host_that_does_not_answer(config: Path) -> None:
    (config.parent / "store").mkdir()
    plan, find, backup, status, doctor = run_all(
        config, ("restore", "plan"), ("find",), ("backup",), ("status",), ("doctor",)
    )
    for answer in (plan, find, backup):
        error = told(answer, "deployment-unreachable", 3, "127.0.0.1:1", "mdr status")
        assert "Topology" not in error["message"]
    assert status.code == 2, "nothing answers: critical"
    assert doctor.code == 2
    assert "deployment-unreachable" in status.out
    assert list((config.parent / "store").iterdir()) == []


@pytest.fixture
def standalone(mongod: Path, sets_folder: Path) -> Iterator[str]:
    folder = sets_folder / "standalone"
    folder.mkdir()
    with HeldPort() as port:
        process = subprocess.Popen(
            [str(find_mongod()), "--dbpath", str(folder), "--port", str(port), "--bind_ip", HOST],
            stdout=subprocess.DEVNULL,
        )
        try:
            with closing(connect(f"mongodb://{HOST}:{port}/", seconds=120)) as client:
                client.admin.command("ping")
            yield f"mongodb://{HOST}:{port}/"
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder)


@pytest.mark.mongod
def test_a_server_that_is_no_replica_set(standalone: str, config: Path) -> None:
    (config.parent / "store").mkdir()
    (config.parent / "uri").write_text(standalone, encoding="utf-8")
    answers = run_all(config, ("restore", "plan"), ("backup",), ("find",), ("status",), ("doctor",))
    for answer in answers[:2]:
        told(answer, "not-a-replica-set", 4, "not a member of a replica set", "replica set")
    told(answers[2], "oplog-missing", 1, "no oplog")
    for answer in answers[3:]:
        assert answer.code == 2
        assert "not-a-replica-set" in answer.out or "not a member of a replica set" in answer.out
    assert list((config.parent / "store").iterdir()) == []


# With a deployment


@pytest.fixture(scope="module")
def shared_scene(replica_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    database = f"t_bad_{os.getpid()}"
    with closing(replica_set.client()) as client:
        yield make_scene(replica_set, client, tmp_path_factory.mktemp("bad"), database)
        client.drop_database(database)


@pytest.fixture
def scene(shared_scene: Scene) -> Iterator[Scene]:
    """Whatever a test does to the snapshot is undone after it."""
    kept = shared_scene.store.with_name("kept")
    shutil.copytree(shared_scene.store, kept)
    yield shared_scene
    shutil.rmtree(shared_scene.store)
    kept.rename(shared_scene.store)


@pytest.mark.mongod
def test_a_wrong_password(scene: Scene, tmp_path: Path) -> None:
    uri = scene.replica_set.uri.replace(scene.replica_set.tool.password, SECRET)
    (tmp_path / "uri").write_text(uri, encoding="utf-8")
    path = tmp_path / "config.toml"
    write_config(path, uri_file=tmp_path / "uri", store=scene.store, state=tmp_path / "state")
    with scene.untouched():
        plan, find, backup, status, doctor = run_all(
            path, ("restore", "plan"), ("find",), ("backup",), ("status",), ("doctor",)
        )
        for answer in (plan, find, backup):
            told(answer, "authentication-failed", 3, "password", "authSource")
        assert "authentication-failed" in status.out
        assert status.code in (2, 3)
        assert doctor.code == 2
        for answer in (status, doctor):
            assert SECRET not in answer.out + answer.err


WRONG_LIMITS = {
    "no offset": (
        ("--before", "2026-11-22T02:11:31"),
        "time-naive",
        2,
        ["no offset", "2026-11-22T02:11:31Z"],
    ),
    "a fraction": (("--before", "2026-11-22T02:11:31.5Z"), "time-fraction", 2, ["fraction", "t:i"]),
    "no time": (("--through", "yesterday"), "time-wrong", 2, ["yesterday", "2026-11-22T02:11:31Z"]),
    "a date alone": (("--through", "2026-11-22"), "time-wrong", 2, ["not a whole time"]),
    "no such day": (("--before", "2026-02-30T00:00:00Z"), "time-wrong", 2, ["2026-02-30"]),
    "no position": (("--before", "1:2:3"), "time-wrong", 2, ["1:2:3"]),
    "too large a position": (("--before", "99999999999:1"), "time-wrong", 2, ["99999999999"]),
    "long ago": (
        ("--before", "1980-01-01T00:00:00Z"),
        "limit-outside-coverage",
        4,
        ["oldest", "mdr coverage"],
    ),
    "long ago, a position": (("--through", "1:1"), "limit-outside-coverage", 4, ["mdr coverage"]),
    "in the future": (("--before", "2100-01-01T00:00:00Z"), "limit-outside-coverage", 4, ["newest entry"]),
    "in the future, through": (("--through", "4102444800:1"), "limit-outside-coverage", 4, ["newest"]),
    "two limits": (("--before", "1:1", "--through", "1:1"), "two-limits", 2, ["--before", "--through"]),
    "unknown event": (("--before", "event:ffffffff"), "event-unknown", 2, ["ffffffff", "mdr find"]),
    "unknown event to skip": (("--skip", "ffffffff"), "event-unknown", 2, ["ffffffff", "mdr find"]),
    "unknown namespace": (("--ns", "nowhere.nothing"), "namespace-unknown", 2, ["nowhere.nothing"]),
    "one namespace unknown": (("--ns", "DB.orders", "--ns", "DB.orderz"), "namespace-unknown", 2, ["orderz"]),
    "unknown snapshot": (("--snapshot", "20200101_000000"), "snapshot-unknown", 2, ["SNAPSHOT"]),
    "unknown store": (("--store", "s3"), "store-unknown", 2, ["s3", "local"]),
    "unknown target": (("--to", "prod"), "profile-unknown", 2, ["prod", "test"]),
    "a mapping of nothing": (
        ("--ns", "DB.orders", "--map", "DB.orderz=DB.old"),
        "map-unmatched",
        2,
        ["orderz", "--map"],
    ),
    "a mapping onto the server's own": (
        ("--ns", "DB.orders", "--map", "DB.orders=admin.orders"),
        "target-forbidden",
        2,
        ["admin.orders"],
    ),
    "a mapping onto a system collection": (
        ("--ns", "DB.orders", "--map", "DB.orders=DB.system.profile"),
        "target-forbidden",
        2,
        ["system.profile"],
    ),
    "a mapping onto no name": (
        ("--ns", "DB.orders", "--map", "DB.orders=DB.a$b"),
        "target-forbidden",
        2,
        ["a$b"],
    ),
    "two into one": (
        ("--ns", "DB.orders", "--ns", "DB.items", "--map", "DB.orders=DB.items"),
        "target-twice",
        2,
        [],
    ),
    "beside over what is there": (
        ("--ns", "DB.orders", "--mode", "beside", "--map", "DB.orders=DB.items"),
        "target-exists",
        4,
        ["--map"],
    ),
    "a view in the way": (
        ("--ns", "DB.orders", "--map", "DB.orders=DB.new_orders"),
        "target-not-a-collection",
        4,
        ["view", "beside"],
    ),
}


@pytest.mark.mongod
@pytest.mark.parametrize("wrong", WRONG_LIMITS)
def test_a_restore_that_cannot_be(wrong: str, scene: Scene) -> None:
    options, code, exit_code, says = WRONG_LIMITS[wrong]

    def named(text: str) -> str:
        return text.replace("DB", scene.database).replace("SNAPSHOT", scene.snapshot)

    words = tuple(named(option) for option in options)
    with scene.untouched():
        refused(scene.config_file, ("restore", "plan", *words), code, exit_code, *map(named, says))
        answer = scene.call("restore", "run", *words, "--json")
        told(answer, code, exit_code)


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--since", "2026-11-22T02:11:31"), "time-naive", "no offset"),
        (("--until", "nonsense"), "time-wrong", "nonsense"),
        (("--since", "latest", "--until", "-30d"), "range-backwards", "--since"),
        (("--since", "event:ffffffff"), "event-unknown", "ffffffff"),
        (("--id", "1"), "namespace-unsaid", "--ns"),
        (("--id", "{", "--ns", "a.b"), "id-wrong", "Extended JSON"),
    ],
)
def test_a_search_that_cannot_be(words: tuple[str, ...], code: str, says: str, scene: Scene) -> None:
    refused(scene.config_file, ("find", *words), code, 2, says)


@pytest.mark.mongod
def test_a_target_of_another_profile_needs_access_too(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    more = f"[profiles.watched]\nuri_file = '{scene.config_file.parent / 'uri'}'\n"
    path.write_text(scene.config_file.read_text() + more, encoding="utf-8")
    words = ("--profile", "test", "restore", "run", *scene.go_back(), "--to", "watched")
    with scene.untouched():
        refused(path, words, "access", 4, "watched", "Nothing was changed")


@pytest.mark.mongod
def test_a_store_that_is_not_there_hides_no_other(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "invented")
    path, text = tmp_path / "config.toml", scene.config_file.read_text()
    gone = f"[profiles.test.stores.a]\ntype = 'local'\npath = '{tmp_path / 'gone'}'\n"
    bucket = "[profiles.test.stores.b]\ntype = 's3'\nbucket = 'b'\nendpoint = 'http://127.0.0.1:1'\n"
    path.write_text(f"{text}\n{gone}\n{bucket}", encoding="utf-8")
    with scene.untouched():
        plan = call(path, "restore", "plan", *scene.go_back(), "--json")
        assert plan.code == 0, plan.err
        told_of = [h["text"] for h in plan.json["hazards"] if h["code"] == "store-unread"]
        assert len(told_of) == 2
        assert str(tmp_path / "gone") in told_of[0]
        for name, code, exit_code in (("a", "store-missing", 3), ("b", "store-unreachable", 3)):
            refused(path, ("restore", "plan", "--store", name), code, exit_code, name)


# Confirming


@pytest.mark.mongod
def test_without_a_terminal_only_a_plan_with_its_text_is_taken(scene: Scene, tmp_path: Path) -> None:
    plan = scene.plan(tmp_path / "plan")
    with scene.untouched():
        answers = (
            scene.mdr("restore", "run", *scene.go_back(), "--json"),
            scene.mdr("restore", "run", *scene.go_back(), "--confirm", plan["confirm"], "--json"),
            scene.mdr("restore", "run", "--plan", str(tmp_path / "plan"), "--json"),
        )
        for answer in answers:
            told(answer, "no-terminal", 4, "no terminal", "Nothing was changed", "--plan FILE --confirm TEXT")
        for text in ("", "yes", plan["confirm"].upper(), plan["confirm"] + "x"):
            words = ("restore", "run", "--plan", str(tmp_path / "plan"), "--confirm", text)
            refused(scene.config_file, words, "not-confirmed", 4, plan["confirm"], "Nothing was changed")


class Terminal:
    """A command on a terminal of its own; stdout is kept apart."""

    def __init__(self, scene: Scene, *words: str) -> None:
        self._master, slave = pty.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mongo_dr_console", *words],
            env={**os.environ, "MDR_CONFIG": str(scene.config_file), "TERM": "dumb"},
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            start_new_session=True,
        )
        os.close(slave)

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + 120
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._master], [], [], 0.2)[0]:
                self.seen += self._more()

    def type(self, text: str) -> None:
        os.write(self._master, f"{text}\n".encode())

    def end(self) -> int:
        """The exit code; all that it said is in ``seen``."""
        while self.process.poll() is None or select.select([self._master], [], [], 0)[0]:
            if select.select([self._master], [], [], 0.1)[0]:
                more = self._more()
                self.seen += more
                if not more:
                    break
        assert "Traceback" not in self.seen
        code = self.process.wait()
        os.close(self._master)
        return code

    def _more(self) -> str:
        try:
            return self._decoder.decode(os.read(self._master, 4096))
        except OSError:
            return ""


@pytest.mark.mongod
@pytest.mark.parametrize("typed", ["yes", "", None])
def test_another_text_on_a_terminal_changes_nothing(typed: str | None, scene: Scene) -> None:
    with scene.untouched():
        terminal = Terminal(scene, "restore", "run", *scene.go_back())
        terminal.read_until("to go on: ")
        if typed is None:
            terminal.process.send_signal(signal.SIGINT)
        else:
            terminal.type(typed)
        assert terminal.end() == (4 if typed is not None else 130)
        assert typed is None or "Nothing was changed" in terminal.seen


@pytest.mark.mongod
def test_the_right_text_on_a_terminal_restores_and_undo_and_accept_ask_too(
    scene: Scene, tmp_path: Path
) -> None:
    mistaken = twin.state_of(scene.client, scene.database)
    confirm = scene.plan(tmp_path / "plan")["confirm"]
    terminal = Terminal(scene, "restore", "run", *scene.go_back())
    terminal.read_until("to go on: ")
    assert f"Type {confirm} to go on: " in terminal.seen
    terminal.type(confirm)
    assert terminal.end() == 0, terminal.seen
    assert twin.differences(twin.state_of(scene.client, scene.database), scene.before) == []
    job = next(j for j in scene.call("jobs", "list", "--json").json["jobs"] if j["kind"] == "restore")["job"]

    with scene.untouched():
        accept = Terminal(scene, "restore", "accept", job)
        accept.read_until("to go on: ")
        accept.type("yes")
        assert accept.end() == 4
        assert "Nothing was changed" in accept.seen

    assert scene.mdr("restore", "undo", job, "--json").code == 0
    assert twin.differences(twin.state_of(scene.client, scene.database), mistaken) == []
    assert scene.mdr("restore", "accept", job, "--json").code == 0


# Plans that are not what they were


def later(position: str) -> str:
    t, _, i = position.partition(":")
    return f"{t}:{int(i) + 1}"


def first_collection(plan: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(n for n in plan["namespaces"] if n["kind"] == "collection")
    return found


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "hash": lambda p: p.update(hash="0" * 64),
    "limit": lambda p: p["limit"].update(position=later(p["limit"]["position"])),
    "bound": lambda p: p["limit"].update(bound="through"),
    "follow": lambda p: p["limit"].update(follow=True),
    "scope": lambda p: p.update(scope=[]),
    "tracked": lambda p: p.update(tracked=["a.b"]),
    "a namespace less": lambda p: p["namespaces"].remove(first_collection(p)),
    "a target": lambda p: first_collection(p).update(to="elsewhere.orders"),
    "a source": lambda p: first_collection(p).update({"from": "elsewhere.orders"}),
    "a mode": lambda p: first_collection(p).update(mode="in-place"),
    "a live collection": lambda p: first_collection(p).update(live_uuid=None),
    "confirmation": lambda p: p.update(confirm=""),
    "identity": lambda p: p["identity"].update(set_name="other"),
    "another base": lambda p: p["snapshot"].update(name="20200101_000000"),
    "the base's checksum": lambda p: p["snapshot"].update(checksum="0" * 64),
    "the base's end": lambda p: p["snapshot"].update(end=later(p["snapshot"]["end"])),
    "mode of all": lambda p: p["intent"].update(mode="in-place"),
    "limit as asked": lambda p: p["intent"].update(before=later(p["intent"]["before"])),
}


@pytest.mark.mongod
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_plan(edit: str, scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    confirm = scene.plan(path)["confirm"]
    edit_json(path, EDITS[edit])
    with scene.untouched():
        words = ("restore", "run", "--plan", str(path), "--confirm", confirm)
        refused(scene.config_file, words, "plan-changed", 4, "Nothing was changed", "mdr restore plan")


@pytest.mark.mongod
def test_an_edited_selector_of_a_skipped_event(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    confirm = scene.plan(path, "--skip", scene.event.id)["confirm"]
    edit_json(path, lambda p: p["skipped"][0]["selector"].update(last=later(p["skipped"][0]["last"])))
    with scene.untouched():
        words = ("restore", "run", "--plan", str(path), "--confirm", confirm)
        refused(scene.config_file, words, "plan-changed", 4, "edited", "Nothing was changed")


@pytest.mark.mongod
def test_a_plan_of_another_profile(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    confirm = scene.plan(path)["confirm"]
    edit_json(path, lambda p: p.update(profile="prod"))
    with scene.untouched():
        words = ("restore", "run", "--plan", str(path), "--confirm", confirm)
        refused(scene.config_file, words, "other-profile", 4, "prod", "Nothing was changed")


def resign(manifest: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest that was changed by somebody who can sign it."""
    edit_json(manifest, change)
    signed = Manifest.model_validate_json(manifest.read_bytes())
    edit_json(manifest, lambda m: m.update(checksum=signed.content_checksum()))


@pytest.mark.mongod
def test_a_base_that_was_altered_after_planning(scene: Scene, tmp_path: Path) -> None:
    path, manifest = tmp_path / "plan", scene.store / scene.snapshot / "manifest.json"
    confirm = scene.plan(path)["confirm"]
    prelude = scene.store / scene.snapshot / "prelude.json"

    def refresh(m: dict[str, Any]) -> None:
        import hashlib

        for file in m["files"]:
            if file["path"] == prelude.name:
                file["size"] = prelude.stat().st_size
                file["sha256"] = hashlib.sha256(prelude.read_bytes()).hexdigest()

    found = [p for p in (prelude, prelude.with_suffix(".json.gz")) if p.exists()]
    prelude = found[0]
    prelude.write_bytes(prelude.read_bytes() + b"\n")
    resign(manifest, refresh)
    with scene.untouched():
        words = ("restore", "run", "--plan", str(path), "--confirm", confirm)
        refused(scene.config_file, words, "plan-changed", 4, scene.snapshot, "Nothing was changed")


@pytest.mark.mongod
def test_a_live_collection_that_is_another_one_since(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    scene.client[scene.database].drop_collection("sessions")
    scene.client[scene.database].create_collection("sessions")
    confirm = scene.plan(path)["confirm"]
    scene.client[scene.database].drop_collection("sessions")
    scene.client[scene.database].create_collection("sessions")
    with scene.untouched():
        words = ("restore", "run", "--plan", str(path), "--confirm", confirm)
        refused(
            scene.config_file, words, "plan-changed", 4, f"{scene.database}.sessions", "Nothing was changed"
        )


# Gaps and divergence


@pytest.mark.mongod
def test_a_limit_on_another_history(scene: Scene) -> None:
    """The live oplog has another entry where the snapshot ended: after a rollback, or a forced
    reconfiguration."""
    manifest = scene.store / scene.snapshot / "manifest.json"
    resign(manifest, lambda m: m["window"].update(end_hash="0" * 64))
    with scene.untouched():
        words = ("restore", "plan", *scene.go_back())
        refused(scene.config_file, words, "limit-in-divergence", 4, "does not continue", "snapshot")


@pytest.mark.mongod
def test_a_limit_in_a_gap(make_replica_set: Any, tmp_path: Path) -> None:
    """The oplog rolled over after the snapshot, so that nothing leads from it to the limit."""
    replica_set = make_replica_set(nodes=1, oplog_mb=16, checkpoint_seconds=1)
    with closing(replica_set.client()) as client:
        scene = make_scene(replica_set, client, tmp_path, "shop")
        deadline = time.monotonic() + 120
        while ends(client)[0] <= scene.event.last:
            assert time.monotonic() < deadline
            client.other.filler.replace_one({"_id": 1}, {"x": os.urandom(2_000_000)}, upsert=True)
        client.admin.command({"appendOplogNote": 1, "data": {"x": 1}, "writeConcern": {"w": "majority"}})
        with scene.untouched():
            for words in (scene.go_back(), ("--before", "latest", "--ns", "shop")):
                refused(
                    scene.config_file,
                    ("restore", "plan", *words),
                    "limit-in-gap",
                    4,
                    "does not reach back",
                    "Nothing live was changed",
                    "mdr snapshots list",
                )
        # What the snapshot itself reaches can still be restored.
        assert scene.call("restore", "plan", "--ns", "shop", "--json").code == 0


# Damaged snapshots


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {"changed": flip, "truncated": cut, "missing": Path.unlink}
FILES = {"data": "orders.bson*", "metadata": "orders.metadata.json*", "oplog": "oplog.bson*"}


def pick(scene: Scene, which: str) -> Path:
    folder = scene.store / scene.snapshot
    found = sorted((folder if which == "oplog" else folder / scene.database).glob(FILES[which]))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.mongod
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", ["metadata", "oplog"])
def test_damage_that_a_plan_sees(damage: str, which: str, scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    confirm = scene.plan(path)["confirm"]
    broken = pick(scene, which)
    DAMAGE[damage](broken)
    says = (scene.snapshot, broken.name, "must not be restored from", "mdr snapshots verify")
    with scene.untouched():
        for words in (("plan", *scene.go_back()), ("run", "--plan", str(path), "--confirm", confirm)):
            refused(scene.config_file, ("restore", *words), "snapshot-corrupt", 1, *says)


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("damage", "mode"),
    [("changed", "swap"), ("changed", "in-place"), ("truncated", "in-place"), ("missing", "beside")],
)
def test_damaged_data_is_found_before_anything_live_is_touched(
    damage: str, mode: str, scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "plan"
    plan = scene.plan(path, *scene.go_back(), "--mode", mode)
    broken = pick(scene, "data")
    DAMAGE[damage](broken)
    with scene.untouched(job=True):
        confirm = ("--confirm", plan["confirm"]) if plan["confirm"] else ()
        answer = scene.mdr("restore", "run", "--plan", str(path), *confirm, "--json")
        error = told(answer, "snapshot-corrupt", 1, scene.snapshot, broken.name, "mdr snapshots verify")
        assert error["hint"]
        assert answer.json["state"] == "failed"
        # It fails again, and as harmlessly, however often it is resumed.
        again = scene.mdr("jobs", "resume", answer.json["job"], "--json")
        told(again, "snapshot-corrupt", 1)


@pytest.mark.mongod
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest(damage: str, scene: Scene) -> None:
    DAMAGE[damage](scene.store / scene.snapshot / "manifest.json")
    code = {"missing": "snapshot-unfinished"}.get(damage, "manifest-unreadable")
    with scene.untouched():
        words = ("restore", "plan", "--snapshot", scene.snapshot, *scene.go_back())
        refused(scene.config_file, words, code, 1, scene.snapshot)
        refused(
            scene.config_file,
            ("restore", "plan", *scene.go_back()),
            "limit-outside-coverage",
            4,
            "no usable snapshot",
            "mdr snapshots list",
        )
        listed = scene.call("snapshots", "list")
        assert ("unfinished" if damage == "missing" else "damaged") in listed.out
        refused(scene.config_file, ("snapshots", "show", scene.snapshot), code, 1, scene.snapshot)


@pytest.mark.mongod
def test_a_manifest_with_another_value(scene: Scene) -> None:
    edit_json(scene.store / scene.snapshot / "manifest.json", lambda m: m["window"].update(end="1:1"))
    with scene.untouched():
        words = ("restore", "plan", "--snapshot", scene.snapshot)
        refused(scene.config_file, words, "manifest-changed", 1, scene.snapshot, "not as it was written")


@pytest.mark.mongod
@pytest.mark.parametrize("which", FILES)
def test_verify_names_the_damage(which: str, scene: Scene) -> None:
    broken = pick(scene, which)
    flip(broken)
    with scene.untouched(job=True, store=False):
        answer = scene.mdr("snapshots", "verify", scene.snapshot, "--json")
        told(answer, "verification-failed", 1, broken.name, "another")


@pytest.mark.mongod
def test_an_unknown_snapshot_is_told_with_those_that_there_are(scene: Scene) -> None:
    with scene.untouched():
        for words in (("show", "20200101_000000"), ("verify", "20200101_000000"), ("show", "../store")):
            refused(scene.config_file, ("snapshots", *words), "snapshot-unknown", 2, scene.snapshot)
