"""The fifth rung: restored into a mongod of its own, and compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.jobs import mdr, run_here
from support.keepkit import prepare_gone

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers import verify_deeper

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

RECORDED = Path(__file__).parents[1] / "data" / "dump"
NAME = "20261122_164300"


def test_a_real_mongodump_climbs_all_rungs(mongod: Path, tmp_path: Path) -> None:
    """The deployment that it is of is gone, and nothing of the scratch one is left."""
    prepared = prepare_gone(tmp_path)
    shutil.copytree(RECORDED / "gzip", prepared.store / NAME)
    done = mdr(prepared, "snapshots", "verify", NAME, "--level", "5", "--json")
    assert done.code == 0, done.err
    (entry,) = list_snapshots(LocalStore("local", prepared.store))
    assert entry.verification is not None and entry.restore_tested_at is not None
    assert [n for n, _ in entry.verification.rungs] == [1, 2, 3, 4, 5]
    assert not list(tmp_path.glob("state/jobs/*/scratch"))


def test_what_is_not_as_it_was_is_told(mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare_gone(tmp_path)
    shutil.copytree(RECORDED / "plain", prepared.store / NAME)
    compare, told = verify_deeper.differences, list[str]()

    def spoilt(client: Any, *more: Any) -> Any:
        shop = client["shop"]
        (first,) = shop.checked.find().limit(1)
        shop.checked.replace_one({"_id": first["_id"]}, {**first, "spoilt": True})
        indexed = {
            c: set(shop[c].index_information()) - {"_id_"} for c in ("names", "orders", "types", "log")
        }
        collection, index = next((c, min(found)) for c, found in indexed.items() if found)
        shop[collection].drop_index(index)
        shop.drop_collection("empty")
        told[:] = [f"shop.{collection} lacks the index {index}", "shop.empty is not there"]
        return list(compare(client, *more))

    monkeypatch.setattr(verify_deeper, "differences", spoilt)
    with pytest.raises(Failed) as caught:
        run_here(prepared, "verify", {"snapshot": NAME, "store": None, "level": 5})
    assert caught.value.code == "verification-failed"
    (record,) = ledger.read_all(LocalStore("local", prepared.store), "verifications")
    for text in (*told, "shop.checked: documents are not byte for byte what the snapshot has"):
        assert text in record["problems"]
    assert len(record["problems"]) == 3
    (entry,) = list_snapshots(LocalStore("local", prepared.store))
    assert entry.known_bad
