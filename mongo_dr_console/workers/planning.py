"""Making a plan: what is asked for, looked up in stores and deployment, put into one checked picture.

Nothing is changed. The same intent makes the same hash for as long as identity, base, limit, events and the
live collections are the same; that is how a plan is checked again right before the first write.
"""

from __future__ import annotations

import secrets
import shlex
from datetime import UTC, datetime

from mongo_dr_console.config import Profile
from mongo_dr_console.engines.builtin.replay_run import tracked_with
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.describe import describe_entry
from mongo_dr_console.model.estimate import Work, estimate
from mongo_dr_console.model.event import CHANGES, LOGINS, Event
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.namespace import Namespace, Patterns, is_staging, known_as
from mongo_dr_console.model.nspattern import exact
from mongo_dr_console.model.oplogentry import Operation, raw_entry
from mongo_dr_console.model.plan import (
    BaseSnapshot,
    Intent,
    Neighbour,
    Plan,
    PlannedNamespace,
    confirmation,
    plan_hash,
)
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.skip import LeavingOut, SkipWatch
from mongo_dr_console.model.timeline import Timeline, rename_closure
from mongo_dr_console.model.trouble import Refused, Trouble, WrongUse
from mongo_dr_console.model.when import (
    limit_before,
    limit_through,
    names_event,
    parse_when,
)
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stream.finder import find_event, neighbours
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.workers import plan_merge, plan_tools
from mongo_dr_console.workers.plan_base import base_facts, check_reach, find_base, needs_oplog, window_of
from mongo_dr_console.workers.plan_range import Counts, counted, definitions, renames_in
from mongo_dr_console.workers.plan_sources import Deployments, Look, history, source
from mongo_dr_console.workers.plan_targets import (
    add_hazards,
    kept_collections,
    planned_namespaces,
    restores_users,
)


def make_plan(
    name: str, profile: Profile, intent: Intent, deployments: Deployments, *, counts: bool = True
) -> Plan:
    """The plan for an intent; without ``counts`` only what a job goes by, and no operations are counted.

    Raises:
        WrongUse: A time, event, namespace or snapshot that is none.
        Refused: The limit cannot be reached, or the mode is not possible.
    """
    deployments.branch = intent.branch
    look = Look(intent, datetime.now(UTC), by_event=names_event(intent.before or ""), counts=counts)
    if intent.mode == "merge":
        plan_merge.check_intent(intent)
    look.skipped = [_event(look, deployments, wanted) for wanted in intent.skip]
    _check_skipped(look)
    asked, follow = _asked_limit(look, deployments)
    reader, entry = find_base(profile, intent, deployments, asked, look)
    limit = asked or Limit(window_of(reader).end, Bound.THROUGH)
    look.intent = plan_tools.settled(_settled(intent, entry.name, entry.store, asked), profile)
    base = base_facts(reader, entry)
    check_reach(base, limit, deployments, look)
    return _assemble(name, look, deployments, StoredSnapshot(reader), base, limit, follow)


def _settled(intent: Intent, snapshot: str, store: str, asked: Limit | None) -> Intent:
    """The intent in absolute terms: made again later, "ten minutes ago" must still mean the same."""
    changes: dict[str, str] = {"snapshot": snapshot, "store": store}
    if asked is not None and (intent.before or intent.through):
        changes["before" if intent.before else "through"] = str(asked.position)
    return intent.model_copy(update=changes)


# What is asked for


def _asked_limit(look: Look, deployments: Deployments) -> tuple[Limit | None, bool]:
    """The limit that was asked for, and whether replay follows up to the cut-over itself."""
    intent = look.intent
    if intent.before and intent.through:
        raise WrongUse("two-limits", "--before and --through were both given.", "Say one of them.")
    text = intent.before or intent.through
    if text is None:
        if not intent.skip and intent.branch is None:
            return None, False
        own = deployments.same and intent.branch is None
        follow = own and intent.mode in ("swap", "in-place", "merge") and not intent.renames
        return Limit(_latest(deployments), Bound.THROUGH), follow
    gone = deployments.source is None and history(deployments).latest is None
    latest = None if gone else _latest(deployments)
    when = parse_when(
        text,
        now=look.now,
        latest=latest,
        events=(lambda wanted: _event(look, deployments, wanted)) if names_event(text) else None,
    )
    limit = limit_before(when) if intent.before else limit_through(when)
    return limit, False


