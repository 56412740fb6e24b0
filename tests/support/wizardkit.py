"""Plans and readings to walk the wizard with."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.plan import BaseSnapshot, Hazard, Intent, Neighbour, Plan, PlannedNamespace
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Bound
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.wizard.screen import WizardScreen
from support.consolekit import FakeDesk, console
from support.readingkit import HERE, NOW, at, coverage, reading, readings, snapshot, store
from support.states import event, events

DROP = event("e1d2c3b4", 1140)
DELETE = event("a9b8c7d6", 300, "crm.people", "mass-delete", 812)


def incident(*found: Any, **changes: Any) -> Readings:
    """Two snapshots, and a drop 19 minutes ago with applications that go on writing."""
    held = (
        snapshot(
            5400,
            name="20261122_004640",
            stored_bytes=212_000_000,
            verification=Verification(2, NOW, True),
        ),
        snapshot(900, name="20261122_020140", stored_bytes=214_000_000, restore_tested_at=None),
    )
    facts: dict[str, Any] = {
        "stores": {"store:local": reading("store:local", store(*held))},
        "coverage": reading("coverage", coverage(*held)),
        "events": events(*(found or (DROP, DELETE))),
    }
    return readings(*held, **(facts | changes))


def namespace(name: str = "shop.orders", **changes: Any) -> PlannedNamespace:
    facts: dict[str, Any] = {
        "source": name,
        "target": name,
        "mode": "swap",
        "documents": 40_000,
        "bytes": 9_000_000,
        "effect": "replaced; the live one (17 documents) is kept aside until accept",
        "live_uuid": "ab" * 16,
        "live_documents": 17,
    }
    return PlannedNamespace(**(facts | changes))


def plan(*namespaces: PlannedNamespace, **changes: Any) -> Plan:
    """A swap of one collection that leaves the drop out."""
    end = at(5400)
    facts: dict[str, Any] = {
        "id": "51a2b3c4",
        "hash": "5" * 64,
        "confirm": "test/rs0/shop.orders",
        "profile": "test",
        "identity": HERE,
        "source_identity": HERE,
        "snapshot": BaseSnapshot(
            name="20261122_004640",
            store="local",
            checksum="c" * 64,
            start=end,
            end=end,
            end_term=1,
            end_hash="h",
            documents=42_500,
            bytes=9_500_000,
        ),
        "limit": PlanLimit(position=at(0), bound=Bound.THROUGH, follow=True),
        "last_applied": Neighbour(position=at(0), text="insert into shop.customers"),
        "first_not_applied": None,
        "skipped": [DROP],
        "namespaces": list(namespaces) or [namespace()],
        "scope": ["shop.orders"],
        "tracked": [],
        "kept": [],
        "operations": 1_200,
        "later_writes": 0,
        "lost_seconds": 0.0,
        "estimate_seconds": 14.0,
        "estimate_basis": "measured in 2 restores",
        "hazards": [Hazard(severity="info", code="users", text="users and roles are not restored")],
        "steps": ["check identity and plan again; take the deployment's lock", "replay the oplog", "report"],
        "command": "mdr --profile test restore run --snapshot 20261122_004640 --store local --skip e1d2c3b4 "
        "--ns shop.orders",
        "intent": Intent(
            snapshot="20261122_004640", store="local", skip=(DROP.id,), namespaces=("shop.orders",)
        ),
    }
    return Plan(**(facts | changes))


def wizard_console(first: Readings | None = None, **options: Any) -> ConsoleApp:
    """A console in an incident whose desk makes a plan."""
    app = console(first or incident(), **options)
    desk_of(app).the_plan = plan()
    return app


def desk_of(app: ConsoleApp) -> FakeDesk:
    assert isinstance(app.desk, FakeDesk)
    return app.desk


def wizard_of(app: ConsoleApp) -> WizardScreen:
    assert isinstance(app.screen, WizardScreen), app.screen
    return app.screen
