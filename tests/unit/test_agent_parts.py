"""What the agent is made of, without a deployment: its lines, signals, the service manager, who leads."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mongo_dr_console.agent.heard import listening
from mongo_dr_console.agent.log import Log
from mongo_dr_console.agent.notify import notify, reloading, watchdog_seconds
from mongo_dr_console.agent.term import Keeping
from mongo_dr_console.config import Profile
from mongo_dr_console.model.runs import Decided
from mongo_dr_console.model.scheduleview import schedule_lines
from mongo_dr_console.stores.lease import Grip, Lease
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.runs import Runs
from mongo_dr_console.workers import schedules
from mongo_dr_console.workers.agentplace import identity_file
from mongo_dr_console.workers.schedules import read_schedule

FOLDER = f"agent/rs0/{'5f' * 12}/"


def test_a_line_is_one_json_object_and_has_no_secret() -> None:
    out = io.StringIO()
    log = Log("json", out=out)
    log.say("cannot reach mongodb://root:hunter2@db1/\nnow", "prod", "error")
    log.of("test")("well")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["level"], first["profile"], first["host"]) == ("error", "prod", socket.gethostname())
    assert "hunter2" not in out.getvalue() and first["message"].startswith("cannot reach mongodb://***")
    assert (second["profile"], second["message"], second["level"]) == ("test", "well", "info")
    assert datetime.fromisoformat(second["time"]).tzinfo is not None


def test_the_service_manager_is_told_and_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        reloading()
        words = heard.recv(1024).decode().splitlines()
        assert words[0] == "RELOADING=1" and words[1].startswith("MONOTONIC_USEC=")
        for _ in range(2000):
            notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", "", 15.0), ("30000000", "1", None), ("0", "", None), ("soon", "", None)],
)
def test_signs_of_life_are_given_twice_as_often_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert watchdog_seconds() == seconds


def test_signals_are_heard_in_their_order_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with listening(signal.SIGHUP, signal.SIGTERM) as signals:
        assert signals.next(0) is None
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert [signals.next(5), signals.next(5), signals.next(0)] == [signal.SIGHUP, signal.SIGTERM, None]
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_lease_that_is_taken_away_ends_the_term_and_a_given_back_one_says_so(tmp_path: Path) -> None:
    store = LocalStore("local", tmp_path)
    lost = threading.Event()
    grip = Lease(store, FOLDER, "prod").take()
    assert isinstance(grip, Grip)
    keeping = Keeping(grip, lambda text: None, lost.set)
    keeping.start()
    assert keeping.term.holds() and keeping.term.fence == 1
    store.write(f"{FOLDER}lease/0000000002.json", [b"{}"])
    assert lost.wait(10) and not keeping.term.holds() and keeping.term.ended.is_set()
    keeping.end()
    assert b'"ended":true' in b"".join(store.read(grip.path))


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Its deployment is gone; this host remembers which one it was."""
    made = Profile.model_validate(
        {
            "uri": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50",
            "access": "restore",
            "state_dir": str(tmp_path / "state"),
            "stores": {"local": {"type": "local", "path": str(tmp_path / "store")}},
            "schedule": {"backup": "0 2 * * *", "prune": "30 3 * * *", "window": "01:00-05:00"},
        }
    )
    file = identity_file("prod", made)
    file.parent.mkdir(parents=True)
    identity = {"environment": "development", "set_name": "rs0", "replica_set_id": "5f" * 12}
    file.write_text(json.dumps(identity))
    return made


def test_the_schedule_is_read_before_there_was_an_agent(profile: Profile) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    told = read_schedule("prod", profile, now)
    assert (told.leader, told.leading, told.window) == (None, False, "01:00-05:00")
    assert [(k.kind, k.last, k.next) for k in told.kinds] == [
        ("backup", None, datetime(2026, 12, 1, 2, tzinfo=UTC)),
        ("prune", None, datetime(2026, 12, 1, 3, 30, tzinfo=UTC)),
    ]
    assert "No agent has led here yet" in "\n".join(schedule_lines(told, now))


def test_the_schedule_is_read_while_the_agent_is_down_and_the_deployment_gone(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore("local", Path(profile.stores["local"].path))  # type: ignore[union-attr]
    grip = Lease(store, FOLDER, "prod").take()
    assert isinstance(grip, Grip)
    due = datetime(2026, 11, 30, 2, tzinfo=UTC)
    skipped = Decided(
        decision="skipped", reason="no primary", fence=1, profile="prod", host="backup-1", at=due
    )
    assert Runs(store, FOLDER).decide("backup", due, 1, skipped)
    now = datetime.now(UTC)
    assert read_schedule("prod", profile, now).leading
    later = now + timedelta(minutes=4)
    told = read_schedule("prod", profile, later)
    assert not told.leading and told.leader is not None and told.leader.fence == 1
    last = told.kinds[0].last
    assert last is not None and (last.state, last.reason, last.fence) == ("skipped", "no primary", 1)
    text = "\n".join(schedule_lines(told, later))
    assert "last seen 4m ago" in text and "is skipped: no primary" in text
    # On a host that remembers nothing the store tells which deployment it is of.
    identity_file("prod", profile).unlink()
    assert schedules.read_schedule("prod", profile, now).kinds[0].last == last