def _check_skipped(look: Look) -> None:
    for event in look.skipped:
        if event.kind in LOGINS:
            raise WrongUse(
                "event-not-skippable",
                f"Event {event.id} changed a user or role ({event.detail}): these are added to those that "
                "are there, and not replayed one by one, so nothing can be left out.",
                f"Go back to before it: --before event:{event.id} --users",
            )
        if event.kind in CHANGES and look.intent.mode == "merge":
            raise WrongUse(
                "merge-no-documents",
                f"Event {event.id} changed the definition of {event.namespace} and no document: there is "
                "nothing for merge mode to bring back.",
                "Leave the mode out, or take the change back with collMod.",
            )


def _latest(deployments: Deployments) -> Position:
    """What can be restored to at most; while the deployment is gone, what the stream kept of it."""
    if deployments.source is not None and deployments.branch is None:
        return majority_position(deployments.source)[0]
    latest = history(deployments).latest
    return latest if latest is not None else majority_position(source(deployments))[0]


def _event(look: Look, deployments: Deployments, wanted: str) -> Event:
    if deployments.source is None or deployments.branch is not None:
        return find_event(history(deployments), wanted)
    try:
        return find_event(LiveOplog(deployments.source), wanted)
    except WrongUse:
        known = history(deployments)
        if len(known.told().split(", ")) < 2:
            raise
        return find_event(known, wanted)


# Putting it together


def _assemble(
    name: str,
    look: Look,
    deployments: Deployments,
    snapshot: StoredSnapshot,
    base: BaseSnapshot,
    limit: Limit,
    follow: bool,
) -> Plan:
    changes = list(definitions(deployments, snapshot, base, limit))
    merging = look.intent.mode == "merge"
    hit = plan_merge.scope_of if merging else _scope_of
    scope = list(look.intent.namespaces) or hit(look.skipped)
    patterns = Patterns(tuple(scope), look.intent.exclude)
    _check_exclusions(patterns, snapshot, changes)
    tracked = rename_closure(patterns.match, renames_in(changes))
    timeline = _timeline(look, snapshot, base, changes, patterns, frozenset(tracked))
    placed = timeline.placed(lambda n: patterns.match(n) and not is_staging(n.collection))
    views = {n: v for n, v in timeline.views.items() if patterns.match(n)}
    _check_scope(patterns, [*placed, *views])
    counts, later = counted(deployments, base, limit, look)
    if merging:
        namespaces = plan_merge.merge_namespaces(look, deployments, placed, views, snapshot.sizes())
        kept = []
    else:
        namespaces = planned_namespaces(look, deployments, snapshot, placed, views, counts, limit)
        kept = kept_collections(deployments, patterns, namespaces)
    users = restores_users(look.intent, patterns, deployments, snapshot)
    add_hazards(look, deployments, snapshot, patterns, namespaces, later, follow, users)
    if look.intent.engine == plan_tools.ENGINE:
        plan_tools.check(look, snapshot, changes, namespaces, deployments)
    plan_limit = PlanLimit(position=limit.position, bound=limit.bound, follow=follow)
    last, first_not = _neighbours(deployments, snapshot, base, limit)
    operations = counts.total() + (window_of(snapshot.reader).operations)
    rto = estimate(
        Work(sum(n.documents or 0 for n in namespaces), sum(n.bytes or 0 for n in namespaces), operations)
    )
    destroyed = [n.target for n in namespaces if n.live_uuid and n.mode in ("swap", "in-place")]
    if merging:
        destroyed = plan_merge.replaces(namespaces)
    skipped = [event.id for event in look.skipped]
    return Plan(
        id=secrets.token_hex(4),
        hash=plan_hash(
            identity=deployments.target_identity,
            base=base,
            limit=_hashed_limit(plan_limit),
            skipped=skipped,
            namespaces=namespaces,
            intent=look.intent,
            users=users,
        ),
        confirm=confirmation(deployments.target_identity, destroyed, whole=not (scope or patterns.exclude)),
        profile=name,
        identity=deployments.target_identity,
        source_identity=_source_identity(deployments, snapshot),
        snapshot=base,
        limit=plan_limit,
        last_applied=last,
        first_not_applied=None if follow else first_not,
        skipped=look.skipped,
        namespaces=namespaces,
        scope=scope,
        tracked=sorted(str(n) for n in tracked),
        kept=kept,
        users=users,
        operations=operations,
        later_writes=_later_writes(deployments, later, namespaces, follow=follow),
        lost_seconds=0.0 if follow else _lost_seconds(look, last, limit),
        estimate_seconds=round(rto.seconds, 1),
        estimate_basis=rto.basis,
        hazards=look.hazards,
        steps=_steps(namespaces, follow, users, look.intent.engine),
        command=_command(name, look.intent),
        intent=look.intent,
    )


