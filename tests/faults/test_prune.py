"""Pruning real files: what is promised stays, whoever dies or comes in between."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.dumpmaker import dump_folder, note, packed
from support.jobs import NeverStop, run_here
from support.keepkit import Here, Weeks, coverage_of, files_of, prepare_gone
from support.prepared import PreparedProfile

from mongo_dr_console.host import this_boot
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores import claims, ledger, pruning
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.claims import Claimant, claim_prune, reading
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.verification import verify
from mongo_dr_console.stream import segment_archive
from mongo_dr_console.workers import prune_look


@pytest.fixture
def mdr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


def quiet(_: Progress) -> None:
    return


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment is gone, and need not be waited for."""
    monkeypatch.setattr(prune_look, "_SECONDS", 0.05)


@pytest.fixture(scope="module")
def weeks() -> Weeks:
    return Weeks.make(40)


@pytest.fixture(scope="module")
def filled(weeks: Weeks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 40 days: a snapshot every four days, segments of all of it, and an old mongodump."""
    root = tmp_path_factory.mktemp("filled")
    store = LocalStore("local", root)
    for day in range(36, 0, -4):
        weeks.snapshot_into(store, day)
    weeks.stream_into(store, 39)
    documents = {"a": [{"_id": n} for n in range(5)], "b": [{"_id": 1}]}
    packed(dump_folder(root / "20200913_122640", "shop", documents, [note(1), note(2)]))
    return root


@pytest.fixture
def prepared(filled: Path, tmp_path: Path) -> PreparedProfile:
    made = prepare_gone(tmp_path)
    shutil.copytree(filled, made.store, dirs_exist_ok=True)
    return made


def names(prepared: PreparedProfile) -> list[str]:
    return [e.name for e in list_snapshots(LocalStore("local", prepared.store))]


def promised(prepared: PreparedProfile, weeks: Weeks) -> None:
    """All of the last seven days can be restored to, and what is offered is whole."""
    store = LocalStore("local", prepared.store)
    found = coverage_of(store)
    for day in (7, 5.5, 4, 1, 0):
        assert found.covers(weeks.at(day)), day
    for entry in list_snapshots(store):
        if entry.restorable:
            assert verify(store, entry.name, 3, quiet, NeverStop()).good


@pytest.mark.parametrize("headers", ["all", "few"])
def test_a_prune_removes_what_nothing_needs(
    prepared: PreparedProfile, weeks: Weeks, headers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if headers == "few":
        # As where there are so many segments that most are known by their names.
        monkeypatch.setattr(segment_archive, "_READ_NEWEST", 0)
        monkeypatch.setattr(segment_archive, "_OLDER", 1)
    before = files_of(prepared.store)
    seen = prune_look.look(prepared.profile)
    dry = {d.name for d in seen.decisions if not d.keep}
    assert files_of(prepared.store) == before
    job, outcome = run_here(prepared, "prune", {"store": None})
    # Eight days old, and needed for the seventh day; the one of four days.
    kept = sorted(names(prepared))
    assert kept == sorted(weeks.at(d).time.strftime("%Y%m%d_%H%M%S") for d in (8, 4))
    gone = before - files_of(prepared.store)
    assert {p.split("/")[0] for p in gone if not p.startswith("oplog/")} == {n for n in dry if "/" not in n}
    assert {p for p in gone if p.startswith("oplog/")} == {n for n in dry if "/" in n}
    promised(prepared, weeks)
    (row,) = outcome.result["removed"]
    assert (len(row["snapshots"]), row["segments"], row["in_use"]) == (8, 62, [])
    (record,) = ledger.read_all(LocalStore("local", prepared.store), "prunes")
    assert record["job"] == job and len(record["snapshots"]) == 8 and record["segments"]["count"] == 62
    assert not list(prepared.store.glob("claims/*/*")) and not list(prepared.store.glob("20200913*"))
    _, again = run_here(prepared, "prune", {"store": "local"})
    assert (
        again.result["removed"][0]["snapshots"] == []
        and len(ledger.read_all(LocalStore("local", prepared.store), "prunes")) == 1
    )


def test_a_hold_is_kept_and_shown(prepared: PreparedProfile, weeks: Weeks, mdr: Here) -> None:
    span = f"{weeks.at(21)}..{weeks.at(20.5)}"
    added = mdr(prepared, "hold", "add", span, "--reason", "the drop of 2 a.m.", "--json")
    assert added.code == 0
    hold = added.json["added"]
    named = sorted(names(prepared))[1]
    assert mdr(prepared, "hold", "add", named, "--reason", "audit").code == 0
    run_here(prepared, "prune", {"store": None})
    assert named in names(prepared)
    found = coverage_of(LocalStore("local", prepared.store))
    assert found.covers(weeks.at(21)) and found.covers(weeks.at(20.5)) and not found.covers(weeks.at(16))
    promised(prepared, weeks)
    dry = mdr(prepared, "snapshots", "prune", "--dry-run")
    assert dry.code == 0 and "the drop of 2 a.m." in dry.out and "Kafka" in dry.out
    listed = mdr(prepared, "snapshots", "list", "--json").json["snapshots"]
    on = {s["name"]: s["holds"] for s in listed if s["holds"]}
    assert set(on) == {named}, "the range has no snapshot in it; its base stays, and is not held itself"
    released = mdr(prepared, "hold", "release", hold[:5])
    assert released.code == 0 and hold in released.out
    assert hold not in mdr(prepared, "hold", "list").out
    run_here(prepared, "prune", {"store": None})
    assert not coverage_of(LocalStore("local", prepared.store)).covers(weeks.at(20.5))


def test_a_branch_stays_with_what_it_is_restored_from_and_gets_a_hold(
    weeks: Weeks, tmp_path: Path, mdr: Here
) -> None:
    prepared = prepare_gone(tmp_path)
    store, (on, off) = LocalStore("local", prepared.store), weeks.forked(20)
    on.stream_into(store, 30)
    off.stream_into(store, 20, 19)
    kept = on.snapshot_into(store, 24)
    for day in (28, 22.5, 12, 8, 2):
        on.snapshot_into(store, day)
    before = coverage_of(store).branches
    run_here(prepared, "prune", {"store": None})
    assert len(names(prepared)) == 3 and kept not in names(prepared), "a newer one serves it"
    assert coverage_of(store).branches == before and len(before) == 1
    found = coverage_of(store)
    assert found.covers(on.at(20)) and not found.covers(on.at(16))
    (hold,) = mdr(prepared, "hold", "list", "--json").json["holds"]
    assert before[0].name in hold["reason"] and hold["end"] == str(before[0].end)
    mdr(prepared, "hold", "release", hold["id"])
    run_here(prepared, "prune", {"store": None})
    assert mdr(prepared, "hold", "list", "--json").json["holds"] == [], "what a person released stays so"
    assert coverage_of(store).branches == before


class Killed(BaseException):
    """kill -9, in this process."""


def stopped_after(
    stops: tuple[int, ...], filled: Path, weeks: Weeks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prune of eight snapshots and 62 segments that ends after so many files, and another one."""
    undisturbed = prepare_gone(folder_in(tmp_path, "undisturbed"))
    shutil.copytree(filled, undisturbed.store, dirs_exist_ok=True)
    run_here(undisturbed, "prune", {"store": None})
    wanted = files_of(undisturbed.store)
    delete = LocalStore.delete
    for stop in stops:
        prepared = prepare_gone(folder_in(tmp_path, f"stop{stop}"))
        shutil.copytree(filled, prepared.store, dirs_exist_ok=True)
        left = [stop]

        def dying(store: LocalStore, path: str, left: list[int] = left) -> None:
            if not path.startswith("claims/"):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
            delete(store, path)

        monkeypatch.setattr(LocalStore, "delete", dying)
        with pytest.raises(Killed):
            run_here(prepared, "prune", {"store": None})
        monkeypatch.setattr(LocalStore, "delete", delete)
        promised(prepared, weeks)
        run_here(prepared, "prune", {"store": None})
        assert files_of(prepared.store) == wanted, stop
        shutil.rmtree(prepared.store)


def test_stopped_anywhere_it_offers_nothing_half_and_a_rerun_ends_it(
    filled: Path, weeks: Weeks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after((0, 1, 2, 4, 6, 8, 29, 70), filled, weeks, tmp_path, monkeypatch)


def folder_in(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.jobs import run_here
from support.keepkit import prepare_gone
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stream import segment_archive
from mongo_dr_console.workers import prune_look
prune_look._SECONDS = 0.05
delete, write, left = LocalStore.delete, LocalStore.write, [{left}]
def die(do):
    def done(*words):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*words)
    return done
LocalStore.delete, LocalStore.write = die(delete), die(write)
run_here(prepare_gone(Path({folder!r})), "prune", {{"store": None}})
"""


@pytest.mark.slow
def test_kill_9_at_random_points(prepared: PreparedProfile, weeks: Weeks, tmp_path: Path) -> None:
    """Each one that comes goes on at once: a dead process of this host holds nothing."""
    luck, codes = random.Random(7), []
    tests = str(Path(__file__).parents[1])
    for _ in range(8):
        script = _KILLED.format(tests=tests, folder=str(tmp_path), left=luck.randrange(1, 30))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        codes.append(done.returncode)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        promised(prepared, weeks)
    assert codes.count(-signal.SIGKILL) >= 3
    run_here(prepared, "prune", {"store": None})
    assert len(names(prepared)) == 2
    promised(prepared, weeks)
    assert not list(prepared.store.glob("claims/*/*"))


# Others at work


def claimant(job: str = "0a0a0a0a", what: str = "restore", **changes: object) -> Claimant:
    facts = {"host": "elsewhere", "boot": "another", "pid": 1} | changes
    return Claimant(what, job, "joe@elsewhere", **facts)  # type: ignore[arg-type]


def test_two_prunes_at_once_are_refused_with_who_is_at_it(prepared: PreparedProfile) -> None:
    store = LocalStore("local", prepared.store)
    before = files_of(prepared.store)
    first = claim_prune(store, claimant(what="prune"))
    with pytest.raises(Refused) as caught:
        run_here(prepared, "prune", {"store": None})
    assert caught.value.code == "prune-running" and "prune 0a0a0a0a of joe@elsewhere" in caught.value.message
    assert files_of(prepared.store) == before
    first.release()
    run_here(prepared, "prune", {"store": None})


def test_what_is_being_read_is_left_and_who_reads_it_is_said(prepared: PreparedProfile, weeks: Weeks) -> None:
    store, name = LocalStore("local", prepared.store), sorted(names(prepared))[3]
    start, end = weeks.at(28), weeks.at(26)
    with reading(store, claimant(), quiet, snapshot=name, start=start, end=end):
        _, outcome = run_here(prepared, "prune", {"store": None})
        assert outcome.partial is not None and "restore 0a0a0a0a of joe@elsewhere" in outcome.partial
        assert name in names(prepared)
        left = [s for s in coverage_of(store).ranges if s.start <= start]
        assert left and left[0].end >= end, "the oplog that it needs"
        with pytest.raises(Refused) as caught:
            run_here(prepared, "prune", {"store": None})
        assert caught.value.code == "snapshot-in-use"
    run_here(prepared, "prune", {"store": None})
    assert name not in names(prepared)


def test_a_dead_or_silent_claim_counts_for_nothing(prepared: PreparedProfile) -> None:
    store = LocalStore("local", prepared.store)
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = claimant(what="prune", host="here", boot=this_boot(), pid=int(gone.stdout))
    claim_prune(store, dead).claim._ended.set()
    silent = claim_prune(store, claimant("0b", "prune"))
    silent.claim._ended.set()
    with pytest.raises(Refused):
        claim_prune(store, claimant("0c", "prune"))
    old = datetime.now(UTC).timestamp() - claims.LASTS_SECONDS - 1
    os.utime(prepared.store / silent.claim.path, (old, old))
    claim_prune(store, claimant("0d", "prune"))
    with pytest.raises(Refused):
        silent.announce(["x"])


@pytest.mark.parametrize("marked_first", [True, False])
def test_whoever_comes_second_sees_the_first(
    prepared: PreparedProfile, marked_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_WAIT_SECONDS", 0.3)
    store, name = LocalStore("local", prepared.store), names(prepared)[0]
    prune = claim_prune(store, claimant("0e", "prune"))
    if marked_first:
        with reading(store, claimant(), quiet, snapshot=name):
            (use,) = prune.announce([name])
            assert (use.snapshot, use.who) == (name, "restore 0a0a0a0a of joe@elsewhere")
        assert prune.announce([name]) == []
        return
    assert prune.announce([name]) == []
    with pytest.raises(Refused) as caught, reading(store, claimant(), quiet, snapshot=name):
        raise AssertionError("it is going")
    assert caught.value.code == "snapshot-going" and "prune 0e of joe@elsewhere" in caught.value.message
    # What is going next is something else.
    prune.announce([], (Position(5, 1), Position(6, 1)))
    with reading(store, claimant(), quiet, snapshot=name, start=Position(7, 1), end=Position(8, 1)):
        assert len(claims.uses(store)) == 1


def test_a_reader_waits_for_the_step_that_is_under_way(prepared: PreparedProfile) -> None:
    store, name = LocalStore("local", prepared.store), names(prepared)[0]
    prune = claim_prune(store, claimant("0e", "prune"))
    prune.announce([name])
    reads = threading.Event()

    def restore() -> None:
        with reading(store, claimant(), quiet, snapshot=name):
            reads.set()

    thread = threading.Thread(target=restore)
    thread.start()
    while not claims.uses(store):
        assert thread.is_alive()
    assert not reads.is_set()
    prune.announce([])
    assert reads.wait(120)
    thread.join()


def test_a_prune_does_not_go_by_what_it_cannot_see(prepared: PreparedProfile, tmp_path: Path) -> None:
    before = files_of(prepared.store)
    made = prepare_gone(tmp_path, tmp_path / "far")
    (tmp_path / "far").rmdir()
    with pytest.raises(Refused) as caught:
        run_here(made, "prune", {"store": "local"})
    assert caught.value.code == "prune-blind" and files_of(prepared.store) == before


def test_access_is_asked_where_it_is_done(prepared: PreparedProfile, mdr: Here) -> None:
    text = prepared.config_file.read_text(encoding="utf-8").replace("'restore'", "'operate'")
    prepared.config_file.write_text(text, encoding="utf-8")
    refused = mdr(prepared, "snapshots", "prune", "--json")
    assert (refused.code, json.loads(refused.out)["error"]["code"]) == (4, "access")
    assert mdr(prepared, "hold", "add", "-3h..-2h", "--reason", "x").code == 0


Breaking = Callable[[pytest.MonkeyPatch], None]


def manifest_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_turn", lambda path: 0 if path.startswith("shop") else 1)


def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_recorded", lambda _: {})


@pytest.mark.parametrize("broken", [manifest_last, nothing_noted])
def test_a_prune_in_another_order_is_caught(
    filled: Path, weeks: Weeks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Breaking
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        stopped_after((1, 8), filled, weeks, tmp_path, monkeypatch)
