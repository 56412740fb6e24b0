"""One mistake to recover from, and what must not change when a command is refused.

Commands that start no job run in this process (``Scene.call``), the others as processes (``Scene.mdr``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from mongo_dr_console.cli import main
from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.model.event import Event
from support import twin
from support.found import events_in
from support.jobs import Answer, backup_here, mdr
from support.writers import fill

SECRET = "s3cr3t-pass"

_ANY_POSITION = re.compile(r"\d+:\d+(?::\d+Z)?")

_build = functools.cache(main._build)


def call(config: Path, *words: str) -> Answer:
    """A command in this process, without a terminal; its config is the given one."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"MDR_CONFIG": str(config)}))
        stack.enter_context(mock.patch.object(main, "_build", _build))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO("")))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code: Any = 0
        try:
            main.run(list(words))
        except SystemExit as end:
            code = end.code
    assert "Traceback" not in out.getvalue() + err.getvalue(), err.getvalue()
    return Answer(int(code or 0), out.getvalue(), err.getvalue())


def told(answer: Answer, code: str, exit_code: int, *words: str) -> dict[str, Any]:
    """Checks the JSON of a failure; returns it. Each of ``words`` stands in the message or the hint."""
    assert answer.code == exit_code, (answer.code, answer.out, answer.err)
    error: dict[str, Any] = answer.json["error"]
    assert error["code"] == code, error
    text = f"{error['message']} {error['hint']}"
    assert error["message"].strip() and "  " not in error["message"].replace("\n  ", " "), error
    for word in words:
        assert word in text, (word, text)
    assert SECRET not in answer.out + answer.err
    return error


def refused(config: Path, words: tuple[str, ...], code: str, exit_code: int, *says: str) -> None:
    """The command fails so with ``--json`` and without: one JSON document, or nothing on stdout and the same
    for people on stderr (the oplog moves on, so its positions may differ)."""
    error = told(call(config, *words, "--json"), code, exit_code, *says)
    plain = call(config, *words)
    assert plain.code == exit_code
    assert plain.out == ""
    for part in (error["message"], error["hint"]):
        assert _ANY_POSITION.sub("t:i", part) in _ANY_POSITION.sub("t:i", plain.err)
    assert SECRET not in plain.err


@dataclass
class Scene:
    """A database with a snapshot, writes after it, a mass delete, and writes after that."""

    replica_set: Any
    client: Any
    name: str
    profile: Profile
    config_file: Path
    store: Path
    state: Path
    database: str
    snapshot: str
    event: Event
    before: dict[str, Any]
    at_snapshot: dict[str, Any]

    def call(self, *words: str) -> Answer:
        return call(self.config_file, *words)

    def mdr(self, *words: str) -> Answer:
        return mdr(self, *words, profile=False)

    def plan(self, path: Path, *words: str) -> dict[str, Any]:
        """Makes a plan to go before the mistake and writes it to a file."""
        answer = self.call("restore", "plan", *(words or self.go_back()), "--json")
        assert answer.code == 0, answer.err
        path.write_text(answer.out, encoding="utf-8")
        return answer.json

    def go_back(self) -> tuple[str, ...]:
        return ("--before", str(self.event.position), "--ns", self.database)

    def live(self) -> dict[str, Any]:
        """Documents, indexes, options, and the names of all collections; a lock that is held."""
        names = {
            database: sorted(
                (info["name"], str(info.get("info", {}).get("uuid")))
                for info in self.client[database].list_collections()
            )
            for database in self.client.list_database_names()
            if database not in ("admin", "config", "local", "mongo_dr")
        }
        lock = self.client.mongo_dr.locks.find_one({"_id": "restore"})
        return {"names": names, "lock": lock, **twin.state_of(self.client, self.database)}

    def stored(self) -> dict[str, str]:
        return files_in(self.store)

    def jobs(self) -> list[str]:
        folder = self.state / "jobs"
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    @contextmanager
    def untouched(self, *, job: bool = False, store: bool = True) -> Iterator[None]:
        """Nothing changes on the server, in the store, and (without ``job``) no job was made."""
        live, stored, jobs = self.live(), self.stored(), self.jobs()
        yield
        assert self.live() == live
        if store:
            assert self.stored() == stored
        if not job:
            assert self.jobs() == jobs


def files_in(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def write_config(path: Path, *, uri_file: Path, store: Path, state: Path, more: str = "") -> None:
    lines = [
        "[profiles.test]",
        f"uri_file = '{uri_file}'",
        "environment = 'test'",
        "access = 'restore'",
        f"state_dir = '{state}'",
        "[profiles.test.stores.local]",
        "type = 'local'",
        f"path = '{store}'",
        more,
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def make_scene(replica_set: Any, client: Any, folder: Path, database: str, *, noise: int = 0) -> Scene:
    """Args:
    noise: That many kB that cannot be compressed, in the snapshot and once more in the oplog after it.
    """
    store, state, uri_file, config = (folder / name for name in ("store", "state", "uri", "config.toml"))
    store.mkdir()
    uri_file.write_text(replica_set.uri, encoding="utf-8")
    uri_file.chmod(0o600)
    write_config(config, uri_file=uri_file, store=store, state=state)
    scene = Scene(
        replica_set=replica_set,
        client=client,
        name="test",
        profile=load_config(config).profiles["test"],
        config_file=config,
        store=store,
        state=state,
        database=database,
        snapshot="",
        event=None,  # type: ignore[arg-type]
        before={},
        at_snapshot={},
    )
    fill(client, database, documents=300)
    shop = client[database]
    if noise:
        shop.noise.insert_many([{"_id": n, "x": os.urandom(1000)} for n in range(noise)])
    scene.snapshot = backup_here(scene)["snapshot"]
    scene.at_snapshot = twin.state_of(client, database)
    if noise:
        shop.noise.insert_many([{"_id": -1 - n, "x": os.urandom(1000)} for n in range(noise)])
    shop.orders.update_many({"_id": {"$lt": 20}}, {"$set": {"state": "paid"}})
    shop.items.insert_one({"_id": "after the snapshot", "order": 1, "qty": 1})
    scene.before = twin.state_of(client, database)
    shop.orders.delete_many({"_id": {"$gte": 50}})
    shop.items.insert_one({"_id": "after the mistake", "order": 1, "qty": 1})
    client.admin.command({"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}})
    found = events_in(client, database)
    ours = [e for e in found if e.namespace == f"{database}.orders" and e.kind == "mass-delete"]
    assert len(ours) == 1, found
    scene.event = ours[0]
    return scene


def edit_json(path: Path, change: Any) -> None:
    """Applies a change to the document in a JSON file."""
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
