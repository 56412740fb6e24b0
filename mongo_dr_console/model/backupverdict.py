"""What the stores and their snapshots add to the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mongo_dr_console.model.backupfacts import BackupFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.level import Fact, Level, grade
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import Limits
from mongo_dr_console.model.unknown import missing
from mongo_dr_console.model.words import duration, ratio


def judge_backups(reading: Reading[BackupFacts] | None, limits: Limits, now: datetime) -> Iterator[Fact]:
    """Whether there is a snapshot that a restore can begin with, and how good it is."""
    if not limits.stored:
        text = "NO BACKUP: the profile has no store to keep one in."
        yield Fact(Level.CRITICAL, "no-backup", "backups", text, Rank.RPO)
        return
    if reading is None:
        text = "No store is known, or none has answered yet: there may be no backup at all."
        yield Fact(Level.UNKNOWN, "backups-unknown", "backups", text, Rank.UNREACHABLE)
        return
    yield from missing(reading, "backups", now)
    if reading.value is None:
        return
    for store in reading.value.stores:
        if store.error is not None and reading.error is None:
            yield _store_fact(store.name, store.error)
        for problem in store.problems:
            yield Fact(Level.WARNING, "snapshot-unreadable", "backups", problem, Rank.BACKUP)
    newest = reading.value.newest
    if newest is None:
        if reading.error is None:
            text = "NO BACKUP: no store holds a whole snapshot."
            yield Fact(Level.CRITICAL, "no-backup", "backups", text, Rank.RPO)
        return
    yield from _newest_facts(newest, reading.value, limits, now)


def _store_fact(name: str, error: SourceError) -> Fact:
    return Fact(
        Level.WARNING, "store-unreachable", "backups", f"Store {name}: {error.message}", Rank.UNREACHABLE
    )


def _newest_facts(
    newest: SnapshotEntry, backups: BackupFacts, limits: Limits, now: datetime
) -> Iterator[Fact]:
    age = newest.age_seconds(now)
    level = grade(age, limits.backup_age)
    text = f"The newest snapshot, {newest.name}, is {duration(age)} old."
    if level is not Level.FINE:
        text = text[:-1] + f" (limit {duration(limits.backup_age.critical)})."
    yield Fact(level, "backup-age", "backups", text, Rank.BACKUP)
    if backups.size_delta is not None:
        level = grade(abs(backups.size_delta), limits.size_delta)
        if level is not Level.FINE:
            text = f"Snapshot {newest.name} differs in size by {ratio(backups.size_delta)} from the last."
            yield Fact(level, "backup-size", "backups", text, Rank.BACKUP)
    yield from _verification(newest, backups)
    yield from _restore_test(backups, limits, now)


def _verification(newest: SnapshotEntry, backups: BackupFacts) -> Iterator[Fact]:
    """The newest one is damaged; or none was ever read back, by a verification or a restore."""
    copies = [s for store in backups.stores for s in store.snapshots]
    of_newest = [s for s in copies if s.name == newest.name]
    if any(s.known_bad for s in of_newest):
        level = Level.WARNING if any(s.verified for s in of_newest) else Level.CRITICAL
        bad = ", ".join(s.store for s in of_newest if s.known_bad)
        text = f"The newest snapshot, {newest.name}, was found damaged in store {bad}."
        yield Fact(level, "backup-bad", "backups", text, Rank.BACKUP)
        return
    drilled = backups.drilled is not None and backups.drilled.kind == "full"
    if not drilled and not any(s.verified or s.restore_tested_at for s in copies):
        text = "No snapshot was ever read back to verify it."
        yield Fact(Level.WARNING, "backup-unverified", "backups", text, Rank.BACKUP)


def _restore_test(backups: BackupFacts, limits: Limits, now: datetime) -> Iterator[Fact]:
    tested = [s.restore_tested_at for store in backups.stores for s in store.snapshots if s.restore_tested_at]
    drilled = backups.drilled
    if drilled is not None and all(drilled.at > at for at in tested):
        tested, what = [drilled.at], f"restore test, a {drilled.kind} drill,"
    else:
        what = "restore test"
    if not tested:
        text = "No snapshot was ever restored as a test."
        yield Fact(Level.WARNING, "never-restore-tested", "backups", text, Rank.DRILL)
        return
    age = (now - max(tested)).total_seconds()
    level = grade(age, limits.restore_test_age)
    if level is not Level.FINE:
        text = f"The last {what} was {duration(age)} ago."
        yield Fact(level, "restore-test-age", "backups", text, Rank.DRILL)
