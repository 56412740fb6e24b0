"""An order-free digest of everything in a deployment, as the recorded dumps have it: documents byte for byte,
options, indexes, and the names of users and roles."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bson import json_util

from mongo_dr_console.model.rawbson import RAW

_LEFT_OUT = ("admin", "config", "local", "mongo_dr")


def digest_of(client: Any) -> dict[str, Any]:
    """Namespace to what there is; ``#users`` and ``#roles`` to their ids."""
    found: dict[str, Any] = {}
    for database in sorted(client.list_database_names()):
        if database in _LEFT_OUT:
            continue
        for info in client[database].list_collections():
            if not info["name"].startswith("system."):
                found[f"{database}.{info['name']}"] = _collection(client[database], info)
    for name in ("users", "roles"):
        found[f"#{name}"] = sorted(d["_id"] for d in client.admin[f"system.{name}"].find({}, {"_id": 1}))
    return found


def _collection(database: Any, info: dict[str, Any]) -> dict[str, Any]:
    name, kind = info["name"], info["type"]
    facts: dict[str, Any] = {"type": kind, "options": _plain(info["options"])}
    if kind != "view":
        documents = sorted(d.raw for d in database.get_collection(name, codec_options=RAW).find())
        facts["count"] = len(documents)
        facts["sha256"] = hashlib.sha256(b"".join(documents)).hexdigest()
        facts["indexes"] = sorted(
            json.dumps(_plain(index), sort_keys=True) for index in database[name].list_indexes()
        )
    return facts


def _plain(value: Any) -> Any:
    return json.loads(json_util.dumps(value))


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where two digests differ, in words."""
    told = []
    for name in sorted(found.keys() | wanted.keys()):
        a, b = found.get(name), wanted.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            parts = [
                f"{k}: {a.get(k)} != {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)
            ]
            told.append(f"{name[:60]}: {'; '.join(parts)}")
        else:
            told.append(f"{name[:60]}: {a} != {b}")
    return told
