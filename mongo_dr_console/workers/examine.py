"""The examination behind ``mdr doctor``: what is asked, in the order in which a fix should be tried."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.config import LocalStoreConfig, Profile
from mongo_dr_console.engines.mongo_tools.tools import ToolName, find_tool
from mongo_dr_console.model import finding
from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.namespace import OWN_DATABASE, is_set_aside, is_staging, is_system_database
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.setstatus import WRITE_BLOCK_ON
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.model.words import duration, size
from mongo_dr_console.mongo import roles
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.locks import read_lock
from mongo_dr_console.workers.access import require

_SECONDS = 3.0
_CLOSED = ("deployment-unreachable", "authentication-failed", "uri-wrong")
"""Errors after which no further question would be answered."""
_TOOLS: tuple[ToolName, ...] = ("mongodump", "mongorestore")
_PROBE = ".mdr-doctor-probe"


def examine(profile: Profile, config_file: Path, readings: Readings, *, probe: bool) -> list[Finding]:
    """Everything that can be looked at; what cannot be reached is a finding, never an error.

    Args:
        readings: Asked a moment ago; the deployment is asked further questions only if it answered.
        probe: Whether something small may be written into each store, and removed again: nothing else tells
            for certain that it can be written to.
    """
    found = [*_files(profile, config_file)]
    if readings.set is not None and readings.set.error is not None:
        error = readings.set.error
        found.append(Finding(Level.CRITICAL, error.code, "connection", error.message, error.hint))
    if readings.set is None or readings.set.error is None or readings.set.error.code not in _CLOSED:
        found += _deployment(profile, readings)
    found += [*_stores(profile, readings, probe=probe), *_topic(profile), *_jobs(readings), *_tools(profile)]
    return found


def _files(profile: Profile, config_file: Path) -> Iterator[Finding]:
    yield from _mode("config", config_file)
    if profile.uri_file is not None:
        yield from _mode("uri_file", profile.uri_file.expanduser())
    kafka = profile.oplog.kafka
    if kafka is not None and kafka.security.password_file is not None:
        yield from _mode("password_file", kafka.security.password_file.expanduser())


def _mode(subject: str, path: Path) -> Iterator[Finding]:
    try:
        yield finding.file_mode(subject, str(path), path.stat().st_mode)
    except OSError as error:
        yield Finding(Level.CRITICAL, "file-unreadable", subject, f"{path}: {error.strerror}.", "Correct it.")


def _deployment(profile: Profile, readings: Readings) -> Iterator[Finding]:
    checks: tuple[Callable[[Client], Iterator[Finding]], ...] = (
        lambda client: _connection(client, profile),
        lambda client: _roles(client, profile),
        _server,
        lambda _: _oplog(readings),
        lambda client: _write_block(client, readings),
        _lock,
        _left_over,
    )
    untold: dict[Finding, None] = {}
    with closing(connect(profile.connection_uri(), seconds=_SECONDS)) as client:
        for check in checks:
            try:
                yield from check(client)
            except PyMongoError as error:
                untold.setdefault(_unanswered(told(error)))
            except Trouble as trouble:
                untold.setdefault(_unanswered(trouble))
    # What keeps several questions from an answer is one finding.
    yield from untold


def _unanswered(trouble: Trouble) -> Finding:
    level = Level.CRITICAL if isinstance(trouble, Refused) else Level.UNKNOWN
    return Finding(level, trouble.code, "connection", trouble.message, trouble.hint)


def _connection(client: Client, profile: Profile) -> Iterator[Finding]:
    identity = read_identity(client, profile.environment)
    yield fine("identity", "connection", f"This is {identity}.")


def _roles(client: Client, profile: Profile) -> Iterator[Finding]:
    granted = roles.read_granted(client)
    if not granted.users:
        yield Finding(
            Level.WARNING,
            "no-authentication",
            "roles",
            "No user is logged in: the deployment has no authentication, or lets this host in without. "
            "A swap cannot block user writes for its cut-over there.",
            "Turn authentication on; users: mdr doctor --print-roles",
        )
        return
    lacking = roles.missing(granted.privileges, profile.access)
    who = ", ".join(granted.users)
    yield from _agents_role(granted, profile)
    if not lacking:
        yield fine("roles", "roles", f"{who} may do all that access = {profile.access!r} needs.")
        return
    by_role: dict[str, list[str]] = {}
    for need in lacking:
        by_role.setdefault(need.role, []).append(need.action)
    for role, actions in by_role.items():
        yield Finding(
            Level.CRITICAL,
            "role-missing",
            "roles",
            f"{who} lacks {', '.join(dict.fromkeys(actions))} (role {role}), "
            f"which access = {profile.access!r} needs.",
            f'Grant it: db.grantRolesToUser("{granted.users[0].partition("@")[0]}", ["{role}"]); '
            "or see: mdr doctor --print-roles",
        )


def _agents_role(granted: roles.Granted, profile: Profile) -> Iterator[Finding]:
    if roles.missing(granted.privileges, profile.access, roles.AGENT_NEEDS):
        yield Finding(
            Level.WARNING,
            "agent-role-missing",
            "roles",
            f"{', '.join(granted.users)} may not write into {OWN_DATABASE}: an agent that logs in so streams "
            "and backs up, but its canary measures nothing, and it cannot prove a new primary by a write.",
            f'Grant it: db.grantRolesToUser("{granted.users[0].partition("@")[0]}", [{roles.OWN_ROLE}]); '
            "or see: mdr doctor --print-roles",
        )


def _server(client: Client) -> Iterator[Finding]:
    before = datetime.now(UTC)
    hello = client.admin.command("hello", codec_options=client.codec_options)
    after = datetime.now(UTC)
    yield finding.clock_difference((hello["localTime"] - (before + (after - before) / 2)).total_seconds())
    yield finding.server_version(str(client.admin.command("buildInfo")["version"]))


def _oplog(readings: Readings) -> Iterator[Finding]:
    reading = readings.oplog
    if reading is None or reading.value is None:
        why = "It was not asked." if reading is None or reading.error is None else reading.error.message
        yield Finding(Level.UNKNOWN, "oplog-unread", "oplog", f"The oplog could not be measured: {why}")
        return
    backups = None if readings.backups is None else readings.backups.value
    newest = None if backups is None else backups.newest
    yield finding.oplog_window(reading.value, None if newest is None else newest.seconds)


def _write_block(client: Client, readings: Readings) -> Iterator[Finding]:
    status = None if readings.set is None else readings.set.value
    if status is None or status.write_blocked is None:
        return
    if not status.write_blocked:
        yield fine("write-block", "writes", "User writes are not blocked.")
    elif lock_is_fresh(client):
        yield Finding(
            Level.WARNING, "write-block", "writes", "User writes are blocked by a job that is at work.", ""
        )
    else:
        yield Finding(
            Level.CRITICAL,
            "write-block-left",
            "writes",
            "User writes are blocked and no job is at work: applications get error 371.",
            "Resume the job that did it (mdr jobs list), or release the block: mdr doctor --fix",
        )


def lock_is_fresh(client: Client) -> bool:
    lock = read_lock(client)
    return lock is not None and lock.fresh


def release_write_block(name: str, profile: Profile) -> str:
    """Lets users write again; what was done, empty where they can.

    Raises:
        Refused: The profile's access does not reach; or a job that is at work holds the deployment's lock, so
            the block is its own.
        Trouble: The deployment's own.
    """
    require(name, profile, "restore")
    with closing(connect(profile.connection_uri(), seconds=_SECONDS)) as client:
        try:
            return _released(client)
        except PyMongoError as error:
            raise told(error) from None


def _released(client: Client) -> str:
    status = client.admin.command({"serverStatus": 1})
    if status.get("repl", {}).get("userWriteBlockMode") != WRITE_BLOCK_ON:
        return ""
    lock = read_lock(client)
    if lock is not None and lock.fresh:
        raise Refused(
            "write-block-in-use",
            f"Job {lock.job} of {lock.owner} is at work; the write block is its own. Nothing was changed.",
            f"Watch it: mdr jobs attach {lock.job}",
        )
    client.admin.command({"setUserWriteBlockMode": 1, "global": False})
    return "The write block was released: users can write again."


def _lock(client: Client) -> Iterator[Finding]:
    lock = read_lock(client)
    if lock is None:
        yield fine("lock", "lock", "No job holds the deployment's lock.")
        return
    age = duration(lock.age_seconds)
    text = f"Job {lock.job} ({lock.kind}) of {lock.owner}, {lock.where}, heartbeat {age} ago"
    if lock.fresh:
        yield fine("lock", "lock", f"{text}.")
    else:
        yield Finding(
            Level.WARNING,
            "lock-left",
            "lock",
            f"{text}: its owner seems to be dead, and no other job may write.",
            f"On {lock.host}: mdr jobs resume {lock.job}; else: mdr jobs unlock",
        )


def _left_over(client: Client) -> Iterator[Finding]:
    """Collections that were set aside, and staging ones: both take space until they are settled."""
    aside: list[tuple[str, int]] = []
    staging: list[tuple[str, int]] = []
    for database in client.list_database_names():
        if is_system_database(database):
            continue
        # A user who may only look may not list what others may read, but has these names all the same.
        for name in client[database].list_collection_names(authorizedCollections=True):
            kept = aside if is_set_aside(name) else staging if is_staging(name) else None
            if kept is not None:
                kept.append((f"{database}.{name}", _stored(client, database, name)))
    if aside:
        yield Finding(
            Level.WARNING,
            "set-aside",
            "space",
            f"{_sum(aside)} set aside by restores that were not settled: {_named(aside)}.",
            "Keep what was restored: mdr restore accept JOB; or take it back: mdr restore undo JOB",
        )
    if staging:
        yield Finding(
            Level.WARNING,
            "staging-left",
            "space",
            f"{_sum(staging)} in staging: {_named(staging)}.",
            "If their job is not at work, resume it: mdr jobs list",
        )
    if not (aside or staging):
        yield fine("space", "space", "No collections are set aside or left in staging.")


def _stored(client: Client, database: str, name: str) -> int:
    try:
        stats: dict[str, Any] = client[database].command({"collStats": name})
    except PyMongoError:
        return 0
    return int(stats.get("storageSize", 0)) + int(stats.get("totalIndexSize", 0))


def _sum(found: list[tuple[str, int]]) -> str:
    count = len(found)
    return f"{count} collection{'' if count == 1 else 's'} ({size(sum(s for _, s in found))})"


def _named(found: list[tuple[str, int]]) -> str:
    names = [name for name, _ in found]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _stores(profile: Profile, readings: Readings, *, probe: bool) -> Iterator[Finding]:
    if not profile.stores:
        yield Finding(
            Level.CRITICAL,
            "no-store",
            "stores",
            "The profile has no store: there is nowhere to keep a snapshot.",
            "Add one: [profiles.NAME.stores.local] with type and path",
        )
    for name, config in profile.stores.items():
        reading = readings.stores.get(f"store:{name}")
        subject = f"store {name}"
        if reading is None or reading.value is None or reading.error is not None:
            error = None if reading is None else reading.error
            text = "It was not asked." if error is None else error.message
            hint = "" if error is None else error.hint
            yield Finding(Level.CRITICAL, "store-unreachable", subject, text, hint or "Correct its section.")
            continue
        count = len(reading.value.snapshots)
        yield fine("store", subject, f"{reading.value.where} answers: {count} snapshot(s).")
        for problem in reading.value.problems:
            yield Finding(
                Level.WARNING, "snapshot-unreadable", subject, problem, "See: mdr snapshots verify NAME"
            )
        if isinstance(config, LocalStoreConfig):
            yield _writable(subject, config.path.expanduser(), probe=probe)
        else:
            from mongo_dr_console.stores.s3 import S3Store
            from mongo_dr_console.stores.s3_examine import examine as examine_bucket

            yield from examine_bucket(S3Store(name, config), subject, probe=probe)


def _writable(subject: str, path: Path, *, probe: bool) -> Finding:
    """Whether a folder can be written; with ``probe`` a small file is made and removed."""
    free = size(shutil.disk_usage(path).free) if path.exists() else "?"
    try:
        if not path.exists():
            raise FileNotFoundError(2, "there is no such folder yet; the first backup makes it")
        if not os.access(path, os.W_OK | os.X_OK):
            if not probe:
                text = f"{path} can be read and not be written, and access = 'watch' writes nothing."
                return fine("store-writable", subject, text)
            raise PermissionError(13, "this user may not write there")
        if probe:
            file = path / f"{_PROBE}-{os.getpid()}"
            file.write_bytes(b"mdr")
            file.unlink()
    except OSError as error:
        return Finding(
            Level.WARNING if isinstance(error, FileNotFoundError) else Level.CRITICAL,
            "store-not-writable",
            subject,
            f"{path} cannot be written: {error.strerror}.",
            "Correct its owner or mode, or make room.",
        )
    return fine("store-writable", subject, f"{path} can be written, {free} free.")


def _topic(profile: Profile) -> Iterator[Finding]:
    if profile.oplog.kafka is not None:
        from mongo_dr_console.stream import kafka_topic

        yield from kafka_topic.examine(profile.oplog.kafka)


def _jobs(readings: Readings) -> Iterator[Finding]:
    reading = readings.jobs
    if reading is None or reading.value is None:
        text = "The jobs of this host could not be read."
        yield Finding(Level.UNKNOWN, "jobs-unread", "jobs", text, "Correct the state folder's mode.")
        return
    half = [
        j for j in reading.value if j.error is not None and j.error.code in ("job-died", "job-not-started")
    ]
    for job in half:
        yield Finding(
            Level.WARNING,
            "job-half-done",
            "jobs",
            f"{job.kind} {job.job} ended without a last word and is half done.",
            f"mdr jobs resume {job.job}",
        )
    if not half:
        yield fine("jobs", "jobs", f"{len(reading.value)} job(s) known here, none half done.")


def _tools(profile: Profile) -> Iterator[Finding]:
    """The real tools are needed by the engine mongo_tools alone; it helps to know whether they are there."""
    needed = profile.engine == "mongo_tools"
    here, told = [], False
    for name in _TOOLS:
        try:
            tool = find_tool(name, profile.mongo_tools.path)
        except Trouble as trouble:
            if needed or trouble.code != "tool-missing" or profile.mongo_tools.path is not None:
                told = True
                level = Level.CRITICAL if needed else Level.WARNING
                yield Finding(level, trouble.code, "tools", trouble.message, trouble.hint)
            continue
        here.append(f"{name} {tool.version} ({tool.path})")
    if mongosh := shutil.which("mongosh"):
        here.append(f"mongosh ({mongosh})")
    if here:
        yield fine("tools", "tools", f"Found here: {', '.join(here)}.")
    elif not told:
        yield fine("tools", "tools", "No MongoDB database tools here; none are needed.")
