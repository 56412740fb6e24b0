"""``mdr backup``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


def backup(
    context: typer.Context,
    store: Annotated[
        list[str] | None, typer.Option("--store", help="Into this store only (may be repeated).")
    ] = None,
    engine: Annotated[Literal["builtin"] | None, typer.Option(help="Which engine takes it.")] = None,
    compression: Annotated[
        Literal["gzip", "zstd", "none"],
        typer.Option(help="gzip and none are read by mongorestore too; zstd only by mdr."),
    ] = "gzip",
    db: Annotated[
        list[str] | None, typer.Option("--db", help="Only this database (may be repeated).")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Take a snapshot of the deployment while it is in use."""
    from mongo_dr_console.cli.jobrun import run_job
    from mongo_dr_console.model.trouble import Refused
    from mongo_dr_console.stores.open import choose_stores

    chosen = choose(context.obj)
    chosen.require("operate")
    if engine is None and chosen.profile.engine != "builtin":
        raise Refused(
            "engine-unsupported",
            f"The profile names the engine {chosen.profile.engine!r}; this version has the builtin one only.",
            "Say so for this snapshot: --engine builtin",
        )
    choose_stores(chosen.profile, store or None)
    request = {"stores": store or None, "compression": compression, "databases": db or None}
    view = run_job(chosen, "backup", request, detach=detach, as_json=as_json)
    if view is None:
        return
    if as_json and view.result:
        from mongo_dr_console.model.documents import BackupDocument
        from mongo_dr_console.model.jobview import document

        told = document(view)
        facts = {"job": view.job, "state": view.state, "error": told.error}
        print_json(BackupDocument.model_validate(view.result | facts))
        if view.error is not None:
            say(f"mdr: {view.error.message}")
        raise SystemExit(view.exit_code)
    from mongo_dr_console.cli.attach import finish

    finish(view, as_json=as_json)
