"""What can be asked of a restore, said once for every command that takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from mongo_dr_console.model.trouble import WrongUse

if TYPE_CHECKING:
    from mongo_dr_console.model.plan import Intent

Texts = list[str] | None


@dataclass(frozen=True)
class Wanted:
    """The options, in the order of the help; each is what typer makes of it."""

    snapshot: Annotated[str | None, typer.Option("--snapshot", help="The base; proposed when left out.")] = (
        None
    )
    store: Annotated[str | None, typer.Option("--store", help="Look for the base in this store only.")] = None
    before: Annotated[
        str | None, typer.Option("--before", help="Stop before this time, position or event.")
    ] = None
    through: Annotated[
        str | None, typer.Option("--through", help="Stop after this time, position or event.")
    ] = None
    skip: Annotated[Texts, typer.Option("--skip", help="Leave this event out (see mdr find).")] = None
    ns: Annotated[Texts, typer.Option("--ns", help="Only this database or collection; * for any.")] = None
    exclude: Annotated[
        Texts, typer.Option("--exclude", help="Not this database or collection; goes before --ns.")
    ] = None
    rename: Annotated[
        Texts, typer.Option("--map", help="Rename: FROM=TO, with * or $name$ for any part of it.")
    ] = None
    to: Annotated[str | None, typer.Option("--to", help="Restore into the deployment of this profile.")] = (
        None
    )
    mode: Annotated[
        Literal["swap", "in-place", "beside", "merge"],
        typer.Option("--mode", help="How it takes its place; merge: only what the events of --skip hit."),
    ] = "swap"
    users: Annotated[
        bool | None,
        typer.Option(
            "--users/--no-users", help="Users and roles too; by default only into an empty deployment."
        ),
    ] = None
    users_of: Annotated[
        Texts, typer.Option("--users-of", help="Users and roles too, of this database only.")
    ] = None
    preserve_uuids: Annotated[
        bool, typer.Option("--preserve-uuids", help="Give collections the UUIDs that they had.")
    ] = False
    stop_on_error: Annotated[
        bool, typer.Option("--stop-on-error", help="End at the first document or index that is refused.")
    ] = False
    keep_order: Annotated[
        bool, typer.Option("--keep-order", help="Load documents one by one, in the snapshot's order.")
    ] = False
    engine: Annotated[
        Literal["builtin", "mongo_tools"] | None,
        typer.Option("--engine", help="What restores; mongo_tools runs mongorestore: everything, in place."),
    ] = None

    branch: Annotated[
        str | None,
        typer.Option("--branch", help="Another history than the deployment's, as mdr coverage names it."),
    ] = None

    def intent(self) -> Intent:
        """Raises WrongUse where options contradict each other or make no sense."""
        from mongo_dr_console.model.namespace import Renames
        from mongo_dr_console.model.plan import Intent

        try:
            Renames.parse(self.rename or [])
        except ValueError as error:
            raise WrongUse("map-wrong", f"This is {error}.") from None
        if self.users_of and self.users is False:
            raise WrongUse("users-and-none", "--users-of and --no-users contradict each other.")
        return Intent(
            snapshot=self.snapshot,
            store=self.store,
            before=self.before,
            through=self.through,
            skip=tuple(self.skip or ()),
            namespaces=tuple(self.ns or ()),
            exclude=tuple(self.exclude or ()),
            renames=tuple(self.rename or ()),
            to_profile=self.to,
            mode=self.mode,
            users=True if self.users_of else self.users,
            users_of=tuple(self.users_of or ()),
            preserve_uuids=self.preserve_uuids,
            stop_on_error=self.stop_on_error,
            keep_order=self.keep_order,
            engine=self.engine,
            branch=self.branch,
        )


def takes_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``wanted`` is, for typer, all options of ``Wanted`` in its place."""
    names = {field.name for field in fields(Wanted)}

    def run(**given: Any) -> None:
        # What may be said several times is an empty list where it is not said.
        options: dict[str, Any] = {n: None if (v := given.pop(n)) == [] else v for n in names}
        command(wanted=Wanted(**options), **given)

    hints = get_type_hints(Wanted, include_extras=True)
    own = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != "wanted":
            parameters.append(parameter.replace(annotation=own[parameter.name]))
            continue
        parameters += [
            inspect.Parameter(field.name, parameter.kind, default=field.default, annotation=hints[field.name])
            for field in fields(Wanted)
        ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = command.__doc__
    return run
