"""The ledger of a store: what was done, one small document each, never changed afterwards."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store

Kind = Literal["backups", "verifications", "restores", "drills", "failovers", "holds"]

ROOT = "ledger"
_STAMP = "%Y%m%dT%H%M%SZ"


def append(store: Store, kind: Kind, document: Mapping[str, Any]) -> str:
    """Writes a document (JSON values only) as ``ledger/<kind>/<UTC stamp>-<id>.json`` and returns its path.

    Raises:
        Failed, Unreachable: The store refuses; nothing half-written stays.
    """
    data = (json.dumps(dict(document), ensure_ascii=False, indent=1) + "\n").encode()
    while True:
        stamp = datetime.now(UTC).strftime(_STAMP)
        path = f"{ROOT}/{kind}/{stamp}-{secrets.token_hex(4)}.json"
        if store.write_if_absent(path, [data]):
            return path


def read_all(store: Store, kind: Kind) -> list[dict[str, Any]]:
    """All documents of a kind, oldest first. One that is not JSON is left out: a damaged line of history must
    not hide the rest."""
    found = []
    for entry in store.list(f"{ROOT}/{kind}/"):
        if not entry.path.endswith(".json"):
            continue
        try:
            document = json.loads(b"".join(store.read(entry.path)))
        except (ValueError, Failed):
            continue
        if isinstance(document, dict):
            found.append(document)
    return found
