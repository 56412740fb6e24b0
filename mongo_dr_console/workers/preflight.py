"""What a restore needs besides what ``mdr doctor`` looks at: this host and login, and where it could go back.

A finding says what it means for a restore. None of them keeps anybody from making a plan and reading it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from mongo_dr_console.config import Profile
from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.words import duration, moment, size
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.login import outliving

_PROBE = ".mdr-preflight-probe"
_LEAST_FREE = 200 * 1024 * 1024


def preflight(
    profile: Profile, readings: Readings, now: datetime, environment: Mapping[str, str] = os.environ
) -> list[Finding]:
    """What is special about starting a restore here and now."""
    return [
        *_lock(readings),
        *_majority(readings),
        *_base(readings, now),
        *_coverage(readings, now),
        *_state(jobs_folder(profile).parent, readings),
        *_login(environment),
    ]


def _lock(readings: Readings) -> Iterator[Finding]:
    lock = None if readings.lock is None else readings.lock.value
    if lock is not None and lock.fresh:
        yield Finding(
            Level.CRITICAL,
            "locked",
            "lock",
            f"Job {lock.job} ({lock.kind}) of {lock.owner} writes to the deployment, {lock.where}: a restore "
            "would be refused until it ends.",
            f"On {lock.host}: mdr jobs attach {lock.job}",
        )


def _majority(readings: Readings) -> Iterator[Finding]:
    status = None if readings.set is None else readings.set.value
    if status is None or readings.set is None or readings.set.error is not None:
        yield Finding(
            Level.CRITICAL,
            "set-unknown",
            "majority",
            "The replica set does not answer: nothing can be restored into it now.",
            "Snapshots can be restored into another deployment: choose it under where to.",
        )
    elif not status.has_majority:
        yield Finding(
            Level.CRITICAL,
            "no-majority",
            "majority",
            f"{status.majority_available} of the {status.majority_needed} members that a majority needs are "
            "there: no write is acknowledged, and a restore into this deployment cannot go on.",
            "Bring members back, or restore into another deployment.",
        )
    elif status.primary is None:
        yield Finding(
            Level.CRITICAL, "no-primary", "majority", "There is no primary: nothing can be written.", "Wait."
        )
    else:
        yield fine("majority", "majority", f"A majority is there; {status.primary} is primary.")


def _base(readings: Readings, now: datetime) -> Iterator[Finding]:
    newest = (
        None if readings.backups is None or readings.backups.value is None else readings.backups.value.newest
    )
    if newest is None:
        yield Finding(
            Level.CRITICAL,
            "no-snapshot",
            "snapshot",
            "No store that answers has a whole snapshot: there is nothing to restore from.",
            "See what each store says: mdr snapshots list",
        )
        return
    text = (
        f"The newest, {newest.name} in {newest.store}, is {duration(max(0.0, newest.age_seconds(now)))} old"
    )
    if newest.restore_tested_at is None:
        text += " and was never restore-tested."
        yield Finding(
            Level.WARNING, "not-restore-tested", "snapshot", text, "Rehearse it into another place."
        )
    else:
        yield fine("snapshot", "snapshot", f"{text} and was restore-tested.")


def _coverage(readings: Readings, now: datetime) -> Iterator[Finding]:
    coverage = None if readings.coverage is None else readings.coverage.value
    if coverage is None:
        yield Finding(
            Level.UNKNOWN, "coverage-unknown", "coverage", "It is not known yet what can be restored to."
        )
    elif coverage.latest is None:
        yield Finding(
            Level.CRITICAL, "no-coverage", "coverage", "Nothing can be restored to.", "See: mdr coverage"
        )
    else:
        back = duration(max(0.0, (now - coverage.latest.time).total_seconds()))
        first = coverage.ranges[0].start
        text = f"From {moment(first.time)} to {moment(coverage.latest.time)} ({back} ago)"
        gaps = len(coverage.gaps)
        if gaps:
            text += f", with {gaps} gap{'' if gaps == 1 else 's'} that nothing can be restored to"
            yield Finding(Level.WARNING, "gaps", "coverage", f"{text}.", "See: mdr coverage")
        else:
            yield fine("coverage", "coverage", f"{text}, without a gap.")


def _state(folder: Path, readings: Readings) -> Iterator[Finding]:
    """The job's journal, and the oplog that it needs, are kept here."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f"{_PROBE}-{os.getpid()}"
        probe.write_bytes(b"mdr")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding(
            Level.CRITICAL,
            "state-not-writable",
            "state folder",
            f"{folder} cannot be written: {error.strerror}. No job can start.",
            "Correct its owner or mode, make room, or name another with MDR_STATE_DIR.",
        )
        return
    oplog = None if readings.oplog is None else readings.oplog.value
    needed = max(_LEAST_FREE, (oplog.size_bytes or 0) if oplog is not None else 0)
    text = f"{folder} can be written, {size(free)} free"
    if free < needed:
        yield Finding(
            Level.CRITICAL if free < _LEAST_FREE else Level.WARNING,
            "state-room",
            "state folder",
            f"{text}; the oplog that a restore saves there first may take up to {size(needed)}.",
            "Make room, or name another folder with MDR_STATE_DIR.",
        )
    else:
        yield fine("state-folder", "state folder", f"{text}.")


def _login(environment: Mapping[str, str]) -> Iterator[Finding]:
    way = outliving()
    over_ssh = bool(environment.get("SSH_CONNECTION"))
    inside = "tmux" if environment.get("TMUX") else "screen" if environment.get("STY") else ""
    if way.warning:
        level = Level.CRITICAL if over_ssh else Level.WARNING
        yield Finding(level, "login-ends-jobs", "login", way.warning, "loginctl enable-linger")
    elif inside:
        yield fine("login", "login", f"Inside {inside}; a job goes on without this terminal, too.")
    elif over_ssh:
        text = "Over plain SSH: if the line drops the console ends, and a job goes on; J shows it again."
        yield fine("login", "login", text)
    else:
        yield fine("login", "login", "A job goes on when this terminal or login ends.")
