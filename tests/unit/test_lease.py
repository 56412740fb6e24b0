"""The lease: one leads, the number grows, and no two terms overlap whatever the clocks and pauses."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mongo_dr_console.model.lease import LEASE_SECONDS, RENEW_SECONDS, TERM_SECONDS, LeaseDocument, Patience
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.lease import Grip, Lease
from mongo_dr_console.stores.local import LocalStore

FOLDER = "agent/rs0/65a1/"


@dataclass
class Clock:
    """Of one host: starts anywhere, may run a little fast or slow."""

    start: float = 0.0
    speed: float = 1.0
    now: float = 0.0

    def __call__(self) -> float:
        return self.start + self.now * self.speed


@pytest.fixture(autouse=True)
def hosts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """All agents here are one process: told apart only by what they do, as those of different hosts are."""
    monkeypatch.setattr(owner, "_system", lambda: None)


def lease(root: Path, clock: Clock, name: str = "a") -> Lease:
    return Lease(LocalStore("local", root), FOLDER, name, clock)


def grip(found: object) -> Grip:
    assert isinstance(found, Grip)
    return found


def test_one_leads_and_the_other_is_told_who(tmp_path: Path) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock, "a").take())
    assert (first.fence, first.holds()) == (1, True)
    told = lease(tmp_path, clock, "b").take()
    assert isinstance(told, LeaseDocument)
    assert (told.profile, told.fence, told.host) == ("a", 1, os.uname().nodename)


def test_given_back_it_is_free_at_once_and_the_number_grows(tmp_path: Path) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    first.release()
    assert not first.holds()
    second = grip(lease(tmp_path, clock, "b").take())
    assert second.fence == 2 and second.holds()
    # What an older leader writes late changes nothing.
    first.lease.store.write(first.path, [first.content()])
    assert second.renew()


def test_a_leader_that_does_not_renew_is_over_before_another_takes_it(tmp_path: Path) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    other = lease(tmp_path, clock, "b")
    assert isinstance(other.take(), LeaseDocument)
    clock.now = TERM_SECONDS
    assert not first.holds() and isinstance(other.take(), LeaseDocument)
    clock.now = LEASE_SECONDS - 0.01
    assert isinstance(other.take(), LeaseDocument)
    clock.now = LEASE_SECONDS
    assert grip(other.take()).fence == 2
    # It woke up: it may not lead by what it writes now, nor later.
    assert not first.renew() and not first.holds()


def test_a_term_that_has_ended_is_never_renewed_though_nobody_took_it(tmp_path: Path) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    clock.now = TERM_SECONDS
    assert not first.renew() and not first.holds()


def test_each_renewal_is_counted_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    write = LocalStore.write

    def slow(store: LocalStore, path: str, chunks: list[bytes]) -> object:
        clock.now += 3
        return write(store, path, chunks)

    monkeypatch.setattr(LocalStore, "write", slow)
    clock.now = 2
    assert first.renew()
    assert first.until == 2 + TERM_SECONDS


def test_a_damaged_newest_document_is_waited_out_and_not_believed(tmp_path: Path) -> None:
    clock = Clock()
    store = LocalStore("local", tmp_path)
    store.write(f"{FOLDER}lease/0000000007.json", [b"{"])
    mine = lease(tmp_path, clock)
    with pytest.raises(Exception, match="cannot be understood"):
        mine.take()
    clock.now = LEASE_SECONDS
    assert grip(mine.take()).fence == 8


def test_a_process_of_this_host_that_is_gone_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    assert isinstance(lease(tmp_path, clock, "b").take(), LeaseDocument)
    gone = first.document.model_copy(update={"mark": {**first.document.mark, "started": "1"}})
    first.lease.store.write(first.path, [gone.model_dump_json(by_alias=True).encode()])
    assert grip(lease(tmp_path, clock, "b").take()).fence == 2


def test_of_two_that_take_it_at_once_one_does(tmp_path: Path) -> None:
    clock = Clock()
    other: list[object] = []

    class Racing(LocalStore):
        """The other one writes between this one's look and its write."""

        def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
            other.append(lease(tmp_path, clock, "b").take())
            return super().write_if_absent(path, chunks)

    mine = Lease(Racing("local", tmp_path), FOLDER, "a", clock).take()
    assert isinstance(mine, LeaseDocument) and mine.profile == "b"
    assert grip(other[0]).fence == 1


