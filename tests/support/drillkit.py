"""Drills as a ledger has them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mongo_dr_console.model.drill import DrillRecord, DrillStep
from support.readingkit import HERE, NOW

STEPS = (("data", 0.4, True), ("snapshot", 2.1, True), ("restore", 3.3, True), ("compare", 0.6, True))


def drill(
    *, hours: float = 1, kind: str = "small", success: bool = True, rto: float | None = 4.0, **more: Any
) -> DrillRecord:
    """One that began so many hours ago."""
    known = {
        "job": "d0000000",
        "kind": kind,
        "success": success,
        "rto_seconds": rto,
        "rpo_seconds": 0.0,
        "timestamp": NOW - timedelta(hours=hours),
        "profile": "test",
        "identity": HERE,
        "store": "local",
        "snapshot": "20261118_110000",
        "oplog": "stream",
        "documents": 1200,
        "indexes": 5,
        "writes": 300,
        "lost_writes": 0,
        "rto_target_seconds": 3600,
        "rpo_target_seconds": 60,
        "problems": [] if success else ["caas_dr_test.orders: 1 document differs"],
        "steps": [DrillStep(step=s, seconds=t, good=g) for s, t, g in STEPS],
    }
    return DrillRecord.model_validate({**known, **more})
