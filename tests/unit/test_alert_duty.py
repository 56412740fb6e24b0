"""The duty that watches: messages go once, also when leaders change, the store hangs or a way is dead."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.listeners import http_listener
from support.readingkit import HERE, LIMITS, NOW, member, reading, readings, set_status
from support.scene import files_in

from mongo_dr_console.agent.alerting import AlertDuty
from mongo_dr_console.agent.duty import Post, Term
from mongo_dr_console.config import AgentConfig, Profile
from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.alertfacts import AlertFacts, alerts_document
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import Failed, Refused, Unreachable, WrongUse
from mongo_dr_console.model.verdict import verdict
from mongo_dr_console.stores.agents_store import Shared, agents_store, deployment_folder
from mongo_dr_console.stores.alert_orders import AlertPlace
from mongo_dr_console.workers import agentplace, alertmemory
from mongo_dr_console.workers.agentplace import identity_file, own_place
from mongo_dr_console.workers.alerting import acknowledge, known_alerts, silence, unsilence
from mongo_dr_console.workers.alertstate import facts_file, read_facts, rules_of, write_facts
from mongo_dr_console.workers.notify import ways_of
from mongo_dr_console.workers.recordings import last_of, read_recording, recordings_folder

FOLDER = deployment_folder(HERE)


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment does not answer: it is known from before."""
    monkeypatch.setattr(agentplace, "_asked", lambda _: None)


class Phone:
    """A way that keeps what it is given."""

    name = "phone"

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.dead = False
        self.tried = threading.Semaphore(0)

    def send(self, message: Message, seconds: float) -> None:
        try:
            if self.dead:
                raise Failed("alert-not-sent", "No line.")
            self.got.append(message)
        finally:
            self.tried.release()

    def wait(self) -> None:
        assert self.tried.acquire(timeout=30)

    @property
    def events(self) -> list[str]:
        return [m.event for m in self.got]


class Scene:
    """An agent that takes its steps when the test says so, on a clock of its own."""

    def __init__(self, tmp_path: Path, **profile: Any) -> None:
        (tmp_path / "store").mkdir(exist_ok=True)
        others = {kind: {"on": False} for kind in Kind if kind is not Kind.OPLOG_LAG}
        alerts = {"repeat": "10m", "kinds": others, **profile.pop("alerts", {})}
        facts: dict[str, Any] = {
            "alerts": alerts,
            "uri": "mongodb://h/",
            "access": "operate",
            "state_dir": str(tmp_path / "state"),
            "stores": {"local": {"type": "local", "path": str(tmp_path / "store")}},
        }
        self.profile = Profile.model_validate(facts | profile)
        self.now = NOW
        self.phone = Phone()
        self.told: list[str] = []
        self.config = tmp_path / "config.toml"
        file = identity_file("test", self.profile)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HERE.model_dump_json())
        self.duty = self.agent()

    def agent(self, fence: int = 1) -> AlertDuty:
        return AlertDuty(self.post(Term(fence)), ways=[self.phone], sources={}, clock=lambda: self.now)

    def post(self, term: Term) -> Post:
        store = agents_store(self.profile)
        shared = own_place("test", self.profile) if store is None else Shared(store, FOLDER)
        return Post("test", self.profile, self.config, AgentConfig(), term, self.told.append, shared)

    def see(self, lag: float, seconds: float = 5, *, sent: int = 0, duty: AlertDuty | None = None) -> None:
        """Steps of five seconds; waits for what is sent in them."""
        duty = duty or self.duty
        for _ in range(int(seconds / 5)):
            self.now += timedelta(seconds=5)
            duty.readings = lagging(lag, self.now)
            duty.step()
        for _ in range(sent):
            self.phone.wait()
        settle(duty)

    @property
    def shared(self) -> AlertPlace:
        store = agents_store(self.profile)
        assert store is not None
        return AlertPlace(store, FOLDER)


def lagging(seconds: float, now: datetime) -> Readings:
    status = set_status(member("a:1", "PRIMARY"), member("b:1", lag_seconds=seconds))
    return readings(set=reading("set", status, taken_at=now, tried_at=now))


def settle(duty: AlertDuty) -> None:
    for sender in duty._senders.values():
        sender.join(30)
    duty._remember()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_message_goes_once_and_is_remembered_here_and_in_the_store(scene: Scene) -> None:
    scene.see(70, 60, sent=1)
    assert scene.phone.events == ["start"] and scene.phone.got[0].subject == "b:1"
    assert scene.phone.got[0].set_name == "rs0"
    own, shared = read_facts("test", scene.profile), scene.shared.read_facts()
    assert own is not None and shared is not None
    for facts in (own, shared):
        (alert,) = facts.running_alerts
        assert alert.told is Level.CRITICAL and facts.outbox == () and facts.ways[0].sent == 1


