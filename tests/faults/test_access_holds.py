"""Access holds on a real deployment against all that there is to try: every command, every call of a
console's desk, every kind of job by its own process, crafted job folders and plans. Commands and calls are
enumerated, so that a new one cannot be forgotten. Server and store are watched for writes meanwhile.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.scene import Scene, call, make_scene
from support.watched import nothing_written

from mongo_dr_console.cli import main as cli
from mongo_dr_console.config import Access, load_config
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.failoverdoc import Pause
from mongo_dr_console.model.journal import JobEnded, JobStarted, Line, encode
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Bound, Position
from mongo_dr_console.model.progress import Checkpoint
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.workers import alerting, examine, holding, job, jobs, run_restore
from mongo_dr_console.workers import failover_hand as by_hand
from mongo_dr_console.workers.access import ConsoleAccess, needed_for, reaches, require_outside_stores
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.failover_pausing import put_pause
from mongo_dr_console.workers.jobs import JobFolder
from mongo_dr_console.workers.pollers import gather_once
from mongo_dr_console.workers.unlocking import remove_dead_lock

pytestmark = pytest.mark.mongod

RESTORED, FAILED, LIVING = "5eed0001", "5eed0002", "5eed0003"
"""Jobs that are there: one with something in place, one that could go on, one whose process lives."""


@pytest.fixture(scope="module")
def made(replica_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Plan]]:
    """A mistake to recover from, an endpoint to switch, and a second profile that is only watched."""
    folder, database = tmp_path_factory.mktemp("access"), f"t_access_{os.getpid()}"
    with closing(replica_set.client()) as client:
        scene = make_scene(replica_set, client, folder, database)
        plan = Plan.model_validate(scene.plan(folder / "plan.json"))
        with scene.config_file.open("a", encoding="utf-8") as file:
            file.write(
                f"\n[profiles.test.endpoint]\ntype = 'file'\npath = '{scene.store}/endpoint.json'\n"
                "[profiles.test.alerts]\ncommand = ['/bin/false']\n"
                f"[profiles.watched]\nuri_file = '{folder / 'uri'}'\nenvironment = 'other'\n"
                f"state_dir = '{scene.state}'\n"
            )
        yield scene, plan
        client.drop_database(database)


@pytest.fixture
def scene(made: tuple[Scene, Plan]) -> Iterator[Scene]:
    """Access restore again after each test, and no other job than it made."""
    scene, plan = made
    config = scene.config_file.read_text(encoding="utf-8")
    restoring = {"plan": plan.to_json()}
    craft(scene, "restore", restoring, Checkpoint("placed", PLACED), JobEnded("done"), name=RESTORED)
    craft(scene, "restore", restoring, JobEnded("failed"), name=FAILED)
    craft(scene, "restore", restoring, name=LIVING)
    yield scene
    scene.config_file.write_text(config, encoding="utf-8")


PLACED: dict[str, Any] = {"placements": [], "position": None}


def craft(
    scene: Scene, kind: str, request: dict[str, Any], *events: Any, name: str, profile: str = "test"
) -> JobFolder:
    """A job's folder as anybody could write it who can write there."""
    folder = JobFolder(scene.state / "jobs" / name)
    folder.path.mkdir(parents=True, exist_ok=True)
    plan = {
        "job": name,
        "kind": kind,
        "request": request,
        "profile": profile,
        "config_file": str(scene.config_file),
        "created_at": "2026-11-22T02:00:00+00:00",
        "owner": this_owner(),
    }
    (folder.path / jobs.PLAN).write_text(json.dumps(plan))
    begun = JobStarted(1, os.getpid(), "here")
    lines = [Line(jobs.read_plan(folder).created_at, event) for event in (begun, *events)]
    folder.journal.write_bytes(b"".join(map(encode, lines)))
    return folder


def allow(scene: Scene, access: Access) -> None:
    text = scene.config_file.read_text(encoding="utf-8")
    scene.config_file.write_text(text.replace("access = 'restore'", f"access = '{access}'"), encoding="utf-8")


# Commands

