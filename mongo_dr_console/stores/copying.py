"""Copying a finished snapshot from one store to another, checksums verified on the way."""

from __future__ import annotations

from collections.abc import Callable

from mongo_dr_console.model.manifest import FileEntry, Manifest
from mongo_dr_console.model.progress import Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores import snapshot_files
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.store import Store


def copy_snapshot(source: Store, name: str, target: LocalStore, report: Report, stop: StopSignal) -> Manifest:
    """Copies a snapshot under its name, whole or not at all.

    Raises:
        Failed: ``snapshot-corrupt``, ``snapshot-exists``, ``store-full``, or it has no manifest.
        Interrupted: As ``stop`` says.
    """
    reader = open_snapshot(source, name)
    manifest = reader.manifest
    if manifest is None:
        raise Failed("manifest-missing", f"Snapshot {name} has no manifest, so a copy could not be checked.")
    step = f"copy to {target.name}"
    report(StepStarted(step, manifest.stored_bytes, "bytes"))
    done = 0
    tell = _every_mib(lambda n: report(StepProgress(step, n, manifest.stored_bytes, "bytes", n)))
    with SnapshotWriter(target, name) as writer:
        for entry in manifest.files:
            file = writer.open(entry.path)
            for chunk in snapshot_files.stored_bytes(source, reader.file(entry.path)):
                stop.check()
                file.write(chunk)
                done += len(chunk)
                tell(done)
            _check_same(entry, file.finish())
        writer.finish(manifest)
    report(StepProgress(step, done, manifest.stored_bytes, "bytes", done))
    report(StepDone(step, facts={"bytes": done, "files": len(manifest.files)}))
    return manifest


def _check_same(wanted: FileEntry, written: FileEntry) -> None:
    if wanted != written:
        raise Failed("copy-differs", f"{wanted.path} became another file while it was copied.", "Try again.")


def _every_mib(report: Callable[[int], None], mib: int = 16) -> Callable[[int], None]:
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done - told >= mib * 1024 * 1024:
            told = done
            report(done)

    return tell
