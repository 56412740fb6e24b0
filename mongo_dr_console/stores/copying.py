"""Copying a finished snapshot from one store to another, checksums verified on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mongo_dr_console.model.manifest import FileEntry, Manifest
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Interrupted, Unreachable
from mongo_dr_console.stores import snapshot_files
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.store import Store


def copy_snapshot(
    source: Store,
    name: str,
    target: Store,
    report: Report,
    stop: StopSignal,
    pace: Callable[[int], None] = lambda _: None,
) -> Manifest | None:
    """Copies a snapshot under its name, whole or not at all. A dump without a manifest is copied as it is:
    its files must come out as long as they are listed, and nothing more is known of them.

    A copy that was killed or stopped, or whose store fell silent, goes on where it was: files that are there
    with the size and SHA-256 of the manifest are not sent again, nor are parts of a large one that arrived.

    Args:
        pace: Called with the bytes that were copied; waits as long as a rate limit wants.

    Raises:
        Failed: ``snapshot-corrupt``, ``snapshot-exists``, ``store-full``.
        Interrupted: As ``stop`` says.
    """
    reader = open_snapshot(source, name)
    manifest = reader.manifest
    files = sorted(reader.files.values(), key=lambda entry: entry.path)
    total = sum(entry.size for entry in files)
    step = f"copy to {target.name}"
    report(StepStarted(step, total, "bytes"))
    done = 0
    tell = _every_mib(lambda n: report(StepProgress(step, n, total, "bytes", n)))
    with begin_snapshot(target, name, files if manifest is not None else ()) as writer, _left(writer):
        if writer.there:
            report(Note(f"{len(writer.there)} of {len(files)} files are in store {target.name} already"))
        for entry in files:
            if entry.path in writer.there:
                done += entry.size
                tell(done)
                continue
            file = writer.open(entry.path)
            begun = done
            while True:
                try:
                    for chunk in snapshot_files.stored_bytes(reader.store, reader.file(entry.path)):
                        stop.check()
                        file.write(chunk)
                        pace(len(chunk))
                        done += len(chunk)
                        tell(done)
                    break
                except Failed as error:
                    if error.code != "snapshot-corrupt" or not reader.fall_over(entry.path):
                        raise
                file.restart()
                done = begun
            _check_same(entry, file.finish(), manifest)
        writer.finish(manifest)
    report(StepProgress(step, done, total, "bytes", done))
    report(StepDone(step, facts={"bytes": done, "files": len(files)}))
    return manifest


@contextmanager
def _left(writer: SnapshotOutput) -> Iterator[None]:
    """What passes leaves what was copied; everything else takes it away."""
    try:
        yield
    except (Interrupted, Unreachable):
        writer.leave()
        raise


def _check_same(wanted: FileEntry, written: FileEntry, manifest: Manifest | None) -> None:
    if wanted.size != written.size or (manifest is not None and wanted != written):
        raise Failed("copy-differs", f"{wanted.path} became another file while it was copied.", "Try again.")


def _every_mib(report: Callable[[int], None], mib: int = 16) -> Callable[[int], None]:
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done - told >= mib * 1024 * 1024:
            told = done
            report(done)

    return tell