WORDS: dict[str, tuple[str, ...]] = {
    "alerts ack": ("ffff",),
    "alerts list": (),
    "alerts silence": ("all",),
    "alerts test": (),
    "alerts unsilence": ("all",),
    "backup": (),
    "bundle": ("--output", "{tmp}/bundle{n}.tar.gz"),
    "config check": (),
    "config init": (),
    "config path": (),
    "config show": (),
    "console": (),
    "coverage": (),
    "doctor": (),
    "drill history": (),
    "drill report": (),
    "drill run": (),
    "endpoint show": (),
    "endpoint switch": ("--yes",),
    "failover pause": (),
    "failover resume": (),
    "failover show": (),
    "failover test": ("--yes",),
    "find": (),
    "hold add": ("-1h..-1m", "--reason", "x"),
    "hold list": (),
    "hold release": ("ffff",),
    "jobs attach": (RESTORED,),
    "jobs list": (),
    "jobs resume": (FAILED,),
    "jobs show": (RESTORED,),
    "jobs stop": (LIVING,),
    "jobs unlock": ("--yes",),
    "restore accept": (RESTORED, "--yes"),
    "restore plan": (),
    "restore run": ("--plan", "{plan}", "--confirm", "{confirm}"),
    "restore undo": (RESTORED,),
    "schedule list": (),
    "snapshots copy": ("latest", "--to", "local"),
    "snapshots list": (),
    "snapshots prune": (),
    "snapshots show": ("latest",),
    "snapshots verify": ("latest",),
    "status": (),
    "store lifecycle": (),
}
"""Every command, with words that would let it do its worst."""

OTHERS = {
    "agent": "runs until it is told to end: its duties, and a whole one, are in test_agent_access",
    "demo": "makes a deployment, a store and a config of its own and removes them: no profile bounds it",
    "sandbox up": "makes a deployment, a store and a config of its own: no profile bounds it",
    "sandbox down": "removes what sandbox up made, and nothing else: no profile bounds it",
    "sandbox status": "looks at what sandbox up made",
    "sandbox incident": "damages what sandbox up made, and nothing else: no profile bounds it",
}
"""Commands that are not tried here, and why."""

ENDLESS = {"--watch"}

NEEDS: dict[str, Access] = {
    "alerts ack": "operate",
    "alerts silence": "operate",
    "alerts test": "operate",
    "alerts unsilence": "operate",
    "backup": "operate",
    "doctor --fix": "restore",
    "drill run": "restore",
    "endpoint switch": "restore",
    "failover pause": "operate",
    "failover resume": "operate",
    "failover test": "restore",
    "hold add": "operate",
    "hold release": "operate",
    "jobs resume": "restore",
    "jobs stop": "restore",
    "jobs unlock": "restore",
    "restore accept": "restore",
    "restore run": "restore",
    "restore undo": "restore",
    "snapshots copy": "operate",
    "snapshots prune": "restore",
    "snapshots prune --dry-run": "watch",
    "snapshots verify": "operate",
    "store lifecycle --apply": "operate",
}
"""What a command, or one of its flags, must be refused below; all others write nothing."""


