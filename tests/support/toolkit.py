"""For tests of the engine mongo_tools, which takes all of a deployment."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from mongo_dr_console.model.position import Position
from support import twin
from support.jobs import run_here

RECORDED = Path(__file__).parents[1] / "data" / "dump"
"""Dumps that the real mongodump made."""


def empty(client: Any) -> None:
    for database in client.list_database_names():
        if database not in ("admin", "config", "local"):
            client.drop_database(database)


def moment(client: Any) -> str:
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    return str(Position.of(client.admin.command(command)["operationTime"]))


def backup(prepared: Any, engine: str, compression: str = "gzip") -> str:
    request = {"stores": None, "compression": compression, "databases": None, "engine": engine}
    return str(run_here(prepared, "backup", request)[1].result["snapshot"])


def everything(client: Any) -> dict[str, Any]:
    """Documents, indexes and options of every collection of every database."""
    names = [d for d in client.list_database_names() if d not in ("admin", "config", "local", "mongo_dr")]
    return {f"{d}.{name}": state for d in names for name, state in twin.state_of(client, d).items()}


def as_mongodump(store: Path, snapshot: str, name: str = "20200101_000000") -> str:
    """Makes a snapshot what the real tool leaves: without a manifest, and by the tool's name; returns the
    folder's. Another folder of that name must not be there."""
    folder = store / name
    (store / snapshot).rename(folder)
    (folder / "manifest.json").unlink()
    for prelude in folder.glob("prelude.json*"):
        packed = prelude.suffix == ".gz"
        raw = prelude.read_bytes()
        facts = json.loads(gzip.decompress(raw) if packed else raw)
        text = json.dumps({**facts, "ToolVersion": "100.18.0"}).encode()
        prelude.write_bytes(gzip.compress(text) if packed else text)
    return name