def test_the_next_leader_tells_nobody_twice_and_tells_the_end(scene: Scene) -> None:
    scene.see(70, 60, sent=1)
    facts_file("test", scene.profile).unlink()  # another host
    second = scene.agent(fence=2)
    scene.see(70, 60, duty=second)
    assert scene.phone.events == ["start"]
    scene.see(0, 120, sent=1, duty=second)
    assert scene.phone.events == ["start", "end"]


def test_without_the_memory_it_would_be_told_twice(scene: Scene) -> None:
    scene.see(70, 60, sent=1)
    facts_file("test", scene.profile).unlink()
    (scene.shared.store.root / f"{FOLDER}alerts.json").unlink()  # type: ignore[attr-defined]
    scene.see(70, 60, sent=1, duty=scene.agent(fence=2))
    assert scene.phone.events == ["start", "start"]


def test_what_was_written_by_the_later_leader_counts_whatever_the_clocks_say(scene: Scene) -> None:
    scene.see(70, 60, sent=1)
    old = scene.shared.read_facts()
    assert old is not None
    fresh = AlertFacts(profile="test", host="b", pid=1, fence=9, written_at=NOW - timedelta(days=1))
    scene.shared.write_facts(fresh)
    third = scene.agent(fence=10)
    scene.see(0, 5, duty=third)
    assert third.facts.state.alerts == ()


def test_a_way_that_is_dead_is_tried_again_and_nothing_is_lost(scene: Scene) -> None:
    scene.phone.dead = True
    scene.see(70, 35, sent=1)
    (way,) = scene.duty.facts.ways
    assert way.trouble is not None and way.failed == 1 and len(scene.duty.facts.outbox) == 1
    assert [t for t in scene.told if "No line." in t]
    scene.phone.dead = False
    third = scene.agent(fence=2)  # the next leader sends what this one could not
    scene.see(0, 120, sent=2, duty=third)
    assert scene.phone.events == ["start", "end"] and third.facts.ways[0].trouble is None


def test_a_term_that_ended_sends_and_writes_nothing(scene: Scene) -> None:
    scene.see(70, 25)
    scene.duty._post.term.ended.set()
    scene.see(70, 60)
    assert scene.phone.got == []
    shared = scene.shared.read_facts()
    assert shared is not None and not shared.running_alerts


def test_what_is_taken_up_or_silenced_on_any_host_is_heard(scene: Scene) -> None:
    scene.see(70, 60, sent=1)
    alert, where = acknowledge("test", scene.profile, scene.duty.facts.running_alerts[0].id[:5])
    assert where == "local" and alert.subject == "b:1"
    scene.see(70, 1500)
    assert scene.phone.events == ["start"], "nothing is repeated"
    assert scene.duty.facts.running_alerts[0].acked_by is not None
    # The agent's own clock stands in the past of the silence.
    made, _ = silence("test", scene.profile, "oplog-lag", timedelta(days=9999), "maintenance")
    scene.see(0, 120)
    assert scene.phone.events == ["start"] and scene.duty.facts.state.silences == (made,)
    assert unsilence("test", scene.profile, "oplog-lag")[0] == [made.id]
    scene.see(0, 5, sent=1)
    assert scene.phone.events == ["start", "end"]
    scene.see(0, 5)
    assert scene.shared.read_orders().acks == (), "what says nothing any more is removed"


def test_only_who_may_operate_orders_anything(scene: Scene) -> None:
    watching = scene.profile.model_copy(update={"access": "watch"})
    for order in (
        lambda: acknowledge("test", watching, "a"),
        lambda: silence("test", watching, "all"),
        lambda: unsilence("test", watching, "all"),
    ):
        with pytest.raises(Refused):
            order()
    with pytest.raises(WrongUse):
        acknowledge("test", scene.profile, "a")
    with pytest.raises(WrongUse):
        silence("test", scene.profile, "nonsense")
    with pytest.raises(WrongUse):
        unsilence("test", scene.profile, "all")


