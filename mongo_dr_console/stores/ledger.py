"""The ledger of a store: what was done, one small document each, never changed afterwards."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Literal

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.store import Store, StoredObject

Kind = Literal["backups", "verifications", "restores", "drills", "failovers", "holds", "prunes"]

ROOT = "ledger"
_READERS, _FEW = 16, 32
_STAMP = "%Y%m%dT%H%M%SZ"


def append(store: Store, kind: Kind, document: Mapping[str, Any]) -> str:
    """Writes a document (JSON values only) as ``ledger/<kind>/<UTC stamp>-<id>.json`` and returns its path.

    Raises:
        Failed, Unreachable: The store refuses; nothing half-written stays.
    """
    data = (json.dumps(dict(document), ensure_ascii=False, indent=1) + "\n").encode()
    while True:
        now = datetime.now(UTC)
        # The id begins with the fraction of the second: what is done twice in one keeps its order.
        unique = f"{now.microsecond:05x}{secrets.token_hex(2)[:3]}"
        path = f"{ROOT}/{kind}/{now.strftime(_STAMP)}-{unique}.json"
        if store.write_if_absent(path, [data]):
            return path


def read_all(store: Store, kind: Kind, known: Remembered | None = None) -> list[dict[str, Any]]:
    """All documents of a kind, oldest first. One that is not JSON is left out: a damaged line of history must
    not hide the rest.

    Args:
        known: What was read before; those that are new are read side by side.
    """
    return documents_of(store, there(store, kind), known)


def there(store: Store, kind: Kind) -> list[StoredObject]:
    """The documents of a kind, oldest first, unread."""
    return [o for o in store.list(f"{ROOT}/{kind}/") if o.path.endswith(".json")]


def documents_of(
    store: Store, there: Sequence[StoredObject], known: Remembered | None = None
) -> list[dict[str, Any]]:
    """As ``read_all``, of these."""
    found: dict[str, dict[str, Any] | None] = {}
    if known is not None:
        found = {o.path: known.document(o) for o in there}
    new = [o for o in there if found.get(o.path) is None]
    if len(new) < _FEW:
        read = [_read(store, o.path) for o in new]
    else:
        with ThreadPoolExecutor(_READERS) as pool:
            read = list(pool.map(lambda o: _read(store, o.path), new))
    for stored, document in zip(new, read, strict=True):
        found[stored.path] = document
        if known is not None and document is not None:
            known.remember_document(stored, document)
    return [d for o in there if (d := found[o.path]) is not None]


def _read(store: Store, path: str) -> dict[str, Any] | None:
    try:
        document = json.loads(b"".join(store.read(path)))
    except (ValueError, Failed):
        return None
    return document if isinstance(document, dict) else None
