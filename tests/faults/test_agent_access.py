"""What the agent does at each access, as ``test_access_holds`` has it of commands, desk and jobs: its duties
are enumerated, and at access watch a whole agent runs while server and store are watched for writes.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import failoverstates, streamkit
from support.agentkit import add_segments
from support.failoverkit import until
from support.jobs import backup_here
from support.prepared import PreparedProfile
from support.scene import call
from support.watched import nothing_written
from support.writers import fill

from mongo_dr_console.agent.duties import duties_of
from mongo_dr_console.agent.duty import Post, Term
from mongo_dr_console.agent.failing_over import FailoverMonitor
from mongo_dr_console.agent.orders import Orders
from mongo_dr_console.agent.profile import ProfileAgent
from mongo_dr_console.agent.scheduling import Scheduling, launched
from mongo_dr_console.agent.streaming import Streaming
from mongo_dr_console.config import ACCESS_ORDER, Access, load_config
from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.schedule import KINDS
from mongo_dr_console.model.streamfacts import StreamFacts
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.launch import HeldPort
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers.access import needed_for, reaches
from mongo_dr_console.workers.alertstate import read_facts
from mongo_dr_console.workers.failover_state import FailoverFiles, read_monitor, send_unsent, settle
from mongo_dr_console.workers.streamstate import read_state

pytestmark = pytest.mark.mongod


@pytest.fixture
def prepared(profile_for: Any, replica_set: Any) -> Iterator[PreparedProfile]:
    """A profile with a stream, and an address for the numbers."""
    made: PreparedProfile = profile_for(replica_set)
    add_segments(made)
    with HeldPort() as port:
        text = made.config_file.read_text(encoding="utf-8")
        base_of(made).write_text(f"{text}[agent]\nmetrics = '127.0.0.1:{port}'\n", encoding="utf-8")
        yield made


@pytest.fixture
def behind(prepared: PreparedProfile, replica_set: Any, database_name: str) -> PreparedProfile:
    """The same with a snapshot and writes after it: a stream would have something to write at once."""
    with closing(replica_set.client()) as client:
        fill(client, database_name, documents=20)
        backup_here(prepared)
        client[database_name].later.insert_many([{"_id": n} for n in range(50)])
    return prepared


def base_of(prepared: PreparedProfile) -> Path:
    return prepared.config_file.with_name("base.toml")


def orders(prepared: PreparedProfile, access: Access, *more: str) -> Orders:
    """The config file at an access, with more lines in the profile; and what an agent makes of it."""
    text, lines = base_of(prepared).read_text(encoding="utf-8"), "\n".join([f"access = '{access}'", *more])
    prepared.config_file.write_text(text.replace("access = 'restore'", lines), encoding="utf-8")
    config = load_config(prepared.config_file)
    return Orders("test", config.profiles["test"], prepared.config_file, config.agent)


def post(given: Orders) -> Post:
    return given.post(Term(), lambda text: None)


# What an agent begins

DUTIES: dict[str, Access] = {
    "alerts": "watch",
    "failover": "watch",
    "metrics": "watch",
    "schedule": "operate",
    "stream": "operate",
}
"""Every duty, and the lowest access at which an agent has it."""

ASKED: dict[str, tuple[str, Access]] = {
    **{f"schedule {kind}": (f"schedule.{kind} = '0 2 * * *'", needed_for(kind)) for kind in KINDS},
    "endpoint": ("endpoint = { type = 'file', path = '/nowhere/endpoint.json' }", "restore"),
    "broadcast": ("broadcast = { type = 'file', path = '/nowhere/messages' }", "restore"),
}
"""What a profile may ask of its agent, and the access that it needs: of the job, of ``endpoint switch``."""


@pytest.mark.parametrize("access", ACCESS_ORDER)
def test_the_duties_at_each_access(access: Access, prepared: PreparedProfile) -> None:
    asked = [text for text, needed in ASKED.values() if reaches(access, needed)]
    found = {duty.name for duty in duties_of(post(orders(prepared, access, *asked)))}
    assert found == {name for name, needed in DUTIES.items() if reaches(access, needed)}


@pytest.mark.parametrize("access", ACCESS_ORDER)
def test_what_the_access_does_not_reach_for_is_refused_at_the_start(
    access: Access, prepared: PreparedProfile
) -> None:
    assert {f"schedule {kind}" for kind in KINDS} <= ASKED.keys()
    for name, (asked, needed) in ASKED.items():
        given = orders(prepared, access, asked)
        if reaches(access, needed):
            given.check()
            continue
        with pytest.raises(Trouble) as refused:
            given.check()
        assert refused.value.code == f"{name.split()[0].replace('broadcast', 'endpoint')}-access", name
        assert f'access = "{needed}"' in refused.value.hint


def test_the_command_refuses_before_it_begins_anything(prepared: PreparedProfile, replica_set: Any) -> None:
    orders(prepared, "watch", ASKED["schedule backup"][0])
    with nothing_written(replica_set, [prepared.store]):
        answer = call(prepared.config_file, "--profile", "test", "agent")
    assert answer.code == 2 and "profiles.test.schedule.backup needs access = 'operate'" in answer.err


def test_every_piece_of_its_work_asks_itself(prepared: PreparedProfile, replica_set: Any) -> None:
    """Whoever began it."""
    watching = post(orders(prepared, "watch"))
    asked = {name: post(orders(prepared, "watch", text)) for name, (text, _) in ASKED.items()}
    work: list[Callable[[], object]] = [
        lambda: Streaming(watching),
        lambda: FailoverMonitor(asked["endpoint"]),
        lambda: FailoverMonitor(asked["broadcast"]),
        *(lambda k=kind: Scheduling(asked[f"schedule {k}"]) for kind in KINDS),
        *(lambda k=kind: launched(watching, k, {}) for kind in KINDS),
    ]
    with nothing_written(replica_set, [prepared.store]):
        for each in work:
            with pytest.raises(Trouble) as refused:
                each()
            assert refused.value.code.endswith("access")
            assert (
                isinstance(refused.value, Refused) or refused.value.code.split("-")[0] in "endpoint schedule"
            )


def test_a_failover_that_was_watched_stays_on_this_host(prepared: PreparedProfile, replica_set: Any) -> None:
    watching, files = orders(prepared, "watch").profile, FailoverFiles.of("test", prepared.profile)
    record = failoverstates.run()
    with nothing_written(replica_set, [prepared.store]):
        settle(files, record)
        assert send_unsent(watching, files) == 0
    assert [p.stem for p in files.unsent.glob("*.json")] == [record.id]
    # Once it may, what happened is not missing in the ledger.
    assert send_unsent(orders(prepared, "operate").profile, files) == 0
    assert [d["id"] for d in ledger.read_all(LocalStore("local", prepared.store), "failovers")] == [record.id]
    assert list(files.unsent.glob("*.json")) == []


# A whole agent


class Running:
    """An agent in this process, so that every write of it is seen."""

    def __init__(self, given: Orders) -> None:
        self.profile, self.address = given.profile, given.settings.metrics
        self.told: list[str] = []
        self.agent = ProfileAgent(given, self.told.append)

    def until(self, what: Callable[[], bool]) -> None:
        until(what, 60, lambda: (self.told, self.state))

    @property
    def state(self) -> StreamFacts | None:
        return read_state("test", self.profile)

    def in_role(self, role: str) -> None:
        self.until(lambda: (facts := self.state) is not None and facts.role == role and facts.running)

    def streamed_to(self, end: Position) -> bool:
        sinks = () if self.state is None else self.state.sinks
        return bool(sinks) and all((sink.durable or Position(0, 0)) >= end for sink in sinks)

    def looked_at_everything(self) -> None:
        """The primary was seen, alerts were looked for twice, and the numbers are served."""

        def looked_at() -> object:
            facts = read_facts("test", self.profile)
            return None if facts is None else (facts.pid, facts.written_at)

        self.until(
            lambda: (f := read_monitor("test", self.profile)) is not None and f.standing is Standing.FINE
        )
        for _ in range(2):
            before = looked_at()
            self.until(lambda b=before: looked_at() not in (None, b))  # type: ignore[misc]
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            assert "mdr_source_up" in answer.read().decode()


@contextmanager
def running(given: Orders) -> Iterator[Running]:
    given.check()
    found = Running(given)
    found.agent.start()
    try:
        yield found
    finally:
        found.agent.stop()
        assert found.agent.join(60)


def test_an_agent_that_only_watches_writes_nothing(behind: PreparedProfile, replica_set: Any) -> None:
    """From its start to its end; it says once what it leaves undone, and is not shown as broken."""
    with nothing_written(replica_set, [behind.store]):
        with running(orders(behind, "watch")) as agent:
            agent.in_role("watches")
            agent.looked_at_everything()
            status = call(behind.config_file, "--profile", "test", "status", "--json").json
            shown = call(behind.config_file, "--profile", "test", "status", "--plain").out
        facts = agent.state
    (said,) = [text for text in agent.told if "only watches" in text]
    assert "not streamed into segments:local" in said and 'access = "operate" in profile test' in said
    assert facts is not None and (facts.role, facts.sinks, facts.running) == ("watches", (), False)
    stream = status["readings"]["stream"]["value"]
    assert (stream["role"], stream["stale"], stream["sinks"], stream["leader"]) == (
        "watches",
        False,
        [],
        None,
    )
    wrong = {f["code"] for f in status["verdict"]["facts"]}
    assert not {code for code in wrong if code.startswith(("agent-", "stream-"))}, wrong
    assert "only watches, since its access is watch" in shown
    assert (
        call(behind.config_file, "--profile", "test", "alerts", "list", "--json").json["agent"] == facts.host
    )


def test_what_is_raised_and_lowered_while_it_runs_holds_from_then_on(
    behind: PreparedProfile, replica_set: Any
) -> None:
    """The same deployment and store as above: an agent that may write there does."""
    store = LocalStore("local", behind.store)
    with running(orders(behind, "watch")) as agent:
        agent.in_role("watches")
        assert not [*store.list("agent/"), *store.list("oplog/")]
        agent.agent.reload(orders(behind, "operate"))
        agent.in_role("leads")
        with closing(replica_set.client()) as client:
            end = streamkit.committed(client)
        agent.until(lambda: agent.streamed_to(end))
        agent.agent.reload(orders(behind, "watch"))
        agent.in_role("watches")
        with nothing_written(replica_set, [behind.store]):
            agent.looked_at_everything()
    assert list(store.list("oplog/")) and [t for t in agent.told if "only watches" in t]
