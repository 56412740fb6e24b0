"""``mdr status``: all readings and the verdict. Exit codes follow the monitoring plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mongo_dr_console.cli.context import Chosen


def register(app: typer.Typer) -> None:
    @app.command("status")
    def status(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
        watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
        plain: Annotated[
            bool,
            typer.Option("--plain", help="Sentences for a screen reader; with --watch only changes follow."),
        ] = False,
    ) -> None:
        """Everything that is known, and what it means.

        Exit 0 ok, 1 warning, 2 critical, 3 unknown.
        """
        from mongo_dr_console.cli.context import choose
        from mongo_dr_console.model.trouble import WrongUse

        if as_json and watch:
            raise WrongUse("usage", "--json prints one document; it does not go with --watch.")
        chosen = choose(context.obj)
        if watch:
            from mongo_dr_console.cli.watch import watch as follow

            follow(chosen.name, chosen.profile, plain=plain)
            return
        raise SystemExit(_once(chosen, as_json=as_json, plain=plain))


def _once(chosen: Chosen, *, as_json: bool, plain: bool) -> int:
    import shutil
    import sys
    from datetime import UTC, datetime

    from mongo_dr_console.cli.output import print_json
    from mongo_dr_console.cli.statustext import lines
    from mongo_dr_console.model.foldtext import clean
    from mongo_dr_console.model.plainspeech import everything
    from mongo_dr_console.model.statusdoc import status_document
    from mongo_dr_console.model.verdict import verdict as judge
    from mongo_dr_console.workers.limits import limits_of
    from mongo_dr_console.workers.pollers import gather_once

    readings = gather_once(chosen.name, chosen.profile)
    limits, now = limits_of(chosen.profile), datetime.now(UTC)
    verdict = judge(readings, limits, now)
    if as_json:
        print_json(status_document(readings, verdict, limits, now))
    elif plain:
        said = everything(readings, verdict, limits, now)
        sys.stdout.write("".join(f"{clean(line)}\n" for line in said))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        sys.stdout.write("\n".join(lines(readings, verdict, limits, now, width=width)) + "\n")
    return verdict.exit_code
