"""The parts of an incident bundle: what is kept on this host, and what is asked of others for it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mongo_dr_console import __version__
from mongo_dr_console.config import Profile
from mongo_dr_console.model.alertfacts import alerts_document
from mongo_dr_console.model.failoverdoc import FailoversDocument
from mongo_dr_console.model.finding import DoctorDocument, overall
from mongo_dr_console.model.happenings import with_events
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.recording import part_since
from mongo_dr_console.model.statusdoc import status_document
from mongo_dr_console.model.verdict import verdict
from mongo_dr_console.model.words import moment
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.alerting import known_alerts
from mongo_dr_console.workers.alertstate import facts_file
from mongo_dr_console.workers.examine import examine
from mongo_dr_console.workers.failover_state import FailoverFiles, read_failovers, read_monitor
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.holding import list_holds
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.recordings import PATTERN, Kind, recordings_folder, runs_of
from mongo_dr_console.workers.schedules import read_schedule
from mongo_dr_console.workers.shownconfig import for_others
from mongo_dr_console.workers.streamstate import state_file

_MOST_JOBS = 30
_JOURNAL_BYTES = 8 * 1024 * 1024
_JOB_FILES = (jobs.PLAN, jobs.JOURNAL, jobs.STDERR)
"""No other: what a job saved of the oplog or had to reject is data of the applications."""
_LIBRARIES = ("pymongo", "pydantic", "textual", "kafka-python", "boto3", "apprise")


@dataclass(frozen=True, slots=True)
class Found:
    """A file for a bundle; or, with ``why``, that it could not be had."""

    name: str
    content: bytes = b""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Some files of one kind.

    Args:
        about: What they are, in a few words.
        find: Finds them; it may block, and raise.
    """

    about: str
    find: Callable[[], Iterable[Found]]


def kept_parts(name: str, profile: Profile, since: datetime) -> list[Part]:
    """What is on this host's disk."""
    return [
        Part(
            "what consoles saw: mdr console --replay FILE", lambda: _recorded(name, profile, "console", since)
        ),
        Part(
            "what the agent saw: mdr console --replay FILE", lambda: _recorded(name, profile, "agent", since)
        ),
        Part("plan and journal of a job", lambda: _jobs(name, profile, since)),
        Part("what the agent of this host wrote of itself", lambda: _agent(name, profile)),
        Part("the profile, secrets masked", lambda: [Found("config.json", _json(for_others(name, profile)))]),
    ]


def asked_parts(
    name: str, profile: Profile, config_file: Path, readings: Readings, now: datetime
) -> list[Part]:
    """What is made of the readings of now, and what only the deployment and the stores know."""
    limits = limits_of(profile)
    judged = verdict(readings, limits, now)
    return [
        Part(
            "all readings and the verdict, as mdr status --json",
            lambda: [Found("status.json", _json(status_document(readings, judged, limits, now)))],
        ),
        Part("what happened in the last day", lambda: [Found("events.txt", _events(readings, now))]),
        Part("findings, as mdr doctor --json", lambda: _doctor(name, profile, config_file, readings)),
        Part("alerts, as mdr alerts list --json", lambda: _alerts(name, profile, readings, now)),
        Part("schedule, as mdr schedule list --json", lambda: _schedule(name, profile, now)),
        Part("failovers, as mdr failover show --json", lambda: _failovers(name, profile, now)),
        *([Part("holds", lambda: _holds(profile))] if profile.stores else []),
    ]


def versions() -> dict[str, str]:
    """Of what is at work on this host."""
    found = {"mdr": __version__, "python": platform.python_version(), "system": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _recorded(name: str, profile: Profile, kind: Kind, since: datetime) -> Iterator[Found]:
    for run in runs_of(recordings_folder(profile) / name, kind):
        parts = [part_since(file.read_bytes(), since) for file in sorted(run.glob(PATTERN))]
        if content := b"".join(parts):
            yield Found(f"recordings/{run.name}.jsonl", content)


def _jobs(name: str, profile: Profile, since: datetime) -> Iterator[Found]:
    views = [v for v in jobs.list_jobs(jobs_folder(profile)) if v.profile == name]
    recent = [v for v in views if v.state == "running" or (v.ended_at or v.created_at) >= since]
    for view in recent[:_MOST_JOBS]:
        folder = jobs_folder(profile) / view.job
        for file in _JOB_FILES:
            yield from _copied(folder / file, f"jobs/{view.job}/{file}")


def _agent(name: str, profile: Profile) -> Iterator[Found]:
    yield from _copied(state_file(name, profile), "agent/stream.json")
    yield from _copied(facts_file(name, profile), "agent/alerts.json")
    folder = FailoverFiles.of(name, profile).folder
    for path in sorted(folder.rglob("*.json")):
        yield from _copied(path, f"agent/failover/{path.relative_to(folder)}")


def _copied(path: Path, name: str) -> Iterator[Found]:
    """A file of this host, where there is one; of one that is too long the newest part, in whole lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        yield Found(name, why=f"it cannot be read: {error.strerror}")
        return
    if len(content) > _JOURNAL_BYTES:
        content = content[content.find(b"\n", len(content) - _JOURNAL_BYTES) + 1 :]
    if content:
        yield Found(name, content)


def _events(readings: Readings, now: datetime) -> bytes:
    happened = with_events((), readings, now)
    lines = [f"{moment(h.at)} {h.level.word}: {h.source}: {h.text}" for h in happened]
    return "".join(f"{line}\n" for line in lines or ["Nothing is known to have happened."]).encode()


def _doctor(name: str, profile: Profile, config_file: Path, readings: Readings) -> Iterator[Found]:
    findings = tuple(examine(profile, config_file, readings, probe=False))
    yield Found(
        "doctor.json", _json(DoctorDocument(profile=name, level=overall(findings), findings=findings))
    )


def _alerts(name: str, profile: Profile, readings: Readings, now: datetime) -> Iterator[Found]:
    facts = known_alerts(name, profile, readings)
    yield Found("alerts.json", _json(alerts_document(name, facts, now)))


def _schedule(name: str, profile: Profile, now: datetime) -> Iterator[Found]:
    yield Found("schedule.json", _json(read_schedule(name, profile, now)))


def _failovers(name: str, profile: Profile, now: datetime) -> Iterator[Found]:
    monitor = read_monitor(name, profile)
    known, unread = read_failovers(profile, FailoverFiles.of(name, profile))
    document = FailoversDocument(
        profile=name,
        monitor=monitor,
        alive=monitor is not None and not monitor.stale(now),
        failovers=known,
        unread=unread,
    )
    yield Found("failovers.json", _json(document))
    yield from (Found("failovers of a store", why=why) for why in unread)


def _holds(profile: Profile) -> Iterator[Found]:
    holds, troubles = list_holds(profile)
    yield Found("holds.json", json.dumps([h.to_record() for h in holds], indent=2, default=str).encode())
    yield from (Found(f"holds of store {store}", why=str(trouble)) for store, trouble in troubles.items())


def _json(document: BaseModel | dict[str, Any]) -> bytes:
    data = document.model_dump(mode="json", by_alias=True) if isinstance(document, BaseModel) else document
    return json.dumps(data, ensure_ascii=False, indent=2).encode() + b"\n"