def test_who_only_watches_tells_people_and_leaves_the_store_alone(scene: Scene, tmp_path: Path) -> None:
    """It hears what is ordered there, takes over nothing that a leader remembers, and writes nothing."""
    scene.see(70, 60, sent=1)
    acknowledge("test", scene.profile, scene.duty.facts.running_alerts[0].id)
    silence("test", scene.profile, "all", timedelta(days=9999))
    lying = files_in(tmp_path / "store")
    watching = scene.profile.model_copy(update={"access": "watch", "state_dir": tmp_path / "watching"})
    post = dataclasses.replace(scene.post(Term()), profile=watching)
    phone = Phone()
    duty = AlertDuty(post, ways=[phone], sources={}, clock=lambda: scene.now)
    scene.see(70, 60, duty=duty)
    (alert,) = duty.facts.running_alerts
    assert alert.began_at > scene.duty.facts.running_alerts[0].began_at and phone.got == []
    scene.see(0, 120, duty=duty)
    assert files_in(tmp_path / "store") == lying
    unsilence("test", scene.profile, "all")
    for lag in (70, 0):
        scene.see(lag, 120, duty=duty)
        phone.wait()
    assert phone.events == ["start", "end"]


def test_whoever_lives_is_shown_before_a_leader_that_is_gone(scene: Scene) -> None:
    def wrote(host: str, fence: int, ago: float, **more: Any) -> AlertFacts:
        written = datetime.now(UTC) - timedelta(seconds=ago)
        return AlertFacts(profile="test", host=host, pid=1, fence=fence, written_at=written, **more)

    own = facts_file("test", scene.profile)
    write_facts(own, wrote("watching", 0, 1))
    for leader, shown in (
        (wrote("leading", 5, 2), "leading"),
        (wrote("leading", 5, 2, running=False), "watching"),
        (wrote("leading", 5, 9999), "watching"),
    ):
        scene.shared.write_facts(leader)
        facts = known_alerts("test", scene.profile)
        assert facts is not None and facts.host == shown


def test_a_store_that_is_gone_holds_nothing_back(scene: Scene, tmp_path: Path) -> None:
    scene.see(70, 60, sent=1)
    store = tmp_path / "store"
    store.rename(tmp_path / "gone")
    made, where = silence("test", scene.profile, "all", timedelta(days=9999))
    assert where == "here"
    scene.see(0, 120)
    assert scene.phone.events == ["start"] and scene.duty.facts.store_trouble is not None
    assert [t for t in scene.told if "there is no folder" in t]
    assert not store.exists(), "nothing is written beneath a disk that is not mounted"
    (tmp_path / "gone").rename(store)
    unsilence("test", scene.profile, made.id)
    scene.see(0, 5, sent=1)
    assert scene.phone.events == ["start", "end"] and scene.duty.facts.store_trouble is None


def test_a_silence_stands_while_the_store_that_has_it_is_gone(scene: Scene, tmp_path: Path) -> None:
    scene.see(70, 60, sent=1)
    assert silence("test", scene.profile, "all", timedelta(days=9999))[1] == "local"
    scene.see(70, 5)
    (tmp_path / "store").rename(tmp_path / "gone")
    scene.see(0, 120)
    assert scene.phone.events == ["start"] and len(scene.duty.facts.state.silences) == 1


