"""Every command of the console in one table: bindings, palette, footer and help are made from it.

A command says itself whether it can run now and why not; the work behind it asks for access once more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.actions import parse
from textual.binding import Binding, BindingType

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def is_open(app: ConsoleApp, module: str, screen: str) -> bool:
    """Whether a screen of this class is on the stack; asked without loading its module, which costs the first
    paint a tenth of a second."""
    loaded = sys.modules.get(module)
    return loaded is not None and any(isinstance(s, getattr(loaded, screen)) for s in app.screen_stack)


def always(_: ConsoleApp) -> str:
    return ""


def nothing_about(_: str) -> str:
    return ""


def no_choices(_: ConsoleApp) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        id: Its name: in the palette, in ``[keys]``, and as what is typed after ``:``.
        keys: Comma-separated, as Textual names them; empty: only in the palette.
        label: A word or two, for the footer.
        help: A sentence.
        action: What it does.
        refusal: Why it cannot run now; an empty text if it can.
        shown: Whether the footer names it.
        group: Heading in help.
        choices: What may follow its name in the palette, as in ``theme light``.
        choose: What it does with one of them.
        about: A sentence about one of them; empty: what ``help`` says.
        of_recording: Whether it is there in a recording only.
        takes: What may be typed behind its name besides the choices, as in ``find -2d``; empty: nothing. It
            is given to ``choose``.
    """

    id: str
    keys: str
    label: str
    help: str
    action: Callable[[ConsoleApp], None]
    refusal: Callable[[ConsoleApp], str] = always
    shown: bool = False
    group: str = "Console"
    choices: Callable[[ConsoleApp], tuple[str, ...]] = no_choices
    choose: Callable[[ConsoleApp, str], None] | None = None
    about: Callable[[str], str] = nothing_about
    of_recording: bool = False
    takes: str = ""


def command_behind(binding: Binding) -> str:
    """The command that a key runs; empty: it does something else."""
    _, action, parameters = parse(binding.action)
    return str(parameters[0]) if action == "run_command" else ""


def bindings_of(commands: Iterable[Command]) -> list[BindingType]:
    """The commands that have keys, as bindings; their ids are those of the config's ``[keys]``."""
    return [
        Binding(c.keys, f"app.run_command({c.id!r})", c.label, show=c.shown, id=c.id)
        for c in commands
        if c.keys
    ]
