"""The run-book with hands that a test holds: order, retries, a kill at every moment, a leader that is none
any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.config import Profile
from mongo_dr_console.model.failover import Decision, Leader, Standing
from mongo_dr_console.model.failoverdoc import (
    STEPS,
    EndpointContent,
    FailoverRecord,
    LostWrites,
    check_order,
)
from mongo_dr_console.model.trouble import Failed, Refused, Unreachable
from mongo_dr_console.workers import failover_run
from mongo_dr_console.workers.failover_run import Ended, Hands, Run, new_record
from mongo_dr_console.workers.failover_state import FailoverFiles, send_unsent, settle

A, B, C = Leader("a:1", 5), Leader("b:1", 6), Leader("c:1", 7)
NOTHING = LostWrites(text="Nothing is lost.", complete=True, kept_through="1:1", last_seen=None, seconds=None)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Kept:
    """An endpoint in memory."""

    kind: str = "file"
    where: str = "the endpoint"
    content: EndpointContent | None = None
    written: list[EndpointContent] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    def read(self) -> EndpointContent | None:
        return self.content

    def write(self, content: EndpointContent, *, force: bool = False) -> None:
        if self.fails:
            raise self.fails.pop(0)
        if not force:
            check_order(self.content, content)
        self.content = content
        self.written.append(content)

    def by_hand(self, content: EndpointContent) -> str:
        return f"write {content.primary}"


@dataclass
class World:
    """What a run-book acts on."""

    leader: Leader | None = B
    standing: Standing = Standing.FINE
    advice: str = ""
    endpoint: Kept | None = field(default_factory=Kept)
    sent: list[str] = field(default_factory=list)
    unsent: list[Exception] = field(default_factory=list)
    unproved: list[Exception] = field(default_factory=list)
    saved: list[FailoverRecord] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    proved: list[Leader] = field(default_factory=list)
    term_ended: bool = False
    on_wait: Callable[[], None] = lambda: None
    on_save: Callable[[int], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    paused: bool = False

    # Watching

    def decision(self, known: Leader | None) -> Decision:
        moved = self.leader is not None and known is not None and self.leader.term > known.term
        return Decision(self.standing, self.leader, moved, "as it is", self.advice)

    def wait(self, seconds: float) -> None:
        self.on_wait()

    # Broadcaster

    kind = "file"
    where = "the broadcast"

    def send(self, message: str) -> None:
        if self.unsent:
            raise self.unsent.pop(0)
        self.sent.append(message)

    def save(self, record: FailoverRecord) -> None:
        self.on_save(len(self.saved))
        self.saved.append(record)

    def prove(self, leader: Leader) -> None:
        if self.unproved:
            raise self.unproved.pop(0)
        self.proved.append(leader)

    def hands(self, **changes: Any) -> Hands:
        profile = Profile.model_validate(
            {
                "uri": "mongodb://h/",
                "access": "restore",
                "endpoint": {"type": "file", "path": "/nowhere", "tries": 2},
                "broadcast": {"type": "file", "path": "/nowhere", "tries": 2},
            }
        )
        made = Hands(
            profile=profile,
            by="ops@here",
            fence=4,
            set_name=lambda: "rs",
            watching=self,
            prove=self.prove,
            endpoint=self.endpoint,
            broadcast=self,
            compare=lambda former, seen, leader: NOTHING,
            last_seen=lambda member: "1:2",
            save=self.save,
            tell=self.told.append,
            holds=lambda: not self.term_ended,
            stop=self.stop,
            paused=lambda: self.paused,
        )
        return replace(made, **changes)

    def run(self, record: FailoverRecord | None = None, **changes: Any) -> FailoverRecord:
        hands = self.hands(**changes)
        return Run(hands, record or new_record("test", hands, "unreachable", A, "a:1 is gone")).run()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_run, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(failover_run, "_AGAIN_SECONDS", 0.001)


def states(record: FailoverRecord) -> list[str]:
    return [s.state for s in record.steps]


def test_all_goes_well() -> None:
    world = World()
    record = world.run()
    assert record.state == "done" and record.lost == NOTHING
    assert states(record) == ["done"] * len(STEPS)
    assert world.endpoint is not None and world.endpoint.content is not None
    assert world.endpoint.content.leader == B and world.endpoint.content.fence == 4
    (message,) = world.sent
    assert f'"id": "{record.id}"' in message and '"former": "a:1"' in message
    assert world.told[0].endswith("a:1 is gone") and "b:1 leads in term 6" in world.told[-1]


def test_a_kill_at_any_moment_is_gone_on_from() -> None:
    """Whatever was written down last, the run-book ends the same; the endpoint is never written twice."""
    whole = World()
    whole.run()
    for moment in range(len(whole.saved)):
        world = World()

        def die(count: int, moment: int = moment) -> None:
            if count == moment:
                raise Killed

        world.on_save = die
        with pytest.raises(Killed):
            world.run()
        world.on_save = lambda _: None
        left = world.saved[-1] if world.saved else None
        record = world.run(left)
        assert record.state == "done", moment
        assert states(record) == ["done"] * len(STEPS)
        assert world.endpoint is not None and len(world.endpoint.written) == 1, moment
        assert 1 <= len(world.sent) <= 2
        assert all(world.endpoint.written[0].leader == B for _ in world.sent)


def test_nothing_is_sent_before_the_endpoint_says_it() -> None:
    world = World()
    assert world.endpoint is not None
    world.endpoint.fails = [Failed("x", "The disk is full.")] * 3
    seen: list[tuple[int, str]] = []
    world.on_wait = lambda: seen.append((len(world.sent), world.saved[-1].step("endpoint").manual))
    record = world.run()
    assert record.state == "done" and record.step("endpoint").attempts == 4
    assert {sent for sent, _ in seen} == {0}
    assert "write b:1" in {manual for _, manual in seen}
    assert (
        sum("endpoint does not succeed: The disk is full. By hand: write b:1" in t for t in world.told) == 1
    )
    assert record.step("endpoint").manual == "" and record.stuck is None


def test_a_broadcast_that_fails_leaves_the_step_by_hand_and_goes_on() -> None:
    world = World(unsent=[Unreachable("x", "It does not answer.")] * 2)
    record = world.run()
    assert record.state == "failed" and states(record)[-3:] == ["failed", "done", "done"]
    assert record.stuck is not None and "connect to b:1 anew" in record.stuck.manual
    assert "one step is to be taken by hand" in world.told[-1]


def test_what_is_refused_is_not_tried_again_at_once() -> None:
    world = World(unsent=[Refused("webhook-url", "No URL.")])
    record = world.run()
    assert record.step("broadcast").attempts == 1 and world.sent == []


def test_a_member_that_proves_nothing_is_never_led_to() -> None:
    world = World(unproved=[Unreachable("primary-unproved", "No majority.")] * 9)

    def elect_another() -> None:
        if len(world.unproved) == 1:
            world.leader, world.unproved = C, []

    world.on_wait = elect_another
    record = world.run()
    assert world.endpoint is not None
    assert [c.leader for c in world.endpoint.written] == [C] and world.proved == [C]
    assert (record.to, record.to_term) == ("c:1", 7)


def test_a_primary_that_is_overtaken_after_its_proof_is_not_led_to() -> None:
    world = World()
    hands = world.hands()

    def prove(leader: Leader) -> None:
        world.proved.append(leader)
        world.leader = C

    record = Run(
        replace(hands, prove=prove), new_record("test", hands, "unreachable", A, "a:1 is gone")
    ).run()
    assert world.endpoint is not None
    assert [c.leader for c in world.endpoint.written] == [C] and world.proved == [B, C]
    assert record.state == "done"
    assert not [r for r in world.saved if r.to == "b:1" and r.step("verify").state == "done"]


def test_a_primary_that_comes_back_in_its_term_is_left_alone() -> None:
    world = World(leader=A)
    record = world.run()
    assert record.state == "superseded" and world.sent == []
    assert world.endpoint is not None and world.endpoint.written == []
    assert states(record)[1:] == ["skipped"] * 6


def test_an_endpoint_that_is_from_a_higher_term_stays() -> None:
    world = World()
    assert world.endpoint is not None
    world.run()
    newer = world.endpoint.content
    assert newer is not None
    world.endpoint.content = newer.model_copy(update={"primary": "z:1", "term": 9})
    world.on_wait = world.stop.set
    with pytest.raises(Ended):
        world.run()
    assert world.endpoint.content.primary == "z:1"
    trouble = world.saved[-1].step("endpoint").trouble
    assert trouble is not None and trouble.code == "endpoint-lower-term"


def test_one_that_leads_no_more_does_nothing_outside() -> None:
    whole = World()
    whole.run()
    for moment in range(len(whole.saved) - 1):
        world = World()
        done: list[tuple[int, int]] = []

        def acts(world: World = world) -> tuple[int, int]:
            assert world.endpoint is not None
            return len(world.endpoint.written), len(world.sent)

        def end(count: int, moment: int = moment, world: World = world, done: Any = done) -> None:
            if count == moment:
                world.term_ended = True
                done.append(acts(world))

        world.on_save = end
        with suppress(Ended):
            world.run()
        assert [acts()] == done, moment


def test_a_term_that_ends_while_the_endpoint_is_read_writes_nothing() -> None:
    world = World()
    assert world.endpoint is not None

    class Slow(Kept):
        def read(self) -> EndpointContent | None:
            world.term_ended = True
            return None

    slow = Slow()
    with pytest.raises(Ended):
        world.run(endpoint=slow)
    assert slow.written == []


def test_a_primary_that_is_overtaken_right_before_the_endpoint_is_not_led_to() -> None:
    world = World()

    def overtake(_: int) -> None:
        if world.saved and world.saved[-1].step("endpoint").state == "running":
            world.leader = C

    world.on_save = overtake
    record = world.run()
    assert world.endpoint is not None
    assert [c.leader for c in world.endpoint.written] == [C] and record.to == "c:1"
    assert world.proved == [B, C]


def test_a_pause_holds_the_endpoint_and_a_resume_lets_it_go() -> None:
    world = World(paused=True)
    waits: list[int] = []

    def resume() -> None:
        assert world.endpoint is not None
        waits.append(len(world.endpoint.written))
        world.paused = len(waits) < 3

    world.on_wait = resume
    record = world.run()
    assert record.state == "done" and waits == [0, 0, 0]


def test_without_a_majority_the_advice_is_told_once() -> None:
    world = World(leader=None, standing=Standing.NO_MAJORITY, advice="Start a:1.")
    waits: list[str] = []

    def come_back() -> None:
        waits.append(world.saved[-1].step("election").manual)
        if len(waits) == 5:
            world.leader, world.standing, world.advice = B, Standing.FINE, ""

    world.on_wait = come_back
    record = world.run()
    assert waits == ["Start a:1."] * 5
    assert sum("Start a:1." in t for t in world.told) == 1
    assert record.state == "done" and record.step("election").manual == ""


def test_by_hand_a_step_that_fails_ends_it_and_nothing_is_half_switched() -> None:
    world = World(unproved=[Unreachable("primary-unproved", "No majority.")] * 9)
    record = world.run(insists=False)
    assert record.state == "failed" and record.step("endpoint").state == "waiting"
    assert world.endpoint is not None and world.endpoint.written == [] and world.sent == []


def test_without_endpoint_and_broadcast_it_is_watched_and_written_down() -> None:
    world = World(endpoint=None)
    record = world.run(broadcast=None)
    assert record.state == "done"
    assert states(record) == ["done", "done", "done", "skipped", "skipped", "done", "done"]


def test_what_ended_is_kept_until_a_store_takes_it(tmp_path: Path) -> None:
    record = World().run()
    files = FailoverFiles(tmp_path / "state")
    settle(files, record)
    store = tmp_path / "not-there-yet" / "store"
    blocked = tmp_path / "not-there-yet"
    blocked.write_text("a file where a folder must be")
    profile = Profile.model_validate(
        {
            "uri": "mongodb://h/",
            "access": "operate",
            "stores": {"local": {"type": "local", "path": str(store)}},
        }
    )
    assert send_unsent(profile, files) == 1
    blocked.unlink()
    store.mkdir(parents=True)
    assert send_unsent(profile, files) == 0
    assert len(list((store / "ledger" / "failovers").glob("*.json"))) == 1
    assert files.read(files.last, FailoverRecord) == record
