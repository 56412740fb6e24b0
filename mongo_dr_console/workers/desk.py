"""What a console can ask for and have done: every call may block, so it is made in a thread of its own.

The doing half asks ``ConsoleAccess`` right before it acts, whoever calls it; ``jobs.create`` asks the profile
once more. Nothing here knows of screens. What a call needs is loaded by the call: the desk stands before the
first frame is drawn.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, WrongUse
from mongo_dr_console.workers.access import ConsoleAccess, needed_for, require
from mongo_dr_console.workers.folders import jobs_folder

if TYPE_CHECKING:
    from mongo_dr_console.model.bundledoc import BundleDocument
    from mongo_dr_console.model.drill import DrillRecord
    from mongo_dr_console.model.event import Event
    from mongo_dr_console.model.eventsearch import Looked
    from mongo_dr_console.model.failoverdoc import FailoverRecord
    from mongo_dr_console.model.finding import Finding
    from mongo_dr_console.model.hold import Hold
    from mongo_dr_console.model.jobview import JobView
    from mongo_dr_console.model.namespace import Namespace
    from mongo_dr_console.model.operationpage import DocumentHistory, OperationPage, Way
    from mongo_dr_console.model.oplogentry import Operation
    from mongo_dr_console.model.plan import Intent, Plan
    from mongo_dr_console.model.readings import Readings
    from mongo_dr_console.model.scheduleview import ScheduleDocument
    from mongo_dr_console.model.when import When
    from mongo_dr_console.workers.holding import Noted
    from mongo_dr_console.workers.jobs import JobFolder
    from mongo_dr_console.workers.jobwatch import JobWatch

Compression = Literal["gzip", "zstd", "none"]


@dataclass(frozen=True, slots=True)
class Content:
    """One collection or view in a snapshot: what can be chosen as scope.

    Args:
        documents, bytes: As written to the data file; None where the dump does not say.
    """

    namespace: Namespace
    kind: str
    documents: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment that can be restored into.

    Args:
        name: Its profile.
        same: Whether it is the profile that the console watches.
        refusal: Why it cannot be chosen; empty if it can.
    """

    name: str
    environment: str
    same: bool
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """A store that a snapshot can be put into.

    Args:
        where: What it stands for, in words.
        refusal: Why it cannot be used; empty if it can.
    """

    name: str
    where: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """A job that was started, and a warning to show with it (it cannot outlive the login); usually empty."""

    folder: JobFolder
    warning: str = ""