def test_what_the_leader_before_wrote_is_never_written_over_unread(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.see(70, 60, sent=1)
    facts_file("test", scene.profile).unlink()
    read = AlertPlace.read_facts

    def unreadable(_: AlertPlace) -> Any:
        raise Unreachable("store-missing", "Not now.")

    monkeypatch.setattr(AlertPlace, "read_facts", unreadable)
    second = scene.agent(fence=2)
    scene.see(70, 20, duty=second)
    monkeypatch.setattr(AlertPlace, "read_facts", read)
    shared = scene.shared.read_facts()
    assert shared is not None and shared.fence == 1
    scene.see(70, 60, duty=second)
    assert scene.phone.events == ["start"]


def test_a_store_that_hangs_holds_nothing_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.see(0, 5)
    let_go = threading.Event()
    monkeypatch.setattr(alertmemory, "_STORE_SECONDS", 0.05)

    def hang(*_: Any) -> Any:
        let_go.wait(60)
        raise Unreachable("x", "x")

    own = AlertPlace.read_orders
    shared = lambda place: hang() if place.store.name == "local" else own(place)  # noqa: E731
    monkeypatch.setattr(AlertPlace, "read_orders", shared)
    scene.see(70, 60, sent=1)
    let_go.set()
    assert scene.phone.events == ["start"] and scene.duty.facts.store_trouble is not None


def test_a_store_that_answers_later_brings_what_the_leader_before_told(scene: Scene, tmp_path: Path) -> None:
    scene.see(70, 60, sent=1)
    facts_file("test", scene.profile).unlink()
    (tmp_path / "store").rename(tmp_path / "gone")
    second = scene.agent(fence=2)
    scene.see(70, 20, duty=second)
    (tmp_path / "gone").rename(tmp_path / "store")
    scene.see(70, 60, duty=second)
    assert scene.phone.events == ["start"]


def test_a_profile_without_stores_remembers_on_this_host(tmp_path: Path) -> None:
    scene = Scene(tmp_path, stores={})
    scene.see(70, 60, sent=1)
    made, where = silence("test", scene.profile, "all", timedelta(days=9999))
    assert where == "here"
    second = scene.agent(fence=2)
    scene.see(0, 120, duty=second)
    assert scene.phone.events == ["start"] and second.facts.state.silences == (made,)


def test_it_is_seen_that_nobody_watches_and_that_nothing_is_sent(scene: Scene) -> None:
    scene.phone.dead = True
    scene.see(70, 60, sent=1)
    facts = known_alerts("test", scene.profile)
    assert facts is not None

    def codes(now: datetime) -> set[str]:
        seen = readings(alerts=reading("alerts", facts))
        return {f.code for f in verdict(seen, LIMITS, now).facts if f.code.startswith("alert")}

    assert codes(scene.now) == {"alerts-not-sent"}
    assert codes(scene.now + timedelta(minutes=4)) == {"alerts-unwatched"}
    document = alerts_document("test", facts, scene.now + timedelta(minutes=4))
    assert (
        not document.agent_running
        and document.waiting == 1
        and [a.subject for a in document.alerts] == ["b:1"]
    )
    assert alerts_document("test", None, scene.now).agent is None


def test_the_profile_says_when_messages_are_sent(tmp_path: Path) -> None:
    kinds = {
        "failover": {"end_after": "5s"},
        "rto": {"on": False},
        "rpo": {"start_after": "9s", "repeat": "0s"},
    }
    rules = rules_of(
        Scene(tmp_path, alerts={"kinds": kinds, "start_after": "40s", "clear_at": "80%"}).profile
    )
    seconds = {
        kind: (rules.of(kind).start_after.total_seconds(), rules.of(kind).end_after.total_seconds())
        for kind in (Kind.CANARY, Kind.FAILOVER, Kind.RPO)
    }
    assert seconds == {Kind.CANARY: (40, 60), Kind.FAILOVER: (0, 5), Kind.RPO: (9, 60)}
    assert not rules.of(Kind.RTO).on and rules.of(Kind.RPO).repeat == timedelta(0) and rules.clear_at == 0.8


def test_it_runs_as_a_duty_and_ends_in_order(tmp_path: Path) -> None:
    """In its own thread, with a source of its own and a real listener."""
    with http_listener() as (web, posted):
        urls = tmp_path / "urls"
        urls.write_text(f"json://{web}/\n")
        alerts = {"urls_file": str(urls), "start_after": "0s", "end_after": "0s"}
        scene = Scene(tmp_path, alerts=alerts)
        source = _Set()
        duty = AlertDuty(scene.post(Term()), sources={"set": source}, every=0.05)
        assert [way.name for way in ways_of(scene.profile, None)] == ["json-1"]
        duty.start()
        (start,) = [d for d in posted.wait_for(1) if "oplog-lag" in d["title"]]
        source.lag = 0.0
        found = posted.wait_for(2)
        duty.stop()
        assert duty.join(30)
    assert start["title"] == "[CRITICAL] development/rs0: oplog-lag b:1"
    assert found[1]["title"] == "[OVER] development/rs0: oplog-lag b:1"
    facts = read_facts("test", scene.profile)
    assert facts is not None and not facts.running and facts.outbox == ()
    run = last_of([recordings_folder(scene.profile) / "test"], "agent")
    lags = [r.reading.value.members[1].lag_seconds for r in read_recording(run).readings]
    assert lags[0] > 0 and lags[-1] == 0.0
    assert [t for t in scene.told if t.startswith("alert start: [CRITICAL]")]


class _Set:
    name, interval, timeout = "set", 0.0, 5.0
    lag = 100.0

    async def read(self) -> tuple[Any, str]:
        status = lagging(self.lag, NOW).set
        assert status is not None and status.value is not None
        return replace(status.value), "a:1"
