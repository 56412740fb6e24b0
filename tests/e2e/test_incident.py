"""A collection is dropped and brought back by keys alone, on a terminal that is lost in the middle of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engineer import MDR, Engineer
from support.practice import Practice, held_at_its_first_step, practice_environment
from support.terminal import Size

from mongo_dr_console.model.position import Position

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

SIZES = ((80, 24), (120, 36)) if os.environ.get("MDR_BOTH_SIZES") else ((80, 24),)
"""The smaller one leaves no more room than this needs; what the larger one shows is held by pictures."""


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_dropped_and_brought_back(
    practice: Practice, sits_down: Callable[[Size], Engineer], size: Size
) -> None:
    engineer = sits_down(size)
    engineer.types_command("incident drop-collection")
    engineer.sees("DATA DROPPED: shop.orders")
    engineer.opens_the_drop()
    engineer.walks_to_the_plan()
    engineer.terminal.press("enter")
    engineer.sees("not armed")
    engineer.arms()
    with held_at_its_first_step(practice.state):
        engineer.confirms("practice/practice/shop.orders", "Restore")
        job = engineer.job_on_screen("restore")
        engineer.sees("● running")
        engineer.terminal.press("d")
        engineer.sees(f"job {job} goes on", "1 Replica set")
        engineer.terminal.kill()
        lost_at = datetime.now(UTC)

    engineer = sits_down(size)
    engineer.attaches(job)
    engineer.sees("✓ done", "All of it was done.")
    restored = practice.mdr("jobs", "show", job)
    assert restored["state"] == "done"
    assert datetime.fromisoformat(restored["ended_at"]) > lost_at, "it was over before the terminal was lost"
    placed = Position.parse(restored["result"]["position"]).timestamp
    practice.compare("drop-collection", restored, placed, leaving_out=True)

    shop = practice.client.shop
    assert shop.orders.count_documents({}) > 40_000
    engineer.arms()
    engineer.terminal.press("u")
    engineer.sees("Take this restore back?")
    engineer.confirms(job, "Undo")
    engineer.job_on_screen("undo")
    engineer.sees("✓ done")
    assert shop.orders.count_documents({}) < 10_000
    assert [n for n in shop.list_collection_names() if n.startswith("mdr_")]

    engineer.terminal.press("c")
    engineer.confirms(job, "Accept")
    engineer.job_on_screen("accept")
    engineer.sees("✓ done")
    assert not [n for n in shop.list_collection_names() if n.startswith("mdr_")]
    assert 0 < shop.orders.count_documents({}) < 10_000
    engineer.terminal.press("Q")
    assert engineer.terminal.wait() == 0


def test_the_demo_opens_the_console_and_leaves_nothing(mongod: Path, tmp_path: Path) -> None:
    environment = practice_environment(tmp_path)
    engineer = Engineer(environment, (80, 24), ("demo",))
    with engineer.terminal as terminal:
        engineer.dashboard()
        engineer.sees("PRACTICE")
        engineer.types_command("incident mass-delete")
        engineer.sees("MASS DELETE: shop.reviews")
        terminal.press("Q")
        assert terminal.wait(60) == 0
        assert "Removing the practice deployment." in terminal.text
    told = subprocess.run(
        [*MDR, "sandbox", "status", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout)["state"] == "down", told.stdout