def test_whoever_sees_a_higher_number_leads_no_longer(tmp_path: Path) -> None:
    clock = Clock()
    first = grip(lease(tmp_path, clock).take())
    first.lease.store.write(f"{FOLDER}lease/0000000002.json", [b"{}"])
    assert not first.renew()


@dataclass
class Agent:
    """One agent as the real one does it: looks, leads, renews; it may be paused or killed anywhere."""

    name: str
    root: Path
    clock: Clock
    grip: Grip | None = None
    paused_until: float = 0.0
    next_step: float = 0.0
    _lease: Lease | None = field(default=None)

    def step(self, now: float) -> None:
        self.clock.now = now
        if now < self.paused_until or now < self.next_step:
            return
        if self.grip is not None:
            if not self.grip.holds() or not self.grip.renew():
                self.grip = None
            self.next_step = now + RENEW_SECONDS
            return
        self._lease = self._lease or lease(self.root, self.clock, self.name)
        found = self._lease.take()
        self.grip = found if isinstance(found, Grip) else None
        self.next_step = now + (RENEW_SECONDS if self.grip else 0.5)

    def leads(self, now: float) -> bool:
        self.clock.now = now
        return self.grip is not None and self.grip.holds()

    def restart(self, *, cleanly: bool) -> None:
        if cleanly and self.grip is not None:
            self.grip.release()
        self.grip, self._lease = None, None


FAULTS = st.lists(
    st.tuples(
        st.floats(0, 60), st.integers(0, 2), st.sampled_from(["pause", "kill", "end"]), st.floats(0.1, 25)
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(
    speeds=st.tuples(*[st.floats(0.9, 1.1)] * 3),
    starts=st.tuples(*[st.floats(0, 1e6)] * 3),
    faults=FAULTS,
)
def test_no_two_lead_at_a_time_and_somebody_does_soon_again(
    tmp_path_factory: pytest.TempPathFactory,
    speeds: tuple[float, float, float],
    starts: tuple[float, float, float],
    faults: list[tuple[float, int, str, float]],
) -> None:
    root = tmp_path_factory.mktemp("lease")
    agents = [Agent(n, root, Clock(starts[i], speeds[i])) for i, n in enumerate("abc")]
    waiting = sorted(faults)
    led: list[int] = []
    silent_since = 0.0
    for tick in itertools.count():
        now = tick * 0.5
        if now > 75:
            break
        while waiting and waiting[0][0] <= now:
            _, index, kind, seconds = waiting.pop(0)
            if kind == "pause":
                agents[index].paused_until = now + seconds
            else:
                agents[index].restart(cleanly=kind == "end")
        for agent in agents:
            agent.step(now)
        leading = [a for a in agents if a.leads(now)]
        assert len(leading) <= 1
        for agent in leading:
            assert agent.grip is not None
            led.append(agent.grip.fence)
        if leading or any(now < a.paused_until for a in agents):
            silent_since = now
        assert now - silent_since <= (LEASE_SECONDS + 2) / 0.9
    assert led == sorted(led)


def test_a_look_takes_time_and_a_renewal_may_fall_into_it() -> None:
    patience = Patience(10)
    assert not patience.is_over("a", began=0, ended=3)
    # Renewed at 2.9, it was over at 12.9 at the earliest.
    assert not patience.is_over("a", began=12.5, ended=13.5)
    assert patience.is_over("a", began=13, ended=13.1)
    assert not patience.is_over("b", began=14, ended=14.1)
