"""``mdr snapshots``: the catalogue."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import clean, print_json, say, write_lines
from mongo_dr_console.model.catalogue import CatalogueRow
from mongo_dr_console.model.documents import (
    CatalogueSnapshot,
    SnapshotPage,
    SnapshotsDocument,
    UnreachableStore,
    VerificationDocument,
)
from mongo_dr_console.model.trouble import ExitCode, WrongUse

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
InStore = Annotated[str | None, typer.Option("--store", help="Look into this store only.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the snapshot, or `latest`.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The snapshots in the stores.")
    group.command("list")(list_command)
    group.command("show")(show_command)
    group.command("verify")(verify_command)
    app.add_typer(group, name="snapshots")


def list_command(context: typer.Context, store: InStore = None, as_json: AsJson = False) -> None:
    """All snapshots, newest first. The deployment is not needed."""
    rows, troubles = _catalogue(choose(context.obj), store)
    now = datetime.now(UTC)
    if as_json:
        unreachable = [
            UnreachableStore(store=name, code=trouble.code, message=trouble.message)
            for name, trouble in troubles.items()
        ]
        snapshots = [CatalogueSnapshot.model_validate(row.to_json(now)) for row in rows]
        print_json(SnapshotsDocument(snapshots=snapshots, unreachable=unreachable))
    else:
        _print_table(rows, now)
    for name, trouble in troubles.items():
        say(f"mdr: store {name} is not in this list: {trouble}")
    if troubles:
        raise SystemExit(int(ExitCode.PARTLY))


def show_command(context: typer.Context, name: Name, store: InStore = None, as_json: AsJson = False) -> None:
    """One snapshot: window, origin, what is in it."""
    from mongo_dr_console.stores.open import choose_stores
    from mongo_dr_console.stores.snapshot_reader import open_snapshot

    chosen = choose(context.obj)
    row = _find(chosen, name, store)
    entry = row.best
    if entry.problem is not None:
        raise entry.problem
    reader = open_snapshot(choose_stores(chosen.profile, [entry.store])[entry.store], entry.name)
    window = reader.window
    document = row.to_json(datetime.now(UTC)) | {
        "schema": "mdr.snapshot",
        "engine": entry.engine,
        "server_version": entry.server_version,
        "compression": entry.compression,
        "seconds": entry.seconds,
        "operations": window.operations if window else None,
        "checksum": reader.checksum,
        "files": len(reader.files),
        "collections": [
            {
                "namespace": str(c.namespace),
                "kind": c.kind,
                "uuid": c.uuid,
                "documents": c.documents,
                "bytes": c.bytes,
                "stored_bytes": c.stored_bytes,
                "indexes": len(c.indexes),
            }
            for c in reader.collections
        ],
    }
    if as_json:
        print_json(SnapshotPage.model_validate(document))
    else:
        _print_snapshot(document)


def verify_command(
    context: typer.Context,
    name: Name,
    store: InStore = None,
    level: Annotated[
        int, typer.Option(min=1, max=3, help="1: the files are there; 2: unchanged; 3: readable throughout.")
    ] = 2,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a snapshot back and note in the ledger whether it is good."""
    from mongo_dr_console.cli.attach import finish
    from mongo_dr_console.cli.jobrun import run_job

    chosen = choose(context.obj)
    chosen.require("operate")
    found = _find(chosen, name, store).best.name
    request = {"snapshot": found, "store": store, "level": level}
    view = run_job(chosen, "verify", request, detach=detach, as_json=as_json)
    if view is None:
        return
    if as_json and view.result:
        print_json(VerificationDocument.model_validate(view.result | {"job": view.job}))
        raise SystemExit(view.exit_code)
    finish(view, as_json=as_json)


def _catalogue(chosen: Chosen, store: str | None) -> tuple[list[CatalogueRow], dict[str, Any]]:
    """Raises the store's trouble where not one of them answers."""
    from mongo_dr_console.model.catalogue import rows
    from mongo_dr_console.stores.catalogue import list_all
    from mongo_dr_console.stores.open import choose_stores

    stores = choose_stores(chosen.profile, [store] if store else None)
    entries, troubles = list_all(stores)
    if troubles and len(troubles) == len(stores):
        raise next(iter(troubles.values()))
    return rows(entries), troubles


def _find(chosen: Chosen, name: str, store: str | None) -> CatalogueRow:
    rows, troubles = _catalogue(chosen, store)
    for trouble in troubles.values():
        say(f"mdr: {trouble}")
    for row in rows:
        if name in (row.best.name, "latest"):
            return row
    some = ", ".join(row.best.name for row in rows[:5]) or "there is none"
    raise WrongUse("snapshot-unknown", f"There is no snapshot {name!r}.", f"Newest: {some}")


_HEAD = ("SNAPSHOT", "AGE", "DOCUMENTS", "STORED", "VERIFIED", "TESTED", "STORES")


def _print_table(rows: list[CatalogueRow], now: datetime) -> None:
    if not rows:
        say("There are no snapshots. Take one: mdr backup")
        return
    lines = [_HEAD, *(_cells(row, now) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(clean(text.rstrip()) + "\n")


def _cells(row: CatalogueRow, now: datetime) -> tuple[str, ...]:
    import humanize

    entry = row.best
    facts = row.to_json(now)
    state = f"level {entry.verification.level}" if entry.verified and entry.verification else "no"
    if facts["damaged_in"]:
        state = f"damaged in {','.join(facts['damaged_in'])}"
    if entry.problem is not None and entry.problem.code == "snapshot-unfinished":
        state = "unfinished"
    return (
        entry.name + (" (mongodump)" if entry.origin == "mongodump" else ""),
        humanize.naturaldelta(now - entry.taken_at),
        "?" if entry.documents is None else f"{entry.documents:,}",
        humanize.naturalsize(entry.stored_bytes, binary=True),
        state,
        (facts["restore_tested_at"] or "never")[:10],
        ",".join(facts["stores"]),
    )


def _print_snapshot(document: dict[str, Any]) -> None:
    import humanize

    window = document["window"]
    lines = [
        f"{document['name']}  ({document['origin']}, in {', '.join(document['stores'])})",
        f"  state of      {document['taken_at']}",
        "  window        "
        + (f"{window['start']} to {window['end']}, {document['operations']:,} entries" if window else "none"),
        f"  server        {document['server_version'] or '?'}, {document['compression']}",
        f"  stored        {humanize.naturalsize(document['stored_bytes'], binary=True)}"
        f" in {document['files']} files",
        f"  verified      {_verified(document)}",
        f"  restore test  {document['restore_tested_at'] or 'never'}",
        f"  checksum      {document['checksum']}",
        "",
    ]
    for c in document["collections"]:
        count = "?" if c["documents"] is None else f"{c['documents']:,}"
        what = "view" if c["kind"] == "view" else f"{count} documents, {c['indexes']} indexes"
        lines.append(f"  {c['namespace']}: {what}")
    write_lines(lines)


def _verified(document: dict[str, Any]) -> str:
    if document["verified_at"] is None:
        return "never"
    how = "good" if document["verified_good"] else "damaged"
    return f"{document['verified_at']}, level {document['verified_level']}, {how}"
