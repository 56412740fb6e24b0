"""``mdr failover`` and ``mdr endpoint`` on a set of their own, with the monitor and without."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agentkit import Agent
from support.failoverkit import Watched, until
from support.prepared import prepare
from support.scene import call, told

from mongo_dr_console.agent.duty import Post, Term
from mongo_dr_console.agent.failing_over import FailoverMonitor
from mongo_dr_console.config import AgentConfig
from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.failoverdoc import EndpointContent
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.mongo.launch import Options, ReplicaSet

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def own_set(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    made = ReplicaSet.launch(sets_folder / "failing", Options(set_name="failing"))
    made.wait_for_members()
    yield made
    made.close()


@pytest.fixture
def watched(own_set: ReplicaSet, tmp_path: Path) -> Watched:
    make_electable(own_set)
    return Watched(
        prepare(tmp_path, own_set.uri, tmp_path / "state"),
        f"[profiles.test.endpoint]\ntype = 'file'\npath = '{tmp_path}/endpoint.json'\n"
        f"[profiles.test.broadcast]\ntype = 'file'\npath = '{tmp_path}/broadcast'\n",
    )


def make_electable(own_set: ReplicaSet) -> None:
    """All of them, also those that stepped down a moment ago."""
    own_set.wait_for_members()
    for index in range(3):
        if index != own_set.primary_index():
            with own_set.member_client(index) as client:
                client.admin.command("replSetFreeze", 0)


def content(tmp_path: Path) -> EndpointContent:
    return EndpointContent.model_validate_json((tmp_path / "endpoint.json").read_bytes())


def primary(own_set: ReplicaSet) -> str:
    return own_set.members[own_set.primary_index()].address


def test_by_hand_from_nothing_to_a_written_endpoint(
    watched: Watched, own_set: ReplicaSet, tmp_path: Path
) -> None:
    config = watched.config_file
    shown = call(config, "endpoint", "show", "--json")
    assert shown.code == 0 and shown.json["content"] is None and shown.json["primary"] == primary(own_set)
    told(call(config, "endpoint", "switch", "--json"), "not-confirmed", 4, "--yes")
    other = next(m.address for m in own_set.members if m.address != primary(own_set))
    told(call(config, "endpoint", "switch", "--yes", "--to", other, "--json"), "not-the-primary", 4, other)
    assert not (tmp_path / "endpoint.json").exists()
    done = call(config, "endpoint", "switch", "--yes", "--json")
    assert done.code == 0, done.err
    assert content(tmp_path).primary == primary(own_set) == done.json["content"]["primary"]
    assert [s["state"] for s in done.json["record"]["steps"]] == ["done"] * 7
    (message,) = [json.loads(line) for line in (tmp_path / "broadcast").read_text().splitlines()]
    assert message["event"] == "reconnect" and message["primary"] == primary(own_set)
    (record,) = watched.ledger()
    assert record.cause == "by-hand" and record.state == "done"
    listed = call(config, "failover", "show")
    assert listed.code == 0 and f"{record.id}  by-hand" in listed.out
    assert "No failover monitor ever ran on this host" in listed.out


def test_an_endpoint_from_a_higher_term_wants_to_be_asked_for(
    watched: Watched, own_set: ReplicaSet, tmp_path: Path
) -> None:
    assert call(watched.config_file, "endpoint", "switch", "--yes").code == 0
    high = content(tmp_path).model_copy(update={"term": 900, "primary": "gone:1"})
    (tmp_path / "endpoint.json").write_text(high.model_dump_json(by_alias=True))
    answer = call(watched.config_file, "endpoint", "switch", "--yes", "--json")
    told(answer, "endpoint-lower-term", 4, "--lower-term", "term 900")
    assert content(tmp_path) == high
    with watched.watching():
        facts = watched.wait_facts(lambda f: bool(f.advice))
        assert "--lower-term" in facts.advice and facts.run is None
        assert content(tmp_path) == high
    done = call(watched.config_file, "endpoint", "switch", "--yes", "--lower-term", "--json")
    assert done.code == 0, done.err
    assert content(tmp_path).primary == primary(own_set)
    assert done.json["record"]["from"] == "gone:1"


def test_a_planned_failover_is_measured_without_an_agent(
    watched: Watched, own_set: ReplicaSet, tmp_path: Path
) -> None:
    before = primary(own_set)
    told(call(watched.config_file, "failover", "test", "--json"), "not-confirmed", 4)
    assert primary(own_set) == before
    done = call(watched.config_file, "failover", "test", "--yes", "--json")
    assert done.code == 0, done.err
    facts = done.json
    assert facts["success"] and facts["from"] == before and facts["to"] == primary(own_set) != before
    assert facts["by"] == "this command"
    times = [facts[f"{name}_seconds"] for name in ("primary", "write", "endpoint", "broadcast")]
    assert None not in times and times == sorted(times)
    assert content(tmp_path).primary == facts["to"] and content(tmp_path).term == facts["term"]
    assert watched.ledger()[0].cause == "test"


def test_the_agent_switches_and_a_pause_holds_it_back(
    watched: Watched, own_set: ReplicaSet, tmp_path: Path
) -> None:
    config = watched.config_file
    with watched.watching():
        watched.wait_ledger(lambda r: len(r) == 1 and r[0].cause == "endpoint-behind")
        watched.wait_facts(lambda f: f.standing is Standing.FINE and f.run is None)
        done = call(config, "failover", "test", "--yes", "--json")
        assert done.code == 0, done.err
        assert done.json["by"] == "agent" and done.json["record"]["cause"] == "planned"
        assert content(tmp_path).primary == done.json["to"] == primary(own_set)
        make_electable(own_set)

        assert call(config, "failover", "pause", "--for", "1h", "--reason", "work on db-2").code == 0
        told(call(config, "failover", "pause", "--for", "soon", "--json"), "duration-wrong", 2)
        watched.wait_facts(lambda f: f.pause is not None and f.pause.paused)
        told(call(config, "failover", "test", "--yes", "--json"), "failover-unhealthy", 4, "paused")
        held = content(tmp_path)
        with own_set.member_client(own_set.primary_index()) as client:
            client.admin.command({"replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 10})
        facts = watched.wait_facts(lambda f: f.primary not in (None, held.primary))
        assert facts.run is None and content(tmp_path) == held
        shown = call(config, "failover", "show")
        assert "PAUSED until" in shown.out and "work on db-2" in shown.out
        assert f"The primary is {facts.primary}." in shown.out

        assert call(config, "failover", "resume").code == 0
        until(lambda: content(tmp_path) != held, 120)
        assert content(tmp_path).primary == facts.primary
        watched.wait_ledger(lambda r: len(r) == 3)
    assert [r.cause for r in watched.ledger()] == ["planned", "planned", "endpoint-behind"]
    shared = watched.store.root / "agent" / "failing" / "failover-pause.json"
    assert json.loads(shared.read_bytes())["paused"] is False
    stale = call(config, "failover", "show")
    assert "was last seen" in stale.out


def test_the_agent_itself_does_it_and_a_command_finds_what_it_did(
    own_set: ReplicaSet, tmp_path: Path
) -> None:
    make_electable(own_set)
    prepared = prepare(tmp_path, own_set.uri, tmp_path / "state")
    watched = Watched(
        prepared, f"[profiles.test.endpoint]\ntype = 'file'\npath = '{tmp_path}/endpoint.json'\n"
    )
    agent = Agent(prepared)
    agent.start()
    try:
        watched.wait_ledger(lambda r: len(r) == 1)
        done = call(watched.config_file, "failover", "test", "--yes", "--json")
        assert done.code == 0, done.err
        assert done.json["by"] == "agent" and done.json["to"] == content(tmp_path).primary
        assert content(tmp_path).fence > 0
    finally:
        assert agent.end(signal.SIGTERM) == 0
    facts = watched.facts()
    assert facts is not None and not facts.running


def test_an_unhealthy_set_is_not_tested(watched: Watched, own_set: ReplicaSet) -> None:
    victim = next(i for i in range(3) if i != own_set.primary_index())
    own_set.kill(victim)
    try:
        before = primary(own_set)
        answer = call(watched.config_file, "failover", "test", "--yes", "--json")
        told(answer, "failover-unhealthy", 4, "Nothing was changed", own_set.members[victim].address)
        assert primary(own_set) == before and watched.ledger() == []
    finally:
        own_set.start(victim)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (
            {"endpoint": {"type": "exec", "command": ["sleep", "600"], "timeout": "200ms", "tries": 1}},
            "program-hangs",
        ),
        ({"endpoint": {"type": "file", "path": "/proc/nowhere/x.json", "tries": 1}}, "endpoint-unwritten"),
    ],
)
def test_an_endpoint_that_fails_tells_the_step_by_hand_and_nothing_is_half_switched(
    watched: Watched, tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    data = watched.profile.model_dump(mode="json", exclude_none=True) | more
    watched.profile = type(watched.profile).model_validate(data | {"uri_file": str(tmp_path / "uri")})
    with watched.watching():
        facts = watched.wait_facts(lambda f: f.run is not None and bool(f.run.step("endpoint").manual))
        assert facts.run is not None
        step = facts.run.step("endpoint")
        assert step.trouble is not None and step.trouble.code == code
        assert "mdr endpoint switch" in step.manual
        assert facts.run.step("broadcast").state == "waiting" and facts.endpoint is None
    assert not (tmp_path / "broadcast").exists()
    assert any("By hand:" in line for line in watched.told)


def test_a_url_file_that_cannot_be_read_fails_the_broadcast_alone(watched: Watched, tmp_path: Path) -> None:
    more = {"broadcast": {"type": "webhook", "url_file": str(tmp_path / "no-such-file")}}
    data = watched.profile.model_dump(mode="json", exclude_none=True) | more
    watched.profile = type(watched.profile).model_validate(data | {"uri_file": str(tmp_path / "uri")})
    with watched.watching():
        (record,) = watched.wait_ledger(lambda r: len(r) == 1)
        facts = watched.wait_facts(lambda f: f.last is not None)
    assert record.state == "failed" and record.step("endpoint").state == "done"
    trouble = record.step("broadcast").trouble
    assert trouble is not None and trouble.code == "webhook-url"
    assert facts.last is not None and facts.last.stuck is not None
    assert content(tmp_path).primary == record.to


def test_switching_needs_the_access(watched: Watched) -> None:
    profile = watched.profile.model_copy(update={"access": "operate"})
    with pytest.raises(WrongUse) as caught:
        FailoverMonitor(
            Post("test", profile, watched.config_file, AgentConfig(), Term(), watched.told.append)
        )
    assert caught.value.code == "endpoint-access"
