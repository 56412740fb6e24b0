"""``mdr agent``: streams, says how far it is, ends in order, and is missed when it is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import streamkit
from support.agentkit import Agent, add_segments
from support.prepared import PreparedProfile
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
    assert sink["lag_seconds"] < 60 and sink["canary"]["count"] >= 1
    assert 0 < sink["canary"]["p50"] <= sink["canary"]["p99"] < 60
    assert agent.end(signal.SIGTERM) == 0
    facts = agent.state() or facts
    assert not facts.running and facts.sinks[0].durable == facts.sinks[0].given
    told = call(config, "--profile", "test", "status", "--json").json
    assert told["readings"]["stream"]["value"]["stale"] is True
    assert "agent-gone" in {f["code"] for f in told["verdict"]["facts"]}
    assert "stream: the agent" in call(config, "--profile", "test", "status", "--plain").out


def _wait_until_streaming(agent: Agent) -> None:
    for _ in range(3600):
        facts = agent.state()
        if facts is not None and facts.sinks and facts.sinks[0].state == "streaming":
            return
        time.sleep(0.05)
    raise AssertionError(agent.state())


@dataclass
class Service:
    """The command as a service manager runs it: all profiles, JSON lines, a socket to tell how it is."""

    prepared: PreparedProfile
    socket: socket.socket
    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)

    def until(self, text: str) -> dict[str, Any]:
        """The next line that has this text."""
        assert self.process.stderr is not None
        for row in self.process.stderr:
            line = json.loads(row)
            self.lines.append(line)
            if text in line["message"]:
                return line
        raise AssertionError(self.lines)

    def told(self, word: str) -> None:
        """Waits until the service manager is told this."""
        self.socket.settimeout(180)
        while word not in self.socket.recv(4096).decode().splitlines():
            pass


@pytest.fixture
def service(prepared: PreparedProfile, tmp_path: Path) -> Iterator[Service]:
    """Two profiles of one deployment, with the same stores."""
    text = prepared.config_file.read_text()
    prepared.config_file.write_text(text + text.replace("profiles.test", "profiles.twin"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.bind(str(tmp_path / "notify"))
        process = subprocess.Popen(
            [sys.executable, "-m", "mongo_dr_console", "agent", "--log", "json"],
            env={
                **os.environ,
                "MDR_CONFIG": str(prepared.config_file),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "2000000",
            },
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        yield Service(prepared, out, process)
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_two_profiles_of_one_deployment_compete_and_the_service_does_as_it_is_told(service: Service) -> None:
    service.told("READY=1")
    line = service.until("stands by: profile ")
    assert set(line) == {"time", "level", "message", "profile", "host"}
    leader = line["message"].split("profile ")[1].split()[0]
    assert {leader, line["profile"]} == {"test", "twin"}
    service.told("WATCHDOG=1")
    # A broken config is told and changes nothing.
    config = service.prepared.config_file
    whole = config.read_text()
    config.write_text(whole + "[profiles.test.schedule]\nbackup = 'every night'\n")
    service.process.send_signal(signal.SIGHUP)
    service.told("RELOADING=1")
    told = service.until("not reloaded")
    assert told["level"] == "error" and "profiles.test.schedule.backup" in told["message"]
    service.told("READY=1")
    # Without the leader's profile the other one leads, and streams as the new config says.
    rest = whole.split("[profiles.twin]") if leader == "test" else None
    text = f"[profiles.twin]{rest[1]}" if rest else whole.split("[profiles.twin]")[0]
    name = "twin" if leader == "test" else "test"
    config.write_text(f"{text}\n[profiles.{name}.oplog.segments]\nstores = ['local']\nseconds = 1\n")
    service.process.send_signal(signal.SIGHUP)
    assert service.until("leads (term 2)")["profile"] == name
    service.until("segments:local streaming")
    service.process.send_signal(signal.SIGTERM)
    service.told("STOPPING=1")
    service.until("segments:local stopped")
    assert service.process.wait(180) == 0


def test_a_backup_runs_when_it_is_due_and_the_schedule_says_so(prepared: PreparedProfile) -> None:
    far = f"0 {(datetime.now(UTC).hour + 12) % 24} * * *"
    nightly = f"[profiles.test.schedule]\nbackup = '{far}'\nprune = '*/2 * * * * *'\n"
    prepared.config_file.write_text(prepared.config_file.read_text() + nightly)
    agent = Agent(prepared)
    agent.start()
    try:
        for _ in range(1800):
            told = call(prepared.config_file, "-p", "test", "schedule", "list", "--json").json
            backup, prune = told["kinds"]
            if prune["last"] is not None and prune["last"]["state"] == "done":
                break
            time.sleep(0.1)
        assert (backup["kind"], backup["last"], backup["held"]) == ("backup", None, None)
        assert prune["last"]["job"] and told["leading"] and told["leader"]["fence"] == 1
        job = call(prepared.config_file, "jobs", "list", "--json").json["jobs"][0]
        assert (job["kind"], job["owner"].split("@")[0]) == ("prune", "agent")
    finally:
        assert agent.end(signal.SIGTERM) == 0
    text = call(prepared.config_file, "-p", "test", "schedule", "list").out
    assert "No agent leads: the one on" in text and far in text


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("backup = '0 2 * *'", ["profiles.test.schedule.backup", "cron"]),
        ("backup = '0 0 30 2 *'", ["profiles.test.schedule.backup", "cron"]),
        ("timezone = 'Europe/Nowhere'", ["profiles.test.schedule.timezone", "time zone"]),
        ("window = '22-6'", ["profiles.test.schedule.window", "22:00-06:00"]),
    ],
)
def test_a_wrong_schedule_is_an_error_at_the_start_that_names_the_key(
    prepared: PreparedProfile, schedule: str, words: list[str]
) -> None:
    prepared.config_file.write_text(
        prepared.config_file.read_text() + f"[profiles.test.schedule]\n{schedule}\n"
    )
    answer = call(prepared.config_file, "--profile", "test", "agent")
    assert answer.code == 2 and all(word in answer.err for word in words), answer.err


def test_what_the_access_does_not_reach_for_is_an_error_at_the_start(prepared: PreparedProfile) -> None:
    text = prepared.config_file.read_text().replace("access = 'restore'", "access = 'operate'")
    prepared.config_file.write_text(text + "[profiles.test.schedule]\nprune = '0 3 * * *'\n")
    answer = call(prepared.config_file, "--profile", "test", "agent")
    assert answer.code == 2 and "profiles.test.schedule.prune needs access" in answer.err
