"""Making a collection with a UUID that is given: what ``create`` does not take, and ``applyOps`` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import Binary
from bson.binary import UUID_SUBTYPE

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client


def create_with_uuid(client: Client, database: str, name: str, uuid: str, options: Mapping[str, Any]) -> None:
    """Creates a collection; no error where it is there already under this very name.

    Raises:
        Failed: Another collection has the UUID: the server would rename that one, whatever it is.
    """
    wanted = Binary(bytes.fromhex(uuid), UUID_SUBTYPE)
    for info in client[database].list_collections(filter={"info.uuid": wanted}):
        if info["name"] == name:
            return
        raise Failed(
            "uuid-taken",
            f"The UUID {uuid} belongs to {database}.{info['name']} since the plan was made.",
            "Make a new plan, or leave --preserve-uuids out.",
        )
    body: dict[str, Any] = {"create": name, **options}
    if "collation" in options:
        # Else the server makes this index without one, which the command "create" never does.
        body["idIndex"] = {"v": 2, "key": {"_id": 1}, "name": "_id_", "collation": options["collation"]}
    create = {"op": "c", "ns": f"{database}.$cmd", "ui": wanted, "o": body}
    client.admin.command({"applyOps": [create]})
