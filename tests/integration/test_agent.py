"""``mdr agent``: streams, says how far it is, ends in order, and is missed when it is gone."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import streamkit
from support.agentkit import Agent, add_segments
from support.scene import call

from mongo_dr_console.model.position import Position

pytestmark = pytest.mark.mongod


@pytest.fixture
def agent(prepared: Any) -> Iterator[Agent]:
    add_segments(prepared)
    made = Agent(prepared)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_the_agent_streams_tells_its_lag_and_is_missed_when_it_is_gone(
    agent: Agent, client: Any, database_name: str
) -> None:
    config = agent.prepared.config_file
    agent.start()
    _wait_until_streaming(agent)
    client[database_name].a.insert_many([{"_id": n} for n in range(100)])
    facts = agent.wait_for(streamkit.committed(client))
    # A second one of the same profile is refused; a canary has been seen arriving.
    second = call(config, "--profile", "test", "agent")
    assert second.code == 4 and "already" in second.err
    agent.wait_for(Position(facts.sinks[0].durable.t + 3, 0) if facts.sinks[0].durable else Position(0, 0))
    told = call(config, "--profile", "test", "status", "--json").json
    assert (facts.role, facts.leader and facts.leader.fence) == ("leads", 1)
    (sink,) = told["readings"]["stream"]["value"]["sinks"]
    assert (sink["name"], sink["state"], sink["trouble"]) == ("segments:local", "streaming", None)
    assert sink["lag_seconds"] < 10 and sink["canary"]["count"] >= 1
    assert 0 < sink["canary"]["p50"] <= sink["canary"]["p99"] < 10
    assert agent.end(signal.SIGTERM) == 0
    facts = agent.state() or facts
    assert not facts.running and facts.sinks[0].durable == facts.sinks[0].given
    told = call(config, "--profile", "test", "status", "--json").json
    assert told["readings"]["stream"]["value"]["stale"] is True
    assert "agent-gone" in {f["code"] for f in told["verdict"]["facts"]}
    assert "stream: the agent" in call(config, "--profile", "test", "status", "--plain").out


def _wait_until_streaming(agent: Agent) -> None:
    for _ in range(600):
        facts = agent.state()
        if facts is not None and facts.sinks and facts.sinks[0].state == "streaming":
            return
        time.sleep(0.05)
    raise AssertionError(agent.state())


def test_a_profile_without_a_stream_has_no_agent(prepared: Any) -> None:
    answer = call(prepared.config_file, "--profile", "test", "agent")
    assert answer.code == 2 and "oplog.segments" in answer.err
