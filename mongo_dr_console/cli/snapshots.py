"""``mdr snapshots``: the catalogue."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.cli.prune import prune_command
from mongo_dr_console.model.catalogue import CatalogueRow
from mongo_dr_console.model.documents import (
    CatalogueSnapshot,
    CopyDocument,
    SnapshotPage,
    SnapshotsDocument,
    UnreachableStore,
    VerificationDocument,
)
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.trouble import ExitCode, Trouble, WrongUse

if TYPE_CHECKING:
    from mongo_dr_console.stores.snapshot_reader import StoredCollection

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
InStore = Annotated[str | None, typer.Option("--store", help="Look into this store only.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the snapshot, or `latest`.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The snapshots in the stores.")
    group.command("list")(list_command)
    group.command("show")(show_command)
    group.command("verify")(verify_command)
    group.command("prune")(prune_command)
    group.command("copy")(copy_command)
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
    before = _sizes_before(chosen, row)
    document = row.to_json(datetime.now(UTC)) | {
        "schema": "mdr.snapshot",
        "engine": entry.engine,
        "server_version": entry.server_version,
        "compression": entry.compression,
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
                **_growth(c, before),
            }
            for c in reader.collections
        ],
    }
    if as_json:
        print_json(SnapshotPage.model_validate(document))
    else:
        _print_snapshot(document)


def _sizes_before(chosen: Chosen, row: CatalogueRow) -> dict[str, tuple[int, int]]:
    """Documents and bytes of each collection in the snapshot before; empty where that is not known."""
    from mongo_dr_console.stores.catalogue import read_manifest
    from mongo_dr_console.stores.open import choose_stores

    if row.previous is None:
        return {}
    store = choose_stores(chosen.profile, [row.previous.store])[row.previous.store]
    try:
        manifest = read_manifest(store, row.previous.name)
    except Trouble:
        return {}
    return {f"{c.database}.{c.name}": (c.documents, c.bytes) for c in manifest.collections}


def _growth(collection: StoredCollection, before: dict[str, tuple[int, int]]) -> dict[str, int | None]:
    old = before.get(str(collection.namespace))
    now = collection.documents, collection.bytes
    changes = [None if old is None or now[n] is None else now[n] - old[n] for n in (0, 1)]  # type: ignore[operator]
    return {"documents_change": changes[0], "bytes_change": changes[1]}


def verify_command(
    context: typer.Context,
    name: Name,
    store: InStore = None,
    level: Annotated[
        int,
        typer.Option(
            min=1,
            max=5,
            help="1: complete; 2: unchanged; 3: readable; 4: restorable on paper; 5: restored and compared.",
        ),
    ] = 2,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a snapshot back and note in the ledger whether it is good."""
    from mongo_dr_console.cli.attach import finish_with
    from mongo_dr_console.cli.jobrun import run_job

    chosen = choose(context.obj)
    chosen.require("operate")
    found = _find(chosen, name, store).best.name
    request = {"snapshot": found, "store": store, "level": level}
    view = run_job(chosen, "verify", request, detach=detach, as_json=as_json)
    finish_with(VerificationDocument, view, as_json=as_json)


def copy_command(
    context: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="The store that is to have it.")],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="STORE", help="Read it from there, not from the nearest good copy."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Copy no more than this in a second: 20MiB, 500KiB, 1.5GiB.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a snapshot into another store, checksums compared on the way."""
    from mongo_dr_console.cli.attach import finish_with
    from mongo_dr_console.cli.jobrun import run_job
    from mongo_dr_console.cli.rate import bytes_a_second
    from mongo_dr_console.stores.open import choose_stores

    chosen = choose(context.obj)
    chosen.require("operate")
    choose_stores(chosen.profile, [to, *([source] if source else [])])
    if source == to:
        raise WrongUse("copy-onto-itself", f"--from and --to both name {to!r}.", "Name two stores.")
    found = _find(chosen, name, source).best.name
    request: dict[str, Any] = {"snapshot": found, "target": to, "source": source}
    if rate is not None:
        request["rate"] = bytes_a_second(rate)
    view = run_job(chosen, "copy", request, detach=detach, as_json=as_json)
    finish_with(CopyDocument, view, as_json=as_json)


def _catalogue(chosen: Chosen, store: str | None) -> tuple[list[CatalogueRow], dict[str, Any]]:
    """Raises the store's trouble where not one of them answers."""
    from mongo_dr_console.config import cache_folder
    from mongo_dr_console.model.catalogue import rows
    from mongo_dr_console.stores.catalogue import list_all
    from mongo_dr_console.stores.open import choose_stores

    stores = choose_stores(chosen.profile, [store] if store else None)
    entries, troubles = list_all(stores, cache_folder(chosen.profile), whole=False)
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


_HEAD = ("SNAPSHOT", "AGE", "TOOK", "DOCUMENTS", "STORED", "CHANGE", "VERIFIED", "TESTED", "STORES")


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

    from mongo_dr_console.model.words import duration

    entry = row.best
    facts = row.to_json(now)
    state = f"level {entry.verification.level}" if entry.verified and entry.verification else "no"
    if facts["damaged_in"]:
        state = f"damaged in {','.join(facts['damaged_in'])}"
    if entry.problem is not None and entry.problem.code == "snapshot-unfinished":
        state = "unfinished"
    return (
        entry.name
        + (" (mongodump)" if entry.origin == "mongodump" else "")
        + (" (held)" if facts["holds"] else ""),
        duration(entry.age_seconds(now)),
        "?" if entry.seconds is None else duration(entry.seconds),
        "?" if entry.documents is None else f"{entry.documents:,}",
        humanize.naturalsize(entry.stored_bytes, binary=True),
        _percent(row),
        state,
        (facts["restore_tested_at"] or "never")[:10],
        ",".join(facts["stores"]),
    )


def _percent(row: CatalogueRow) -> str:
    """How much larger it is than the one before."""
    if row.previous is None or not row.previous.stored_bytes:
        return "-"
    change = row.best.stored_bytes / row.previous.stored_bytes - 1
    return f"{change:+.1%}" if abs(change) < 10 else f"x{change + 1:.0f}"


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
        f"  compared      {_compared(document)}",
        f"  verified      {_verified(document)}",
        *(f"                {r['level']} {r['name']}: {r['at']}" for r in document["rungs"]),
        *(f"  held          {hold}" for hold in document["holds"]),
        f"  restore test  {document['restore_tested_at'] or 'never'}",
        f"  checksum      {document['checksum']}",
        "",
    ]
    for c in document["collections"]:
        count = "?" if c["documents"] is None else f"{c['documents']:,}"
        change = c["documents_change"]
        grown = "" if change is None else f" ({change:+,})"
        what = "view" if c["kind"] == "view" else f"{count} documents{grown}, {c['indexes']} indexes"
        lines.append(f"  {c['namespace']}: {what}")
    write_lines(lines)


def _compared(document: dict[str, Any]) -> str:
    if document["previous"] is None or document["stored_bytes_change"] is None:
        return "with nothing: there is no older one of its kind"
    documents = document["documents_change"]
    more = "" if documents is None else f", {documents:+,} documents"
    return f"{document['stored_bytes_change']:+,} bytes stored{more} against {document['previous']}"


def _verified(document: dict[str, Any]) -> str:
    if document["verified_at"] is None:
        return "never"
    how = "good" if document["verified_good"] else "damaged"
    return f"{document['verified_at']}, level {document['verified_level']}, {how}"
