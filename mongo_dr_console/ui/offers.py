"""What can be done here and now, as a list: the screen's keys, every command. Palette and help show it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from mongo_dr_console.ui.commands import Command, command_behind
from mongo_dr_console.ui.keymap import keys_of, shown_keys

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

HERE = "This screen"


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that can be done.

    Args:
        name: What is typed for it: a command's id, with a choice behind it where it has some.
        keys: As they are shown; empty where it has none.
        text: What it does, in a sentence.
        refusal: Why it cannot be done now; an empty text if it can.
        group: Its heading in help.
        run: Does it.
    """

    name: str
    keys: str
    text: str
    refusal: str
    group: str
    run: Callable[[], None]


def offers(app: ConsoleApp, screen: Screen[Any]) -> list[Offer]:
    """The keys of a screen and of what has the focus in it, then every command."""
    return [*screen_offers(app, screen), *command_offers(app)]


def command_offers(app: ConsoleApp) -> list[Offer]:
    """Every command, and its choices behind it."""
    return [offer for command in app.commands.values() for offer in _of(app, command)]


def typed_offers(app: ConsoleApp, typed: str) -> list[Offer]:
    """A command that takes words of one's own, with those that were typed behind its name."""
    name, _, words = " ".join(typed.split()).partition(" ")
    command = app.commands.get(name.lower())
    if command is None or not command.takes or not words:
        return []
    return [_chosen(app, command, words, app.refusal(command))]


def matching(known: Iterable[Offer], typed: str) -> list[Offer]:
    """Those that what was typed may mean, the likeliest first; all of them where nothing was typed.

    A name that it begins is likelier than words that it begins, and those than letters within.
    """
    words = typed.lower().split()
    ranked = [(rank, offer) for offer in known if (rank := _rank(offer, words)) is not None]
    return [offer for _, offer in sorted(ranked, key=lambda pair: pair[0])]


def description(node: DOMNode, binding: Binding, commands: Mapping[str, Command]) -> str:
    """What a key does, in a sentence."""
    namespace, _, _ = parse(binding.action)
    owner = {"app": node.app, "screen": node.screen}.get(namespace, node)
    return sentence(type(owner), binding, commands)


def sentence(owner: type[Any], binding: Binding, commands: Mapping[str, Command]) -> str:
    """That of the command behind a key, or the first one of the method, if it is ours; else the binding's
    word."""
    if command := commands.get(command_behind(binding)):
        return command.help
    method = getattr(owner, f"action_{parse(binding.action)[1]}", None)
    ours = getattr(method, "__module__", "").startswith("mongo_dr_console.")
    told = (inspect.getdoc(method) or "") if ours else ""
    first = told.partition("\n\n")[0].replace("\n", " ").replace("``", "")
    return binding.tooltip or first or f"{binding.description.rstrip('…').capitalize()}."


def _of(app: ConsoleApp, command: Command) -> list[Offer]:
    refusal = app.refusal(command)
    keys = keys_of(app, command.id, command.keys)
    found = [
        Offer(command.id, keys, command.help, refusal, command.group, lambda: app.run_command(command.id))
    ]
    for choice in command.choices(app):
        found.append(_chosen(app, command, choice, refusal))
    return found


def _chosen(app: ConsoleApp, command: Command, choice: str, refusal: str) -> Offer:
    text = command.about(choice) or command.help
    name = f"{command.id} {choice}"
    return Offer(name, "", text, refusal, command.group, lambda: app.run_command(command.id, choice))


def screen_offers(app: ConsoleApp, screen: Screen[Any]) -> list[Offer]:
    """The keys of a screen and of what has the focus in it; those that the footer does not name come last."""
    found: dict[str, tuple[DOMNode, Binding, bool, list[str]]] = {}
    for key, active in screen.active_bindings.items():
        if active.node is app or not active.binding.id:
            continue
        entry = found.setdefault(active.binding.id, (active.node, active.binding, active.enabled, []))
        entry[3].append(key)
    shown_first = sorted(found.items(), key=lambda entry: not entry[1][1].show)
    return [
        Offer(
            name=name,
            keys=shown_keys(",".join(keys)),
            text=description(node, binding, app.commands),
            refusal=_refusal(app, binding) if enabled else "It cannot be done here now.",
            group=HERE,
            run=_action(app, binding, node),
        )
        for name, (node, binding, enabled, keys) in shown_first
    ]


def _refusal(app: ConsoleApp, binding: Binding) -> str:
    command = app.commands.get(command_behind(binding))
    return "" if command is None else app.refusal(command)


def _action(app: ConsoleApp, binding: Binding, node: DOMNode) -> Callable[[], None]:
    def run() -> None:
        if node.is_attached:
            app.call_next(app.run_action, binding.action, cast("Any", node))

    return run


def _rank(offer: Offer, words: Sequence[str]) -> int | None:
    name = offer.name.lower()
    typed = " ".join(words)
    if name == typed:
        return 0
    if name.startswith(typed):
        return 1
    named = name.replace(".", " ").replace("-", " ").split()
    if all(any(part.startswith(word) for part in named) for word in words):
        return 2
    said = [*named, *offer.text.lower().replace("(", " ").split()]
    if all(any(part.startswith(word) for part in said) for word in words):
        return 3
    return 4 if all(word in name for word in words) else None
