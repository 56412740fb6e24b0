"""Alerts on real conditions, delivered to a real HTTP listener and a real SMTP server: each comes once, and
its end too."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.jobs import backup_here
from support.listeners import Arrivals, http_listener, smtp_listener
from support.scene import call

from mongo_dr_console.agent.alerting import AlertDuty
from mongo_dr_console.agent.duty import Post, Term
from mongo_dr_console.config import AgentConfig, load_config
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.drill import RECORD, DrillRecord
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_stores
from mongo_dr_console.workers import sources
from mongo_dr_console.workers.agentplace import place_of

pytestmark = pytest.mark.mongod

BACKUPS = (Kind.BACKUP_AGE, Kind.BACKUP_SIZE, Kind.RESTORE_TEST)
LAG = (Kind.OPLOG_LAG,)
"""Apart: on a busy machine a member may well be two seconds behind while backups are made."""


@pytest.fixture(scope="module")
def replica_set(three_members: Any) -> Any:
    return three_members


@dataclass
class Watch:
    """An agent's watch over the shared set, and what arrived from it."""

    prepared: Any
    posted: Arrivals
    mails: Arrivals
    duty: AlertDuty
    told: list[str]

    def wait_for(self, event: str, kind: Kind) -> dict[str, Any]:
        """The newest message of a kind, once it is of this event; it came both ways."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            titles = [d["title"] for d in self.posted.all if f": {kind}" in d["title"]]
            subjects = [m["Subject"] for m in self.mails.all if f": {kind}" in m["Subject"]]
            if titles and titles[-1].startswith(f"[{event}]") and titles == subjects:
                return next(d for d in reversed(self.posted.all) if d["title"] == titles[-1])
            self.posted.wait_for_change(0.2)
        raise AssertionError((titles, subjects, self.told))

    def events(self, kind: Kind) -> list[str]:
        return [d["title"].partition("]")[0][1:] for d in self.posted.all if f": {kind}" in d["title"]]


@pytest.fixture
def watch(
    request: pytest.FixtureRequest, prepared: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watch]:
    """Of the kinds that it is parametrized with."""
    for source in (sources.SetSource, sources.StoreSource, sources.OplogSource, sources.CoverageSource):
        monkeypatch.setattr(source, "interval", 0.2)
    with http_listener() as (web, posted), smtp_listener() as (post, mails):
        urls = tmp_path / "urls"
        urls.touch(mode=0o600)
        urls.write_text(f"json://{web}/\nmailto://{post}?from=agent@example.com&to=ops@example.com\n")
        off = "".join(
            f"[profiles.test.alerts.kinds.{k}]\non = false\n" for k in Kind if k not in request.param
        )
        with prepared.config_file.open("a") as config:
            config.write(
                f"[profiles.test.alerts]\nurls_file = '{urls}'\nstart_after = '0s'\nend_after = '0s'\n{off}"
                "[profiles.test.thresholds]\noplog_lag = '2s'\n"
            )
        profile = load_config(prepared.config_file).profiles["test"]
        told: list[str] = []
        place = place_of("test", profile)
        duty_post = Post("test", profile, prepared.config_file, AgentConfig(), Term(1), told.append, place)
        duty = AlertDuty(duty_post, every=0.2)
        duty.start()
        yield Watch(prepared, posted, mails, duty, told)
        duty.stop()
        assert duty.join(180)


def drilled(watch: Watch, client: Any, when: datetime) -> None:
    """Puts a good drill into the ledger, as one of then would have done."""
    record = DrillRecord(
        job="d0000001",
        kind="small",
        success=True,
        timestamp=when,
        profile="test",
        identity=read_identity(client, "test"),
        store="local",
        oplog="live",
        rto_target_seconds=3600,
        rpo_target_seconds=60,
        problems=[],
        steps=[],
    )
    document = record.model_dump(mode="json", by_alias=True) | {"schema": RECORD}
    for store in open_stores(watch.prepared.profile).values():
        ledger.append(store, "drills", document)


@pytest.mark.parametrize("watch", [BACKUPS], indirect=True, ids=["backups"])
def test_a_missing_a_shrunken_backup_an_old_drill_and_what_is_ordered(
    watch: Watch, client: Any, database_name: str
) -> None:
    config = watch.prepared.config_file
    assert "NO BACKUP" in watch.wait_for("CRITICAL", Kind.BACKUP_AGE)["message"]
    stays, large = client[database_name].stays, client[database_name].large
    for collection, count in ((stays, 30), (large, 100)):
        collection.insert_many([{"_id": n, "bytes": os.urandom(100_000)} for n in range(count)])
    backup_here(watch.prepared)
    assert "NO BACKUP" in watch.wait_for("OVER", Kind.BACKUP_AGE)["message"]

    drilled(watch, client, datetime.now(UTC) - timedelta(days=31))
    assert "31d ago" in watch.wait_for("CRITICAL", Kind.RESTORE_TEST)["message"]
    drilled(watch, client, datetime.now(UTC))
    watch.wait_for("OVER", Kind.RESTORE_TEST)
    assert watch.events(Kind.RESTORE_TEST)[-2:] == ["CRITICAL", "OVER"]

    large.drop()
    next_second()
    backup_here(watch.prepared)
    assert "differs in size by -" in watch.wait_for("CRITICAL", Kind.BACKUP_SIZE)["message"]
    (alert,) = call(config, "alerts", "list", "--json").json["alerts"]
    assert (alert["kind"], alert["level"]) == ("backup-size", "critical")
    assert "Taken up" in call(config, "alerts", "ack", alert["id"]).out
    _until(lambda: call(config, "alerts", "list", "--json").json["alerts"][0]["acked_by"])
    order = ("alerts", "silence", "backup-size", "--for", "1h", "--reason", "known", "--json")
    silenced = call(config, *order).json
    assert silenced["noted_in"] == "local" and silenced["added"]["reason"] == "known"
    _until(lambda: call(config, "alerts", "list", "--json").json["silenced"] == [alert["id"]])

    next_second()
    backup_here(watch.prepared)
    _until(lambda: call(config, "alerts", "list", "--json").json["alerts"] == [])
    assert watch.events(Kind.BACKUP_SIZE) == ["CRITICAL"], "silenced"
    assert call(config, "alerts", "unsilence", "all").code == 0
    watch.wait_for("OVER", Kind.BACKUP_SIZE)
    assert watch.events(Kind.BACKUP_AGE) == ["CRITICAL", "OVER"]
    assert watch.events(Kind.BACKUP_SIZE) == ["CRITICAL", "OVER"]
    tries = call(config, "alerts", "test", "--json").json["ways"]
    assert [(way["name"], way["worked"]) for way in tries] == [("json-1", True), ("mailto-2", True)]
    page = call(config, "alerts", "list").out
    assert "No alert runs." in page and "way json-1: " in page and "past " in page


def next_second() -> None:
    """Snapshots are named by the second."""
    time.sleep(1.01 - time.time() % 1)


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("watch", [LAG], indirect=True, ids=["lag"])
def test_a_member_that_lags_is_told_and_told_to_be_well_again(
    watch: Watch, replica_set: Any, client: Any, database_name: str
) -> None:
    held = next(n for n in range(3) if n != replica_set.primary_index())
    with writing(client[database_name].ticks):
        replica_set.pause(held)
        try:
            found = watch.wait_for("CRITICAL", Kind.OPLOG_LAG)
        finally:
            replica_set.resume(held)
        assert "lags" in found["message"]
        watch.wait_for("OVER", Kind.OPLOG_LAG)
    assert watch.events(Kind.OPLOG_LAG)[:2] == ["CRITICAL", "OVER"]
    replica_set.wait_for_members()


@contextmanager
def writing(collection: Any) -> Iterator[None]:
    """An application that goes on."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.1):
            collection.insert_one({})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
