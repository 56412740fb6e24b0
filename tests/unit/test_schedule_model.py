"""When runs are due and whether they begin: time zones, downtime, jitter, windows, overlap, and that none is
run twice."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mongo_dr_console.agent.duty import Post, Shared, Term
from mongo_dr_console.agent.scheduling import OneKind
from mongo_dr_console.config import AgentConfig, Profile
from mongo_dr_console.model.runs import Began, Ended
from mongo_dr_console.model.schedule import (
    Decision,
    Entry,
    Hold,
    Kind,
    Skip,
    Start,
    Wait,
    Window,
    decide,
    stamp,
)
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.runs import Runs
from mongo_dr_console.workers.scheduled import REQUEST

NIGHT = Entry("prod", "backup", "0 2 * * *")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_run_is_due_at_its_minute_and_once() -> None:
    last = at("2026-11-29 02:00")
    assert decide(NIGHT, at("2026-11-30 01:59:59"), last) == Wait(at("2026-11-30 02:00"))
    assert decide(NIGHT, at("2026-11-30 02:00"), last) == Start(at("2026-11-30 02:00"))
    assert decide(NIGHT, at("2026-11-30 02:00"), at("2026-11-30 02:00")) == Wait(at("2026-12-01 02:00"))


def test_after_a_downtime_one_run_catches_up_and_says_for_how_many() -> None:
    found = decide(NIGHT, at("2026-11-30 09:00"), at("2026-11-26 02:00"))
    assert found == Start(at("2026-11-30 02:00"), missed=3)


@pytest.mark.parametrize(
    ("expression", "after", "dues"),
    [
        # 02:30 does not exist on that Sunday: it is made up for at 03:00, and once.
        ("30 2 * * *", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        # 02:30 comes twice on that one: the first counts.
        ("30 2 * * *", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        # What is due each hour has one more, and one less.
        ("0 * * * *", "2026-10-24 23:30", ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"]),
        ("0 * * * *", "2026-03-28 23:30", ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"]),
    ],
)
def test_when_clocks_change_nothing_is_due_twice_or_left_out(
    expression: str, after: str, dues: list[str]
) -> None:
    entry = Entry("prod", "backup", expression, "Europe/Berlin")
    moment, found = at(after), []
    for _ in dues:
        following = entry.due_after(moment)
        assert following is not None and entry.due_by(following) == following
        assert entry.due_by(following - timedelta(seconds=1)) != following
        found.append(following)
        moment = following
    assert found == [at(due) for due in dues]


def test_jitter_is_the_same_for_the_same_run_and_within_its_bound() -> None:
    entry = Entry("prod", "backup", "0 * * * *", jitter=timedelta(minutes=10))
    dues = [at("2026-11-30 00:00") + timedelta(hours=n) for n in range(200)]
    late = [(entry.begins(due) - due).total_seconds() for due in dues]
    assert late == [(entry.begins(due) - due).total_seconds() for due in dues]
    assert min(late) >= 0 and max(late) <= 600 and len(set(late)) > 100
    other = Entry("test", "backup", "0 * * * *", jitter=timedelta(minutes=10))
    assert late != [(other.begins(due) - due).total_seconds() for due in dues]
    due = next(d for d, seconds in zip(dues, late, strict=True) if seconds > 1)
    before = due - timedelta(hours=1)
    assert decide(entry, due, before) == Wait(entry.begins(due))
    assert decide(entry, entry.begins(due), before) == Start(due)


def test_jitter_reaches_its_bound_and_not_beyond() -> None:
    entry = Entry("prod", "backup", "0 * * * *", jitter=timedelta(seconds=2))
    dues = [at("2026-11-30 00:00") + timedelta(hours=n) for n in range(60)]
    assert {(entry.begins(due) - due).total_seconds() for due in dues} == {0, 1, 2}


def test_a_closed_window_holds_a_run_until_it_opens() -> None:
    entry = Entry("prod", "backup", "0 2 * * *", "Europe/Berlin", window=Window.parse("03:00-05:00"))
    last = at("2026-11-29 01:00")
    held = decide(entry, at("2026-11-30 01:30"), last)
    assert held == Hold(at("2026-11-30 01:00"), "the window 03:00-05:00 is closed")
    assert decide(entry, at("2026-11-30 02:00"), last) == Start(at("2026-11-30 01:00"))


def test_what_is_held_until_the_next_is_due_is_skipped_with_the_reason() -> None:
    last, reason = at("2026-11-28 02:00"), "the deployment has no primary"
    held = decide(NIGHT, at("2026-11-29 02:00"), last, None, lambda: reason)
    assert held == Hold(at("2026-11-29 02:00"), reason)
    assert decide(NIGHT, at("2026-11-29 20:00"), last, held) == Start(at("2026-11-29 02:00"))
    assert decide(NIGHT, at("2026-11-30 02:00"), last, held) == Skip(at("2026-11-29 02:00"), reason)
    assert decide(NIGHT, at("2026-11-30 02:00"), at("2026-11-29 02:00"), held) == Start(
        at("2026-11-30 02:00")
    )


@pytest.mark.parametrize("text", ["2:00-5:00", "25:00-05:00", "02:00", "02:00-02:00", ""])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        Window.parse(text)


# With a store, and leaders that die


@dataclass
class World:
    """Leaders that follow each other on one store, with jobs that live apart from them."""

    root: Path
    now: datetime
    luck: random.Random
    kind: Kind = "prune"
    against: str = ""
    fence: int = 0
    leader: OneKind | None = None
    started: list[str] = field(default_factory=list)
    worked: Counter[str] = field(default_factory=Counter)
    pending: list[str] = field(default_factory=list)
    dies: bool = False

    def runs(self) -> Runs:
        return Runs(LocalStore("local", self.root), "agent/rs0/1/")

    def lead(self) -> None:
        self.fence += 1
        profile = Profile.model_validate(
            {"uri": "mongodb://h", "access": "restore", "stores": {"l": {"type": "local", "path": "/x"}}}
        )
        shared = Shared(LocalStore("local", self.root), "agent/rs0/1/")
        post = Post("prod", profile, Path("/x"), AgentConfig(), Term(self.fence), lambda text: None, shared)
        entry = Entry("prod", self.kind, "*/10 * * * *")
        self.leader = OneKind(
            post, entry, lambda kind: self.against, lambda: self.now, self.begin, self.seconds
        )

    def seconds(self) -> float:
        return self.now.timestamp()

    def begin(self, post: Post, kind: Kind, request: dict[str, Any]) -> str:
        """The job is on its way, or the leader dies before it is."""
        if self.dies:
            raise KeyboardInterrupt
        self.started.append(str(request[REQUEST]))
        self.pending.append(str(request[REQUEST]))
        return f"job{len(self.started)}"

    def work(self) -> None:
        """Jobs begin, as ``RunRecord`` does it, and end at once."""
        for path in self.pending:
            said = self.runs().begin(path, Began(job=path, host="h", at=self.now))
            if said.job == path:
                self.worked[path] += 1
                self.runs().end(path, Ended(state="done", at=self.now))
        self.pending.clear()

    def look(self) -> Decision | None:
        try:
            return None if self.leader is None else self.leader.look()
        except KeyboardInterrupt:
            self.leader = None
            return None


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, at("2026-11-30 00:05"), random.Random(1))
    made.lead()
    made.look()
    return made


def test_what_was_due_before_there_was_a_schedule_is_nobodys(world: World) -> None:
    assert world.started == [] and isinstance(world.look(), Wait)
    world.now = at("2026-11-30 00:10")
    world.look()
    assert [path.split("/")[-2] for path in world.started] == ["20261130T001000Z"]


def test_a_leader_that_dies_after_deciding_is_seen_and_the_run_is_given_up(world: World) -> None:
    world.now, world.dies = at("2026-11-30 00:10"), True
    world.look()
    assert world.leader is None
    world.dies = False
    world.lead()
    world.look()
    (run,) = world.runs().of_kind("prune", 5)
    assert (run.state, run.due) == ("lost", world.now) and world.started == []
    # Its job comes late all the same: it finds that, and does nothing.
    world.pending.append(world.runs().path("prune", world.now, 1))
    world.work()
    assert not world.worked


def test_a_lost_backup_is_made_at_once_and_no_more_than_three_times(world: World) -> None:
    world.kind = "backup"
    world.lead()
    world.look()
    world.now = at("2026-11-30 00:10")
    for _ in range(5):
        world.dies = True
        world.look()
        world.dies = False
        world.lead()
        world.look()
        world.dies = True
        world.look()
        world.lead()
    attempts = [run.attempt for run in world.runs().of_kind("backup", 10)]
    assert attempts == [3, 2, 1]


def test_a_run_that_is_under_way_holds_the_next_which_is_then_skipped(world: World) -> None:
    world.now = at("2026-11-30 00:10")
    world.look()
    path = world.pending.pop()
    world.runs().begin(path, Began(job=path, host="elsewhere", at=world.now))
    world.now = at("2026-11-30 00:20")
    held = world.look()
    for _ in range(10):
        world.runs().sign(path)
        world.now += timedelta(seconds=60)
        world.look()
    assert isinstance(held, Hold) and "under way" in held.reason
    newest, first = world.runs().of_kind("prune", 5)
    assert (newest.state, first.state) == ("skipped", "running")
    assert "under way" in newest.reason and len(world.started) == 1


def test_a_run_of_which_nothing_is_heard_is_lost(world: World) -> None:
    world.now = at("2026-11-30 00:10")
    world.look()
    path = world.pending.pop()
    world.runs().begin(path, Began(job=path, host="elsewhere", at=world.now))
    for _ in range(12):
        world.now += timedelta(seconds=10)
        world.look()
    assert world.runs().of_kind("prune")[0].state == "lost"


def test_a_job_that_begins_while_it_is_given_up_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.now = at("2026-11-30 00:10")
    world.look()
    path = world.pending.pop()
    begin = Runs.begin

    def late(runs: Runs, at: str, document: Began) -> Began:
        begin(world.runs(), path, Began(job="0badcafe", host="h", at=world.now))
        return begin(runs, at, document)

    world.lead()
    with monkeypatch.context() as patched:
        patched.setattr(Runs, "begin", late)
        world.look()
    (run,) = world.runs().of_kind("prune", 5)
    assert (run.state, run.began and run.began.job) == ("running", "0badcafe")


def test_what_two_decide_who_both_think_that_they_lead_is_started_once(world: World) -> None:
    first = world.leader
    world.lead()
    world.look()
    world.now = at("2026-11-30 00:10")
    assert first is not None
    first.look()
    world.look()
    assert len(world.started) == 1


def test_what_is_held_is_written_down_for_others_to_see(world: World) -> None:
    world.now, world.against = at("2026-11-30 00:10"), "the deployment has no primary"
    world.look()
    held = world.runs().held("prune")
    assert held is not None and (held.due, held.reason) == (world.now, world.against)
    world.against = ""
    world.look()
    assert len(world.started) == 1


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_whoever_dies_when_no_run_is_done_twice_and_no_more_than_one_is_lost(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    luck = random.Random(seed)
    root = tmp_path_factory.mktemp("runs")
    world = World(root, at("2026-11-30 00:05"), luck)
    deaths = 0
    world.lead()
    for _ in range(70):
        world.now += timedelta(seconds=luck.choice((20, 60, 120, 300)))
        world.against = "no primary" if luck.random() < 0.1 else ""
        world.dies = luck.random() < 0.2
        had = world.leader
        world.look()
        if had is not None and world.leader is None:
            deaths += 1
        if luck.random() < 0.7:
            world.work()
        if world.leader is None and luck.random() < 0.5:
            world.lead()
        elif luck.random() < 0.05:
            world.leader = None
    assert all(count == 1 for count in world.worked.values())
    assert all(count == 1 for count in Counter(world.started).values())
    found = world.runs().of_kind("prune", 1000)
    # Each due is decided at most once, and each death between deciding and starting loses at most one.
    assert len({run.due for run in found}) == len(found)
    # (A job that began too late had been given up before, and did nothing.)
    lost = [world.runs().path("prune", run.due, 1) for run in found if run.state == "lost"]
    assert not set(lost) & set(world.worked)
    assert len(set(lost) - set(world.started)) <= deaths
    # Nothing that was due is forgotten: what was not decided was caught up for by the next.
    world.against, world.dies = "", False
    world.lead()
    for _ in range(4):
        world.now += timedelta(minutes=2)
        world.look()
        world.work()
    newest = world.runs().of_kind("prune")[0]
    assert stamp(newest.due) == stamp(Entry("p", "prune", "*/10 * * * *").due_by(world.now) or world.now)