def leaves(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if getattr(command, "commands", None):
        for name, part in command.commands.items():
            yield from leaves(part, *path, name)
    else:
        yield " ".join(path), command


def tries() -> Iterator[tuple[str, str]]:
    """Every command, as it is and with each flag."""
    for name, command in leaves(cli._build()):
        if name in WORDS:
            flags = {p.opts[-1] for p in command.params if getattr(p, "is_flag", False)}
            yield from ((name, flag) for flag in ("", *sorted(flags - ENDLESS - {"--json"})))


def test_no_command_is_missing_here() -> None:
    assert {name for name, _ in leaves(cli._build())} == WORDS.keys() | OTHERS.keys()
    assert NEEDS.keys() <= {f"{name} {flag}".strip() for name, flag in tries()}


@pytest.mark.parametrize("access", ["watch", "operate"])
def test_every_command(access: Access, scene: Scene, made: tuple[Scene, Plan], tmp_path: Path) -> None:
    """Below what it needs it is refused, and what needs nothing writes nothing."""
    allow(scene, access)
    plan = made[1]
    before = scene.jobs()
    with held(JobFolder(scene.state / "jobs" / LIVING)), nothing_written(scene.replica_set, [scene.store]):
        for number, (name, flag) in enumerate(tries()):
            needed = NEEDS.get(f"{name} {flag}", NEEDS.get(name, "watch"))
            if reaches(access, needed) and (needed != "watch" or access != "watch"):
                continue
            facts = {"tmp": tmp_path, "n": number, "plan": scene.config_file.parent / "plan.json"}
            words = [w.format(**facts, confirm=plan.confirm) for w in WORDS[name]]
            answer = call(scene.config_file, "--profile", "test", *name.split(), *words, *[flag] * bool(flag))
            told = (name, flag, answer.out, answer.err)
            # What a monitoring system asks ends with 3, as unknown.
            refused = answer.code in (3, 4) and f"allows {access!r}; this needs" in answer.err
            assert refused == (needed != "watch"), told
            assert answer.code in range(5), told
    assert scene.jobs() == before
    assert not (scene.state / "jobs" / LIVING / jobs.STOP).exists()


def test_what_anybody_may_write_does_not_go_into_a_store(scene: Scene, made: tuple[Scene, Plan]) -> None:
    allow(scene, "watch")
    profile = load_config(scene.config_file).profiles["test"]
    inside = scene.store / made[1].snapshot.name / ".." / "bundle.tar.gz"
    with nothing_written(scene.replica_set, [scene.store]):
        answer = call(scene.config_file, "--profile", "test", "bundle", "--output", str(inside))
        assert answer.code == 4 and "lies in store local" in answer.err
        for path in (inside, scene.store, scene.store / "run.jsonl"):
            with pytest.raises(Refused, match="lies in store local"):
                require_outside_stores(profile, path)
    require_outside_stores(profile, scene.store.with_name("store-of-bundles") / "b")


def held(folder: JobFolder) -> Any:
    from support import jobkit

    return jobkit.held(folder)


# The desk

DOING: dict[str, tuple[Access, Callable[[Desk, Plan], object]]] = {
    "accept": ("restore", lambda d, _: d.accept(RESTORED, RESTORED)),
    "acknowledge": ("operate", lambda d, _: d.acknowledge("ffff")),
    "backup": ("operate", lambda d, _: d.backup([], "none")),
    "copy": ("operate", lambda d, p: d.copy(p.snapshot.name, None, "local")),
    "drill": ("restore", lambda d, _: d.drill(full=True)),
    "hold": ("operate", lambda d, p: d.hold(p.snapshot.name, "x", [], None)),
    "release": ("operate", lambda d, _: d.release("ffff", "ffff")),
    "restore": ("restore", lambda d, p: d.restore(p, p.confirm)),
    "resume": ("restore", lambda d, _: d.resume(FAILED)),
    "silence": ("operate", lambda d, _: d.silence("all", timedelta(hours=1))),
    "stop": ("restore", lambda d, _: d.stop(LIVING, "stop")),
    "undo": ("restore", lambda d, _: d.undo(RESTORED, RESTORED)),
    "unsilence": ("operate", lambda d, _: d.unsilence()),
    "verify": ("operate", lambda d, p: d.verify(p.snapshot.name, None, 1)),
}

LOOKING: dict[str, Callable[[Desk, Plan], object]] = {
    "bundle": lambda d, _: d.bundle(),
    "changes": lambda d, p: d.changes(p),
    "contents": lambda d, p: d.contents(p.snapshot.name, "local"),
    "document": lambda d, p: d.document(p.namespaces[0].target, [1], None),
    "drills": lambda d, _: d.drills(),
    "event_of": lambda d, p: d.event_of(d.operations(p.snapshot.end, "after", 10, "").found[0].operation),
    "failovers": lambda d, _: d.failovers(),
    "find": lambda d, p: d.find(p.snapshot.end, None, lambda _: None, threading.Event()),
    "find_range": lambda d, _: d.find_range("-2d..-1d", [], None),
    "folder": lambda d, _: d.folder(RESTORED),
    "holds": lambda d, _: d.holds(),
    "jobs": lambda d, _: d.jobs(),
    "limit": lambda d, _: d.limit("-1m", Bound.BEFORE, [], None),
    "operations": lambda d, p: d.operations(p.snapshot.end, "after", 10, ""),
    "plan": lambda d, p: d.plan(p.intent),
    "preflight": lambda d, _: d.preflight(gather_once(d.name, d.profile)),
    "save_plan": lambda d, p: d.save_plan(p),
    "schedule": lambda d, _: d.schedule(),
    "settlements": lambda d, _: d.settlements(RESTORED),
    "stores": lambda d, _: d.stores(),
    "targets": lambda d, _: d.targets(),
    "watch": lambda d, _: d.watch(RESTORED),
    "writes_since": lambda d, _: d.writes_since(RESTORED),
}


def desk_of(scene: Scene, started_with: Access, *, armed: bool = False, profile: str = "test") -> Desk:
    loaded = load_config(scene.config_file).profiles[profile]
    access = ConsoleAccess(profile, loaded, started_with)
    if armed:
        access.arm()
    return Desk(profile, loaded, scene.config_file, access)


def test_no_call_of_the_desk_is_missing_here() -> None:
    public = {name for name, _ in inspect.getmembers(Desk, callable) if not name.startswith("_")}
    assert public == DOING.keys() | LOOKING.keys()


def test_every_call_of_a_desk_that_may_not(scene: Scene, made: tuple[Scene, Plan]) -> None:
    """Not armed, started for less than the profile allows, and bounded by the profile; looking at everything
    goes on, and writes nothing."""
    watching, unarmed = desk_of(scene, "watch"), desk_of(scene, "restore")
    operating = desk_of(scene, "operate", armed=True)
    allow(scene, "operate")
    bounded = desk_of(scene, "restore", armed=True)
    before = scene.jobs()
    with held(JobFolder(scene.state / "jobs" / LIVING)), nothing_written(scene.replica_set, [scene.store]):
        for name, (needed, act) in DOING.items():
            may_not = {"read-only": watching, "not-armed": unarmed}
            if needed == "restore":
                may_not |= {"read-only": operating, "access": bounded}
            for code, desk in may_not.items():
                with pytest.raises(Refused) as refused:
                    act(desk, made[1])
                assert refused.value.code == code, (name, refused.value)
        for number, look in enumerate(LOOKING.values()):
            look((watching, unarmed)[number % 2], made[1])
    assert scene.jobs() == before


# Where the work is done


def test_every_piece_of_work_asks_itself(scene: Scene, made: tuple[Scene, Plan]) -> None:
    """Whoever calls it, without a desk or a command before it."""
    allow(scene, "watch")
    profile, plan = load_config(scene.config_file).profiles["test"], made[1]
    span = (plan.snapshot.start, plan.snapshot.end)
    work: list[Callable[[], object]] = [
        lambda: holding.add_hold("test", profile, "x", span=span, snapshot=None),
        lambda: holding.release_hold("test", profile, "ffff"),
        lambda: alerting.acknowledge("test", profile, "ffff"),
        lambda: alerting.silence("test", profile, "all"),
        lambda: alerting.unsilence("test", profile, "all"),
        lambda: alerting.try_ways("test", profile, None),
        lambda: put_pause("test", profile, Pause(paused=True, at=plan.snapshot.end.time, by="x")),
        lambda: by_hand.switch_by_hand("test", profile, None, lower_term=True, tell=print),
        lambda: by_hand.rehearse("test", profile, print),
        lambda: examine.release_write_block("test", profile),
        lambda: remove_dead_lock("test", profile, scene.client, None),  # type: ignore[arg-type]
        *(lambda k=kind: jobs.create("test", profile, scene.config_file, k, {}) for kind in job.RUNNERS),
        *(lambda i=name: jobs.resume(JobFolder(scene.state / "jobs" / i)) for name in (FAILED, RESTORED)),
        lambda: jobs.request_stop(JobFolder(scene.state / "jobs" / LIVING)),
    ]
    before = scene.jobs()
    with nothing_written(scene.replica_set, [scene.store]):
        for each in work:
            with pytest.raises(Refused) as refused:
                each()
            assert refused.value.code == "access"
    assert scene.jobs() == before


@pytest.fixture
def run_job() -> Iterator[Callable[[JobFolder], dict[str, Any]]]:
    """A job's own process, in this one: how it ended."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}

    def run(folder: JobFolder) -> dict[str, Any]:
        code = job.main(folder.path)
        ended = [line.event for line in jobs.read_lines(folder) if isinstance(line.event, JobEnded)][-1]
        return {"exit_code": code, **(ended.error or {})}

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("access", ["watch", "operate"])
def test_every_kind_of_job_by_its_own_process(
    access: Access, scene: Scene, made: tuple[Scene, Plan], run_job: Callable[[JobFolder], dict[str, Any]]
) -> None:
    """A folder that no command made, also of a kind that there is not, and one that goes on in the middle."""
    allow(scene, access)
    name = made[1].snapshot.name
    requests: dict[str, dict[str, Any]] = {
        "backup": {"stores": None, "run": "agents/x/runs/backup/1"},
        "verify": {"snapshot": name, "level": 1},
        "prune": {"store": None},
        "copy": {"snapshot": name, "target": "local"},
        "restore": {"plan": made[1].to_json()},
        "undo": {"job": RESTORED},
        "accept": {"job": RESTORED},
        "drill": {"store": None, "full": False},
        "no such kind": {},
    }
    assert requests.keys() >= job.RUNNERS.keys()
    with nothing_written(scene.replica_set, [scene.store]):
        for number, (kind, request) in enumerate(requests.items()):
            if reaches(access, needed_for(kind)):
                continue
            for progress in ((), (Checkpoint("begun"), Checkpoint("oplog-saved", {"entries": 0}))):
                folder = craft(scene, kind, request, *progress, name=f"c0ffee0{number}")
                ended = run_job(folder)
                assert (ended["exit_code"], ended["code"]) == (4, "access"), (kind, ended)


def test_a_job_into_a_profile_that_is_only_watched(
    scene: Scene, made: tuple[Scene, Plan], run_job: Callable[[JobFolder], dict[str, Any]]
) -> None:
    """However the folder came about: the target's bound holds for the job, its undo and its accept too."""
    plan = made[1].to_json()
    plan["intent"]["to_profile"] = "watched"
    craft(scene, "restore", {"plan": plan}, Checkpoint("placed", PLACED), JobEnded("done"), name=RESTORED)
    with nothing_written(scene.replica_set, [scene.store]):
        for kind, request in {
            "restore": {"plan": plan},
            "undo": {"job": RESTORED},
            "accept": {"job": RESTORED},
        }.items():
            ended = run_job(craft(scene, kind, request, Checkpoint("begun"), name="c0ffee99"))
            assert (ended["code"], "'watched' allows 'watch'" in ended["message"]) == ("access", True), ended


def test_a_job_of_another_profile_is_bound_by_that_one(scene: Scene, made: tuple[Scene, Plan]) -> None:
    """Jobs of all profiles lie in one folder: a console that may all with its own may nothing with others."""
    desk = desk_of(scene, "restore", armed=True)
    plan = {"plan": made[1].to_json()}
    failed = craft(scene, "restore", plan, JobEnded("failed"), name="c0ffee11", profile="watched")
    living = craft(scene, "restore", plan, name="c0ffee12", profile="watched")
    with held(living), nothing_written(scene.replica_set, [scene.store]):
        for act in (lambda: desk.resume(failed.id), lambda: desk.stop(living.id, "stop")):
            with pytest.raises(Refused, match="'watched' allows 'watch'"):
                act()
        for words in (("resume", failed.id), ("stop", living.id)):
            answer = call(scene.config_file, "--profile", "test", "jobs", *words)
            assert answer.code == 4 and "'watched' allows 'watch'" in answer.err
    assert not (living.path / jobs.STOP).exists()


# Plans

TOLD_ONLY = {
    "schema",
    "id",
    "last_applied",
    "first_not_applied",
    "kept",
    "operations",
    "later_writes",
    "lost_seconds",
    "estimate_seconds",
    "estimate_basis",
    "hazards",
    "steps",
    "command",
    "profile",
    "snapshot.documents",
    "snapshot.bytes",
    "snapshot.store",
    "intent.store",
    "namespaces.documents",
    "namespaces.bytes",
    "namespaces.effect",
    "namespaces.live_documents",
    "namespaces.conflicts",
}
"""What a plan tells people, and no job works by. The profile is compared by the command, which knows it."""


def parts(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The way to every single value of a document."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from parts(part, *path, key)
    else:
        yield path


def other(value: Any) -> Any:
    """Another value of its kind, that could be meant."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case None | [] | {}:
            return None
        case str() if value[:1].isdigit() and ":" in value:
            return str(Position.parse(value).t + 1) + value[value.index(":") :]
        case _:
            return f"{value}x"


def test_every_value_of_a_plan_that_was_edited_is_found(
    scene: Scene, made: tuple[Scene, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself; the hash and the text to type stay those of the plan, as a forger would leave them."""
    plan = made[1]
    make, fresh = run_restore.make_plan, {plan.intent: plan}
    monkeypatch.setattr(
        run_restore,
        "make_plan",
        lambda name, profile, intent, *rest, **more: fresh.get(intent) or make(name, profile, intent, *rest),
    )
    deployments = run_restore.open_deployments("test", scene.profile, None)
    unseen, edited = set(), 0
    with nothing_written(scene.replica_set, [scene.store]):
        for path in parts(plan.to_json()):
            document = plan.to_json()
            place: Any = document
            for key in path[:-1]:
                place = place[key]
            before = place[path[-1]]
            place[path[-1]] = other(before)
            try:
                crafted = Plan.model_validate(document)
            except ValueError:
                continue
            if crafted == plan:
                continue
            edited += 1
            try:
                run_restore.check_unchanged("test", scene.profile, crafted, deployments)
            except Trouble:
                continue
            unseen.add(".".join(str(key) for key in path if isinstance(key, str)))
    assert edited > 60
    assert {name for name in unseen if not (name in TOLD_ONLY or name.split(".")[0] in TOLD_ONLY)} == set()
