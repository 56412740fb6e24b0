"""``mdr snapshots prune``: what retention lets go."""

from __future__ import annotations

from typing import Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, write_lines
from mongo_dr_console.model.documents import PruneDocument


def prune_command(
    context: typer.Context,
    store: Annotated[str | None, typer.Option("--store", help="Only this store.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it; remove nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Remove what is past its retention and nothing kept needs."""
    chosen = choose(context.obj)
    if dry_run:
        from mongo_dr_console.model.pruneview import prune_lines, prune_result
        from mongo_dr_console.workers.prune_look import look

        seen = look(chosen.profile, store)
        result = prune_result(seen.decisions, dry_run=True, holds=seen.facts.holds, unread=seen.unread)
        if as_json:
            print_json(PruneDocument.model_validate(result))
        else:
            write_lines(prune_lines(result))
        return
    from mongo_dr_console.cli.attach import finish_with
    from mongo_dr_console.cli.jobrun import run_job
    from mongo_dr_console.stores.open import choose_stores

    chosen.require("restore")
    choose_stores(chosen.profile, [store] if store else None)
    view = run_job(chosen, "prune", {"store": store}, detach=detach, as_json=as_json)
    finish_with(PruneDocument, view, as_json=as_json)
