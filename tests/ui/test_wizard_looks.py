"""How each step of the wizard looks, at both sizes: ordinary, with odd names, where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.consolekit import SIZES, answered, at_rest, screen_text
from support.states import LONG, ODD_COLLECTION, ODD_DATABASE, STATES
from support.wizardkit import desk_of, namespace, plan, wizard_console
from textual.pilot import Pilot

from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.plan import Hazard, Plan
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.workers.desk import Content

SnapCompare = Callable[..., bool]

EVENT = ("R", "enter", "down", "enter")
PLAN = (*EVENT, "enter", "enter", "enter")
ODD = f"{ODD_DATABASE}.{ODD_COLLECTION}"
NEVER_CUT = ("RPO now", "RTO now", "[ Back ]", "? help")


def ordinary() -> ConsoleApp:
    app = wizard_console()
    desk_of(app).findings = [
        fine("identity", "connection", "This is test/rs0."),
        Finding(
            Level.WARNING,
            "not-restore-tested",
            "snapshot",
            "The newest, 20261122_020140 in local, is 15m old and was never restore-tested.",
            "Rehearse it into another place.",
        ),
    ]
    return app


def may_not() -> ConsoleApp:
    return wizard_console(started_with="watch")


def critical() -> ConsoleApp:
    app = wizard_console(STATES["critical"]())
    desk_of(app).findings = [
        Finding(
            Level.CRITICAL,
            "no-majority",
            "majority",
            "1 of the 2 members that a majority needs are there: no write is acknowledged, and a restore "
            "into this deployment cannot go on.",
            "Bring members back, or restore into another deployment.",
        )
    ]
    return app


def odd_plan() -> Plan:
    targets = (
        namespace(ODD, mode="in-place", effect="DROPPED (3 documents), then restored"),
        namespace(f"shop.{LONG}"),
    )
    return plan(
        *targets,
        confirm="test/rs0/2-collections-1f2e",
        hazards=[
            Hazard(severity="warning", code="w", text=f"{ODD} was changed"),
            Hazard(
                severity="danger", code="in-place", text="the live collections are dropped; there is no undo"
            ),
        ],
        command=f"mdr --profile test restore run --ns '{ODD}' --ns shop.{LONG}",
    )


def odd() -> ConsoleApp:
    app = wizard_console(STATES["odd"]())
    desk_of(app).the_plan = odd_plan()
    desk_of(app).content = (
        Content(Namespace(ODD_DATABASE, ODD_COLLECTION), "collection", 3, 100),
        Content(Namespace(ODD_DATABASE, "view[/]"), "view", None, None),
        Content(Namespace("shop", LONG), "collection", None, None),
    )
    return app


def no_plan() -> ConsoleApp:
    app = wizard_console()
    text = "The oplog after snapshot 20261122_004640 is gone: the limit is out of reach. Nothing was changed."
    desk_of(app).failing["plan"] = Refused(
        "limit-in-gap", text, "Choose a later snapshot: mdr snapshots list"
    )
    return app


LOOKS: dict[str, tuple[Callable[[], ConsoleApp], Sequence[str], Sequence[str]]] = {
    "preflight": (ordinary, ("R",), ("▶ 1 Preflight", "1 warning, of 2 findings.", "never restore-tested")),
    "preflight-critical": (critical, ("R",), ("✗ CRITICAL", "MASS DELETE", "→ Bring members back")),
    "event": (ordinary, EVENT, ("(●)", "shop.orders", "keep later writes (skip)", "Nothing is lost")),
    "time": (
        ordinary,
        ("R", "enter", "t", *"-10m"),
        ("═ covered", "before the start of 2026-11-18T10:56:40Z, 10m ago", "Goes back 10m"),
    ),
    "time-wrong": (ordinary, ("R", "enter", "t", *"noon"), ("✗ This is not a time", "event:ID")),
    "time-too-early": (ordinary, ("R", "enter", "t", *"-1d"), ("✗", "The oldest point that can be")),
    "snapshot": (ordinary, ("R", "enter", "s"), ("VERIFIED", "TESTED", "20261122_004640", "Goes back 15m")),
    "scope": (ordinary, (*EVENT, "enter"), ("[x]   orders", "40,000 documents", "[ ] everything")),
    "where": (ordinary, (*EVENT, "enter", "enter"), ("(●) swap", "( ) in-place", "( ) beside", "accept")),
    "beside": (
        ordinary,
        (*EVENT, "enter", "enter", "down", "down"),
        ("shop.orders → shop.orders_restored", "Nothing that is live is touched"),
    ),
    "merge": (
        ordinary,
        (*EVENT, "enter", "enter", "end"),
        ("(●) merge", "only the documents that the event removed or changed", "listed"),
    ),
    "plan": (ordinary, PLAN, ("PLAN 51a2b3c4", "replaces 1 live one", "y copy command")),
    "no-plan": (no_plan, PLAN, ("✗ No plan can be made", "→ Choose a later snapshot", "Nothing was changed")),
    "confirm": (
        ordinary,
        (*PLAN, "enter"),
        ("Restore plan 51a2b3c4", "not armed", "[▶Cancel◀]", "[ Restore ]"),
    ),
    "confirm-watch": (may_not, (*PLAN, "enter"), ("'watch'", "mdr console --allow-restore")),
    "odd-event": (odd, EVENT, ("drop-database", "mass-update", r"db[/].a\nb\u202e")),
    "odd-scope": (odd, (*EVENT, "enter"), ("db[/]", r"a\nb\u202ec[red]", "view[/]", "3 documents")),
    "odd-plan": (
        odd,
        PLAN,
        ("✗ DANGER", "! warning", r"db[/].a\nb\u202ec[red]", "DROPS 1 live one and replaces 1 live one"),
    ),
    "odd-confirm": (odd, (*PLAN, "enter"), ("✗ DANGER", "DROPPED (3 documents)", "[▶Cancel◀]")),
}


@pytest.mark.parametrize("size", SIZES, ids=("wide", "small"))
@pytest.mark.parametrize("look", LOOKS)
def test_a_step(look: str, size: tuple[int, int], snap_compare: SnapCompare) -> None:
    make, keys, words = LOOKS[look]
    seen: list[str] = []

    async def walk(pilot: Pilot[Any]) -> None:
        for key in keys:
            await pilot.press({"-": "minus", ":": "colon"}.get(key, key))
            await answered(pilot)
        await at_rest(pilot)
        assert isinstance(pilot.app, ConsoleApp)
        seen.append(screen_text(pilot.app))

    assert snap_compare(make(), terminal_size=size, run_before=walk)
    text = seen[0]
    flat = " ".join(text.replace("│", " ").split())
    missing = [w for w in (*words, *NEVER_CUT) if w not in text and w not in flat]
    if "? help" in missing and "f1 help" in text:
        missing.remove("? help")  # In a field a letter is a letter.
    assert not missing, f"{missing} not in\n{text}"
    assert "\x1b" not in text and "\u202e" not in text
