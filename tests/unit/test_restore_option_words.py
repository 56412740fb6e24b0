"""The options of a restore, as typed, in the intent, and in the command that a plan gives to copy."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import typer
from support.states import event
from typer.testing import CliRunner

from mongo_dr_console.cli.restore_options import Wanted, takes_wanted
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.planning import _command, _scope_of

ALL = Intent(
    snapshot="20261122_020000",
    store="local",
    before="7:3",
    skip=("2c85fecf", "3c85fecf"),
    namespaces=("shop", r"crm.st\*ar"),
    renames=("shop.*=old.*", "$a$.b c=$a$.d"),
    to_profile="other",
    mode="in-place",
    users=True,
    engine="mongo_tools",
    exclude=("shop.tmp*", "crm.a b"),
    users_of=("shop", "crm"),
    preserve_uuids=True,
    stop_on_error=True,
    keep_order=True,
    branch="b1",
)
INTENTS = [
    ALL,
    ALL.model_copy(update={"before": None, "through": "7:3", "users_of": ()}),
    ALL.model_copy(update={"users_of": (), "users": False}),
    Intent(),
]


def typed(*words: str) -> Intent:
    """What a command makes of these words."""
    taken: list[Any] = []

    @takes_wanted
    def command(wanted: Wanted, more: bool = False) -> None:
        """Takes them."""
        taken.append(wanted.intent())

    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (intent,) = taken
    assert isinstance(intent, Intent)
    return intent


@pytest.mark.parametrize("intent", INTENTS)
def test_the_command_to_copy_says_what_was_asked_for(intent: Intent) -> None:
    words = shlex.split(_command("prod", intent))
    assert words[:5] == ["mdr", "--profile", "prod", "restore", "run"]
    assert typed(*words[5:]) == intent


def test_every_thing_that_can_be_asked_for_is_in_it() -> None:
    """A new field of the intent that the command forgets would pass above if no case set it."""
    unsaid = {name for name, field in Intent.model_fields.items() if getattr(ALL, name) == field.default}
    assert unsaid == {"through"}


def test_what_contradicts_itself() -> None:
    with pytest.raises(WrongUse) as caught:
        typed("--users-of", "shop", "--no-users")
    assert caught.value.code == "users-and-none"
    assert typed("--users-of", "shop").users is True
    with pytest.raises(WrongUse):
        typed("--map", "shop.*=crm.a")


def test_the_scope_of_an_event_is_what_it_hit_and_no_pattern() -> None:
    hit = [event("2c85fecf", 60, "shop.st*ar"), event("3c85fecf", 60, "crm", "drop-database")]
    assert _scope_of(hit) == ["crm", r"shop.st\*ar"]
