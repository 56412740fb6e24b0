"""While no lease can be had alerts are watched for all the same, and only then."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.readingkit import HERE

from mongo_dr_console.agent import alone
from mongo_dr_console.agent.alone import AFTER_SECONDS, AloneWatch
from mongo_dr_console.agent.duty import Duty, Post, Term
from mongo_dr_console.agent.orders import Orders
from mongo_dr_console.agent.profile import ProfileAgent
from mongo_dr_console.config import AgentConfig, Profile
from mongo_dr_console.workers.agentplace import identity_file


class Noted:
    """A duty that keeps what is done with it."""

    name = "noted"

    def __init__(self, post: Post) -> None:
        self.post, self.done = post, list[str]()

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")
        assert not self.post.term.holds()

    def join(self, seconds: float) -> bool:
        self.done.append("join")
        return True


class Scene:
    def __init__(self, tmp_path: Path) -> None:
        self.now = 100.0
        self.made: list[Noted] = []
        self.told: list[str] = []
        self._path = tmp_path
        self.watch = AloneWatch(self._make, lambda: self.now)

    def waits(self, fence: int = 0) -> None:
        self.watch.waits(self._post, fence)

    def _make(self, post: Post) -> Sequence[Duty]:
        self.made.append(Noted(post))
        return [self.made[-1]]

    def _post(self, term: Term) -> Post:
        profile = Profile.model_validate({"uri": "mongodb://h/"})
        return Post("test", profile, self._path / "config.toml", AgentConfig(), term, self.told.append)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_it_begins_once_after_a_while(scene: Scene) -> None:
    scene.waits()
    scene.now += AFTER_SECONDS - 0.1
    scene.waits()
    assert scene.made == []
    scene.now += 0.1
    scene.waits(7)
    scene.waits(7)
    (duty,) = scene.made
    assert duty.done == ["start"] and duty.post.term.fence == 7 and duty.post.term.holds()
    assert scene.told == ["watches for alerts by itself, since no lease can be had"]


def test_it_ends_before_anybody_leads_and_begins_anew_after_a_while(scene: Scene) -> None:
    scene.waits()
    scene.now += AFTER_SECONDS
    scene.waits()
    scene.watch.over()
    assert scene.made[0].done == ["start", "stop", "join"]
    scene.waits()
    assert len(scene.made) == 1
    scene.now += AFTER_SECONDS
    scene.waits()
    assert len(scene.made) == 2


def test_a_short_silence_is_none(scene: Scene) -> None:
    scene.waits()
    scene.now += AFTER_SECONDS - 1
    scene.watch.over()
    scene.now += 2
    scene.waits()
    assert scene.made == []


@contextmanager
def agent(orders: Orders, tell: Callable[[str], None]) -> Iterator[ProfileAgent]:
    found = ProfileAgent(orders, tell)
    found.start()
    try:
        yield found
    finally:
        found.stop()
        found.join(60)


def test_an_agent_whose_lease_cannot_be_had_tells_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is dead and the deployment too: that is told, by the agent alone."""
    monkeypatch.setattr(alone, "AFTER_SECONDS", 0.0)
    arrived = tmp_path / "arrived"
    program = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    facts: dict[str, Any] = {
        "uri": "mongodb://127.0.0.1:1/?replicaSet=rs0",
        "access": "operate",
        "state_dir": str(tmp_path / "state"),
        "stores": {"s3": {"type": "s3", "bucket": "b", "endpoint": "http://127.0.0.1:1"}},
        "alerts": {"command": [sys.executable, "-c", program, str(arrived)], "start_after": "0s"},
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    profile = Profile.model_validate(facts)
    remembered = identity_file("test", profile)
    remembered.parent.mkdir(parents=True)
    remembered.write_text(HERE.model_dump_json())
    heard = threading.Event()

    def tell(text: str) -> None:
        if "by itself" in text:
            heard.set()

    with agent(Orders("test", profile, tmp_path / "config.toml", AgentConfig()), tell):
        assert heard.wait(60)
        kinds: set[str] = set()
        wait = threading.Event()
        for _ in range(600):
            lines = arrived.read_text().splitlines() if arrived.exists() else []
            kinds = {json.loads(line)["kind"] for line in lines if line.strip()}
            if "store-unreachable" in kinds:
                break
            wait.wait(0.1)
        assert "store-unreachable" in kinds