def _hashed_limit(limit: PlanLimit) -> PlanLimit:
    """Where replay follows to the cut-over, the position at planning time is not part of the agreement."""
    return limit.model_copy(update={"position": Position(0, 0)}) if limit.follow else limit


def _source_identity(deployments: Deployments, snapshot: StoredSnapshot) -> Identity:
    if deployments.source_identity is not None:
        return deployments.source_identity
    manifest = snapshot.reader.manifest
    return manifest.identity if manifest is not None else deployments.target_identity


def _scope_of(skipped: list[Event]) -> list[str]:
    """Without ``--ns``, leaving an event out restores what the event hit and nothing else."""
    found: list[str] = []
    for event in skipped:
        if event.kind == "drop-database":
            found.append(exact(event.namespace.partition(".")[0]))
        else:
            named = [n.partition(".") for n in event.selector.namespaces if not n.endswith(".$cmd")]
            found += [exact(str(known_as(database, collection))) for database, _, collection in named]
    return sorted(set(found))


def _timeline(
    look: Look,
    snapshot: StoredSnapshot,
    base: BaseSnapshot,
    changes: list[Operation],
    patterns: Patterns,
    closure: frozenset[Namespace],
) -> Timeline:
    """The timeline of the definitions alone: which collections and views there are at the limit."""
    tracked = tracked_with(patterns.match, closure, set())
    merging = look.intent.mode == "merge"
    skips: LeavingOut = (
        plan_merge.watch_of(look.skipped) if merging else SkipWatch([e.selector for e in look.skipped])
    )
    timeline = Timeline("0", tracked=tracked, wanted=patterns.match, window_end=base.end, skipped=skips.skips)
    timeline.begin(
        [c for c, _, _ in snapshot.staged_collections() if tracked(c.namespace)],
        {n: v for n, v in snapshot.views().items() if tracked(n)},
    )
    try:
        for operation in changes:
            timeline.feed(operation)
    except Trouble as trouble:
        raise Refused(trouble.code, trouble.message, trouble.hint) from None
    return timeline


def _check_scope(patterns: Patterns, found: list[Namespace]) -> None:
    missing = patterns.unmatched(found)
    if missing:
        raise WrongUse(
            "namespace-unknown",
            f"Nothing at that point matches {', '.join(missing)}.",
            "See what the snapshot holds: mdr snapshots show",
        )
    if not found:
        raise Refused("nothing-to-restore", "At that point there is nothing to restore. Nothing was changed.")


def _check_exclusions(patterns: Patterns, snapshot: StoredSnapshot, changes: list[Operation]) -> None:
    if not patterns.exclude:
        return
    found = {c.namespace for c in snapshot.reader.collections}
    found |= {known_as(c.database, c.document["create"]) for c in changes if c.command == "create"}
    found |= {target for _, target in renames_in(changes)}
    missing = patterns.unmatched_exclusions(found)
    if missing:
        raise WrongUse(
            "namespace-unknown",
            f"Neither the snapshot nor the oplog has what --exclude says: {', '.join(missing)}.",
            "See what the snapshot holds: mdr snapshots show",
        )


