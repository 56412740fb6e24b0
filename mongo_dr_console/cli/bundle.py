"""``mdr bundle``: what is known of an incident in one file, for people elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mongo_dr_console.cli.redact import Redact


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bundle")(bundle)


def bundle(
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="How far back recordings and ended jobs go.")
    ] = "2h",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Else a new file in this folder.")
    ] = None,
    redact: Redact = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Everything known of an incident in one .tar.gz, no secrets.

    Readings, verdict, events, journals, config without secrets; also with everything down.
    """
    from datetime import UTC, datetime

    from mongo_dr_console.cli.context import choose
    from mongo_dr_console.cli.output import print_json, write_lines
    from mongo_dr_console.config import parse_duration
    from mongo_dr_console.model.bundletext import bundle_lines
    from mongo_dr_console.model.trouble import WrongUse
    from mongo_dr_console.workers.bundle import make_bundle, usual_name

    chosen = choose(context.obj)
    try:
        back = parse_duration(since)
    except ValueError as error:
        raise WrongUse("usage", f"--since {since!r}: {error}.") from None
    path = output or Path(usual_name(chosen.name, datetime.now(UTC)))
    made = make_bundle(chosen.name, chosen.profile, chosen.config_file, path.expanduser(), back)
    if as_json:
        print_json(made)
    else:
        write_lines(bundle_lines(made))