class Desk:
    """One profile's desk.

    Args:
        name, profile, config_file: What the console works on.
        access: What this console may do now.
    """

    def __init__(self, name: str, profile: Profile, config_file: Path, access: ConsoleAccess) -> None:
        self.name = name
        self.profile = profile
        self.config_file = config_file
        self.access = access

    # Looking

    def preflight(self, readings: Readings) -> list[Finding]:
        """Whether a restore could go well from here and now; what cannot be reached is a finding."""
        from mongo_dr_console.workers.examine import examine
        from mongo_dr_console.workers.preflight import preflight

        found = preflight(self.profile, readings, datetime.now(UTC))
        special = {f.code for f in found}
        # Who has not armed has not said that anything may be written.
        armed = self.access.armed_seconds is not None
        examined = examine(self.profile, self.config_file, readings, probe=armed)
        # Who holds the lock is said once.
        return [*found, *(f for f in examined if not (f.code == "lock" and "locked" in special))]

    def limit(self, text: str, bound: Bound, events: Sequence[Event], latest: Position | None) -> Limit:
        """What a text for a time means as a limit.

        Args:
            text: As ``--before`` and ``--through`` take it.
            events: The known ones, for ``event:ID``.
            latest: The newest position that can be had.

        Raises:
            WrongUse: It is none.
        """
        from mongo_dr_console.model.when import limit_before, limit_through

        when = _when(text, events, latest)
        return limit_before(when) if bound is Bound.BEFORE else limit_through(when)

    def find_range(
        self, text: str, events: Sequence[Event], latest: Position | None
    ) -> tuple[Position, Position | None]:
        """What a text for a range means: ``FROM`` or ``FROM..TO``, times as ``limit`` takes them.

        Raises:
            WrongUse: It is none.
        """
        from mongo_dr_console.model.when import parse_range

        return parse_range(text, lambda one: _when(one, events, latest))

    def find(
        self,
        start: Position,
        end: Position | None,
        tell: Callable[[Looked], None],
        stop: threading.Event,
        known: Looked | None = None,
    ) -> Looked:
        """Looks for events in a range, both ends included, in the live oplog and in what the stream kept.

        Args:
            end: None: to the newest entry.
            tell: Is given what is known, again and again, in the caller's thread.
            stop: Ends it within moments once it is set.
            known: A search that this one goes on from, further back.

        Raises:
            Trouble: The profile says no way to the deployment. What fails else is told in the result.
        """
        from mongo_dr_console.workers.eventsearch import search_events

        return search_events(self.profile, start, end, tell, stop, known)

    def contents(self, snapshot: str, store: str) -> tuple[Content, ...]:
        """What a snapshot holds, by name.

        Raises:
            Trouble: It cannot be read.
        """
        from mongo_dr_console.stores.open import choose_stores
        from mongo_dr_console.stores.snapshot_reader import open_snapshot

        reader = open_snapshot(choose_stores(self.profile, [store])[store], snapshot)
        found = (Content(c.namespace, c.kind, c.documents, c.bytes) for c in reader.collections)
        return tuple(sorted(found, key=lambda c: str(c.namespace)))

    def targets(self) -> tuple[Target, ...]:
        """The deployments of the config file, this one first."""
        others = load_config(self.config_file).profiles
        found = [Target(self.name, self.profile.environment, same=True)]
        for name, profile in sorted(others.items()):
            if name != self.name:
                bound = profile.access
                refusal = "" if bound == "restore" else f"allows {bound!r}; a restore into it needs 'restore'"
                found.append(Target(name, profile.environment, same=False, refusal=refusal))
        return tuple(found)

    def stores(self) -> tuple[StoreChoice, ...]:
        """The profile's stores, those that can be used first."""
        from mongo_dr_console.stores.open import open_store

        found = []
        for name, config in self.profile.stores.items():
            try:
                found.append(StoreChoice(name, open_store(name, config).describe()))
            except Refused as refused:
                found.append(StoreChoice(name, config.type, refused.message))
        return tuple(sorted(found, key=lambda store: bool(store.refusal)))

    def plan(self, intent: Intent) -> Plan:
        """Exactly what a restore would do; changes nothing.

        Raises:
            Trouble: It cannot be done; says why.
        """
        from mongo_dr_console.workers.plan_sources import open_deployments
        from mongo_dr_console.workers.planning import make_plan

        deployments = open_deployments(self.name, self.profile, self._other(intent.to_profile))
        return make_plan(self.name, self.profile, intent, deployments)

    def changes(self, plan: Plan) -> tuple[Plan, list[str]]:
        """The plan made again, and what is different now, in words; nothing where it still holds."""
        from mongo_dr_console.workers.run_restore import differences

        fresh = self.plan(plan.intent)
        if fresh.hash == plan.hash and fresh.confirm == plan.confirm:
            return fresh, []
        return fresh, differences(plan, fresh) or ["what will be done is not the same any more"]

    def save_plan(self, plan: Plan) -> Path:
        """Writes a plan beside this host's jobs, readable by its owner alone, for ``mdr restore run --plan``.

        Raises:
            Failed: The state folder cannot be written.
        """
        from mongo_dr_console.model.redaction import redacted
        from mongo_dr_console.workers import jobs

        folder = jobs_folder(self.profile).parent / "plans"
        path = folder / f"{plan.id}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            shown = redacted(plan) if self.profile.redacts else plan
            jobs.write_once(path, json.dumps(shown.to_json(), indent=2).encode())
        except OSError as error:
            raise Failed(
                "plan-not-written",
                f"The plan cannot be written to {path}: {error.strerror}.",
                "Make room or correct the permissions; MDR_STATE_DIR names another folder.",
            ) from None
        return path

    # Jobs

    def jobs(self) -> list[JobView]:
        """This profile's jobs on this host, newest first."""
        from mongo_dr_console.workers import jobs

        return [v for v in jobs.list_jobs(jobs_folder(self.profile)) if v.profile == self.name]

    def folder(self, job: str) -> JobFolder:
        """Raises WrongUse where this host has no such job."""
        from mongo_dr_console.workers import jobs

        return jobs.find_job(jobs_folder(self.profile), job)

    def watch(self, job: str) -> JobWatch:
        """Raises WrongUse where this host has no such job."""
        from mongo_dr_console.workers.jobwatch import JobWatch

        return JobWatch(self.folder(job))

    def settlements(self, job: str) -> tuple[JobView, ...]:
        """The jobs that take back or settle this restore, oldest first, however they stand."""
        from mongo_dr_console.workers import jobs

        folders = [jobs.JobFolder(path) for path in self.folder(job).path.parent.iterdir()]
        found = []
        for folder in folders:
            with contextlib.suppress(Failed):
                plan = jobs.read_plan(folder)
                if plan.kind in ("undo", "accept") and plan.request.get("job") == job:
                    found.append(jobs.load(folder))
        return tuple(sorted(found, key=lambda view: view.created_at))

    def writes_since(self, job: str) -> int | None:
        """How many operations reached what a restore put in place; None where the oplog does not say it.

        Raises:
            Trouble: The restore or its deployment cannot be read.
        """
        from mongo_dr_console.mongo.client import connect
        from mongo_dr_console.workers.placed import placed_restore
        from mongo_dr_console.workers.run_undo import writes_since

        restore = placed_restore(jobs_folder(self.profile), job)
        other = self._other(restore.profile)
        client = connect((other[1] if other else self.profile).connection_uri(), seconds=2, any_member=True)
        try:
            return writes_since(client, restore)
        finally:
            client.close()

    def drills(self) -> tuple[list[DrillRecord], list[str]]:
        """The drills that the stores know of, newest first, and which stores could not be asked.

        Raises:
            WrongUse: The profile has no stores.
        """
        from mongo_dr_console.workers.drill_history import read_history

        return read_history(self.profile)

    def failovers(self) -> tuple[tuple[FailoverRecord, ...], tuple[str, ...]]:
        """The failovers that the ledgers and this host know of, newest first, and which stores could not be
        asked."""
        from mongo_dr_console.workers.failover_state import FailoverFiles, read_failovers

        known, unread = read_failovers(self.profile, FailoverFiles.of(self.name, self.profile))
        return tuple(known), tuple(unread)

    def bundle(self, *, redact: bool = False) -> BundleDocument:
        """Writes an incident bundle into the state folder; nothing else is changed anywhere.

        Args:
            redact: Without the values of documents, whatever the profile says.

        Raises:
            Failed: It cannot be written.
        """
        from mongo_dr_console.workers.bundle import make_bundle, usual_name

        folder = jobs_folder(self.profile).parent / "bundles"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(
                "bundle-unwritten",
                f"The folder {folder} cannot be made: {error.strerror}.",
                "Write the bundle elsewhere: mdr bundle --output FILE",
            ) from None
        path = folder / usual_name(self.name, datetime.now(UTC))
        profile = self.profile.model_copy(update={"redact": True}) if redact else self.profile
        return make_bundle(self.name, profile, self.config_file, path)

    def schedule(self) -> ScheduleDocument:
        """What the agent runs by itself, and what became of it.

        Raises:
            Trouble: The agents' store does not answer.
        """
        from mongo_dr_console.workers.schedules import read_schedule

        return read_schedule(self.name, self.profile, datetime.now(UTC))

    def operations(self, position: Position, way: Way, count: int, pattern: str) -> OperationPage:
        """The operations before a position, or after it (it included).

        Args:
            pattern: Only those of such namespaces; empty: all.

        Raises:
            Trouble: Neither the deployment nor a store that has it can be read.
        """
        from mongo_dr_console.workers.browsing import operations_around

        return operations_around(self.profile, position, way, count, pattern)

    def document(self, namespace: str, identities: Sequence[Any], until: Position | None) -> DocumentHistory:
        """The newest operations on one document, up to a position (included).

        Args:
            identities: What its ``_id`` may be.

        Raises:
            Trouble: Neither the deployment nor a store that has it can be read.
        """
        from mongo_dr_console.workers.browsing import document_history

        return document_history(self.profile, namespace, identities, until)

    def event_of(self, operation: Operation) -> Event | None:
        """The event that an operation is a part of, however long ago it was; None where it stands alone.

        Raises:
            Trouble: Neither the deployment nor a store that has it can be read.
        """
        from mongo_dr_console.workers.browsing import event_of

        return event_of(self.profile, operation)

    def holds(self) -> tuple[tuple[Hold, ...], dict[str, Trouble]]:
        """What nothing may prune, oldest first, and by name why a store could not be asked.

        Raises:
            Trouble: There is no store, or none answers.
        """
        from mongo_dr_console.workers.holding import list_holds

        found, unread = list_holds(self.profile)
        return tuple(found), unread

    # Doing

    def hold(self, what: str, reason: str, events: Sequence[Event], latest: Position | None) -> Noted:
        """Puts a hold on a range (``FROM..TO``, ``event:ID``) or a snapshot, in every store.

        Raises:
            Refused: Not armed, or no access.
            WrongUse: No such range, event or snapshot; no reason.
            Trouble: No store could be told.
        """
        from mongo_dr_console.model.catalogue import is_snapshot_name
        from mongo_dr_console.workers.holding import add_hold, range_of

        self.access.require("operate")
        wanted = what.strip()
        if is_snapshot_name(wanted):
            return add_hold(self.name, self.profile, reason, span=None, snapshot=wanted)
        span = range_of(wanted, lambda text: _touched(text, events, latest))
        return add_hold(self.name, self.profile, reason, span=span, snapshot=None)

    def release(self, hold: str, typed: str) -> Noted:
        """Takes a hold back, in every store. ``typed`` is its id.

        Raises:
            Refused: Not armed, no access, or something else was typed.
            Trouble: No store could be told.
        """
        from mongo_dr_console.workers.holding import release_hold

        self.access.require("operate")
        if typed != hold:
            raise _not_confirmed(hold)
        return release_hold(self.name, self.profile, hold)

    def restore(self, plan: Plan, typed: str) -> Started:
        """Starts the restore.

        Args:
            plan: As it was shown.
            typed: What was typed to confirm it; anything where the plan destroys nothing.

        Raises:
            Refused: Not armed, no access, or something else was typed.
        """
        self.access.require("restore")
        if plan.destroys and typed != plan.confirm:
            raise _not_confirmed(plan.confirm)
        target = self._other(plan.intent.to_profile)
        if target is not None:
            require(target[0], target[1], "restore")
        return self._start("restore", {"plan": plan.to_json()})

    def undo(self, job: str, typed: str) -> Started:
        """Takes a swap back. ``typed`` is the restore job's id."""
        return self._settle("undo", job, typed)

    def accept(self, job: str, typed: str) -> Started:
        """Drops what a swap has set aside. ``typed`` is the restore job's id."""
        return self._settle("accept", job, typed)

    def backup(self, stores: Sequence[str], compression: Compression) -> Started:
        """Takes a snapshot into these stores; none: all of the profile's."""
        self.access.require("operate")
        from mongo_dr_console.stores.open import choose_stores

        choose_stores(self.profile, list(stores) or None)
        request = {"stores": list(stores) or None, "compression": compression, "databases": None}
        return self._start("backup", request)

    def verify(self, snapshot: str, store: str | None, level: int) -> Started:
        """Reads a snapshot back. ``level``: 1 the files are there, 2 unchanged, 3 readable throughout."""
        self.access.require("operate")
        return self._start("verify", {"snapshot": snapshot, "store": store, "level": level})

    def drill(self, *, full: bool) -> Started:
        """Rehearses a recovery; ``full``: of the newest snapshot and the stream, into a mongod of its own."""
        self.access.require("restore")
        return self._start("drill", {"store": None, "full": full})

    def copy(self, snapshot: str, source: str | None, target: str) -> Started:
        """Copies a snapshot into another store. ``source``: None for the nearest good copy."""
        self.access.require("operate")
        return self._start("copy", {"snapshot": snapshot, "target": target, "source": source})

    def acknowledge(self, alert: str) -> str:
        """Takes an alert up; returns where that was noted."""
        self.access.require("operate")
        return self._order("acknowledge", alert)

    def silence(self, kind: str, lasts: timedelta) -> str:
        """Sends nothing for a kind, or for ``all``, for a time; returns where that was noted."""
        self.access.require("operate")
        return self._order("silence", kind, lasts)

    def unsilence(self) -> str:
        """Takes all silences back; returns where that was noted."""
        from mongo_dr_console.model.alert import EVERYTHING

        self.access.require("operate")
        return self._order("unsilence", EVERYTHING)

    def stop(self, job: str, typed: str) -> JobView:
        """Asks a job to end at its next safe point; ``stop`` must have been typed.

        Raises:
            Refused: Not armed, no access, also of the profile that the job is for; or something else was
                typed.
        """
        from mongo_dr_console.workers import jobs

        folder = self.folder(job)
        self.access.require(needed_for(jobs.read_plan(folder).kind))
        if typed != "stop":
            raise _not_confirmed("stop")
        return jobs.request_stop(folder)

    def resume(self, job: str) -> Started:
        """Goes on with a job that failed, was stopped, or whose process died."""
        from mongo_dr_console.workers import jobs

        folder = self.folder(job)
        self.access.require(needed_for(jobs.read_plan(folder).kind))
        return Started(folder, jobs.resume(folder))

    def _settle(self, kind: Literal["undo", "accept"], job: str, typed: str) -> Started:
        from mongo_dr_console.workers.placed import placed_restore

        self.access.require("restore")
        restore = placed_restore(jobs_folder(self.profile), job).job
        if typed != restore:
            raise _not_confirmed(restore)
        return self._start(kind, {"job": restore})

    def _start(self, kind: str, request: dict[str, Any]) -> Started:
        from mongo_dr_console.workers import jobs

        folder = jobs.create(self.name, self.profile, self.config_file, kind, request)
        return Started(folder, jobs.launch(folder))

    def _order(self, what: Literal["acknowledge", "silence", "unsilence"], *about: Any) -> str:
        from mongo_dr_console.workers import alerting

        return str(getattr(alerting, what)(self.name, self.profile, *about)[1])

    def _other(self, name: str | None) -> tuple[str, Profile] | None:
        if name is None or name == self.name:
            return None
        profiles = load_config(self.config_file).profiles
        if name not in profiles:
            raise WrongUse(
                "profile-unknown", f"There is no profile {name!r}.", f"Known: {', '.join(profiles)}"
            )
        return name, profiles[name]


def _when(text: str, events: Sequence[Event], latest: Position | None) -> When:
    from mongo_dr_console.model.when import event_by_id, parse_when

    return parse_when(
        text, now=datetime.now(UTC), latest=latest, events=lambda wanted: event_by_id(list(events), wanted)
    )


def _touched(text: str, events: Sequence[Event], latest: Position | None) -> tuple[Position, Position]:
    """What one time means; of an event the entry before it belongs to it: that is what a restore goes back
    to."""
    when = _when(text, events, latest)
    before = when.event.before if when.event is not None else None
    return before or when.first, when.last


def _not_confirmed(wanted: str) -> Refused:
    return Refused("not-confirmed", f"What was typed is not {wanted!r}. Nothing was changed.")
