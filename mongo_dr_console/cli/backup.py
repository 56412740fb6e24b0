"""``mdr backup``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say
from mongo_dr_console.cli.rate import bytes_a_second


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


def backup(
    context: typer.Context,
    store: Annotated[
        list[str] | None, typer.Option("--store", help="Into this store only (may be repeated).")
    ] = None,
    engine: Annotated[
        Literal["builtin", "mongo_tools"] | None,
        typer.Option(help="Which engine takes it; mongo_tools runs the installed mongodump."),
    ] = None,
    compression: Annotated[
        Literal["gzip", "zstd", "none"],
        typer.Option(help="gzip and none are read by mongorestore too; zstd only by mdr."),
    ] = "gzip",
    db: Annotated[
        list[str] | None, typer.Option("--db", help="Only this database (may be repeated).")
    ] = None,
    ns: Annotated[
        list[str] | None,
        typer.Option("--ns", help="Only this collection, db.coll (may be repeated, also beside --db)."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Read no more than this in a second: 20MiB, 500KiB, 1.5GiB.")
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(help="Read from this member, host:port; else from the least loaded secondary."),
    ] = None,
    max_lag: Annotated[
        float | None,
        typer.Option("--max-lag", min=0, help="Seconds that it may be behind the primary (10)."),
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
    if engine is None and chosen.profile.engine == "pbm":
        raise Refused(
            "engine-unsupported",
            "The profile names the engine 'pbm', which this version does not have.",
            "Say another for this snapshot: --engine builtin",
        )
    choose_stores(chosen.profile, store or None)
    used = engine or chosen.profile.engine
    request = {
        "stores": store or None,
        "compression": compression,
        "databases": db or None,
        "engine": used,
    }
    request |= _finer(ns, rate, member, max_lag)
    if used == "mongo_tools":
        from mongo_dr_console.engines.mongo_tools.abilities import refuse_backup
        from mongo_dr_console.engines.mongo_tools.tools import find_tool

        refuse_backup(compression, [*(db or ()), *(ns or ())])
        if rate or member or max_lag is not None:
            raise Refused(
                "engine-cannot",
                "The engine mongo_tools has no --rate, --member or --max-lag. Nothing was backed up.",
                "The builtin engine has: --engine builtin",
            )
        find_tool("mongodump", chosen.profile.mongo_tools.path)
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


def _finer(
    ns: list[str] | None, rate: str | None, member: str | None, max_lag: float | None
) -> dict[str, Any]:
    """The parts of the request that are only there when asked for."""
    from mongo_dr_console.model.namespace import Namespace
    from mongo_dr_console.model.trouble import WrongUse

    found: dict[str, Any] = {"member": member, "max_lag": max_lag, "namespaces": ns}
    try:
        for text in ns or ():
            Namespace.parse(text)
    except ValueError as error:
        raise WrongUse("namespace-wrong", f"--ns: {error}.", "Say --ns db.collection, or --db db") from None
    if rate is not None:
        found["rate"] = bytes_a_second(rate)
    return {name: value for name, value in found.items() if value not in (None, [])}