def _neighbours(
    deployments: Deployments, snapshot: StoredSnapshot, base: BaseSnapshot, limit: Limit
) -> tuple[Neighbour | None, Neighbour | None]:
    """The last operation that is applied, and the first that is not."""
    if not needs_oplog(base, limit) or (deployments.source is None and not deployments.mixed):
        if limit.admits(base.end):
            return Neighbour(position=base.end, text="the end of the snapshot"), None
        return _neighbours_within(snapshot, limit)
    known = deployments.source is None or deployments.mixed
    oplog = history(deployments) if known else LiveOplog(source(deployments))
    before, after = neighbours(oplog, limit)
    return (
        Neighbour(position=before[-1].position, text=before[-1].text) if before else None,
        Neighbour(position=after[0].position, text=after[0].text) if after else None,
    )


def _neighbours_within(snapshot: StoredSnapshot, limit: Limit) -> tuple[Neighbour | None, Neighbour | None]:
    """Of a limit inside the snapshot's own window."""
    last: Neighbour | None = None
    for raw in rawbson.documents(snapshot.oplog()):
        here = Neighbour(position=Position.of(raw_entry(raw)["ts"]), text=describe_entry(raw))
        if not limit.admits(here.position):
            return last, here
        last = here
    return last, None


def _later_writes(
    deployments: Deployments, later: Counts, namespaces: list[PlannedNamespace], *, follow: bool
) -> int | None:
    if follow:
        return 0
    return None if deployments.source is None else later.within(n.target for n in namespaces)


def _lost_seconds(look: Look, last: Neighbour | None, limit: Limit) -> float:
    end = last.position if last is not None else limit.position
    return round(max(0.0, (look.now - end.time).total_seconds()), 1)


def _steps(planned: list[PlannedNamespace], follow: bool, users: bool, engine: str | None) -> list[str]:
    if engine == plan_tools.ENGINE:
        return plan_tools.steps(planned)
    if any(n.mode == "merge" for n in planned):
        return plan_merge.steps()
    modes = {n.mode for n in planned if n.kind != "timeseries"}
    dropped = {n.kind for n in planned if n.mode == "in-place" and n.live_uuid}
    steps = [
        "check identity and plan again; take the deployment's lock",
        "save and verify the oplog that is needed",
    ]
    if dropped:
        steps += ["read the base through: every byte as it was written", "take a safety snapshot"]
    if "collection" in dropped:
        steps.append("drop the live collections")
    steps += [
        "load the snapshot's documents into staging collections",
        "replay the oplog" + (" and follow it" if follow else ""),
        "build indexes",
        "check documents, indexes and options",
        "build TTL indexes",
    ]
    if "swap" in modes:
        steps.append("cut over: the live collections are set aside, the restored ones take their names")
    elif modes:
        steps.append("give the restored collections their names")
    if any(n.kind == "timeseries" for n in planned):
        live = "drop the live time series, and " if "timeseries" in dropped else ""
        steps.append(f"{live}make the time series and fill them from their staging collections")
    steps.append("put views in place")
    if users:
        steps.append("add users and roles")
    return [*steps, "report"]


def _command(name: str, intent: Intent) -> str:
    words = ["mdr", "--profile", name, "restore", "run"]
    for option, value in (
        ("--snapshot", intent.snapshot),
        ("--store", intent.store),
        ("--before", intent.before),
        ("--through", intent.through),
        ("--to", intent.to_profile),
        ("--branch", intent.branch),
    ):
        if value:
            words += [option, value]
    for option, values in (
        ("--skip", intent.skip),
        ("--ns", intent.namespaces),
        ("--exclude", intent.exclude),
        ("--map", intent.renames),
        ("--users-of", intent.users_of),
    ):
        for value in values:
            words += [option, value]
    for option, said in (
        ("--preserve-uuids", intent.preserve_uuids),
        ("--stop-on-error", intent.stop_on_error),
        ("--keep-order", intent.keep_order),
    ):
        if said:
            words.append(option)
    if intent.mode != "swap":
        words += ["--mode", intent.mode]
    if intent.engine == plan_tools.ENGINE:
        words += ["--engine", intent.engine]
    if intent.users is not None and not intent.users_of:
        words.append("--users" if intent.users else "--no-users")
    return shlex.join(words)
