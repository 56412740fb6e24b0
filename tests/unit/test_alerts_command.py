"""``mdr alerts``: exit codes, JSON, words; without a deployment, from what an agent left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.listeners import http_listener
from support.readingkit import HERE
from support.scene import call, refused

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.model.alert import Alert, AlertState
from mongo_dr_console.model.alertfacts import AlertFacts, WayFacts
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level
from mongo_dr_console.workers import agentplace
from mongo_dr_console.workers.agentplace import identity_file, place_of
from mongo_dr_console.workers.alertstate import facts_file, own_part, shared_part, write_facts


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The deployment does not answer: it is known from before."""
    monkeypatch.setenv("MDR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(agentplace, "_asked", lambda _: None)
    path = written(tmp_path)
    file = identity_file("test", profile(path))
    file.parent.mkdir(parents=True)
    file.write_text(HERE.model_dump_json())
    return path


def written(folder: Path, more: str = "", access: str = "operate") -> Path:
    (folder / "store").mkdir(exist_ok=True)
    path = folder / "config.toml"
    rows = (
        "[profiles.test]",
        "uri = 'mongodb://127.0.0.1:1/'",
        f"access = '{access}'",
        f"state_dir = '{folder}/state'",
        "[profiles.test.stores.local]",
        "type = 'local'",
        f"path = '{folder}/store'",
    )
    path.write_text("\n".join([*rows, more]))
    path.chmod(0o600)
    return path


def profile(config: Path) -> Profile:
    return load_config(config).profiles["test"]


def left(config: Path, **changes: Any) -> None:
    """What an agent of this host wrote last."""
    now = datetime.now(UTC)
    ago = now - timedelta(minutes=4)
    alerts = tuple(
        Alert(
            id=name,
            kind=Kind.OPLOG_LAG,
            subject=member,
            level=Level.CRITICAL,
            told=Level.CRITICAL,
            text=f"{member} lags 70s behind.",
            began_at=ago,
            started_at=ago,
        )
        for name, member in (("abc00001", "b:1"), ("abd00002", "c:1"))
    )
    facts: dict[str, Any] = {
        "profile": "test",
        "host": "dr-1",
        "pid": 1,
        "written_at": now,
        "set_name": "rs0",
        "state": AlertState(alerts=alerts),
        "ways": (WayFacts(name="json-1", sent=2, sent_at=ago),),
    }
    write_facts(facts_file("test", profile(config)), AlertFacts(**(facts | changes)))


def test_without_an_agent_there_is_nothing_and_it_says_so(config: Path) -> None:
    answer = call(config, "alerts", "list", "--json")
    assert answer.code == 0 and answer.json["schema"] == "mdr.alerts"
    assert (answer.json["agent"], answer.json["agent_running"], answer.json["alerts"]) == (None, False, [])
    assert "No agent has watched" in call(config, "alerts", "list").out


def test_what_runs_is_listed_also_after_the_agent_has_gone(config: Path) -> None:
    left(config)
    found = call(config, "alerts", "list", "--json").json
    assert found["agent_running"] and [a["subject"] for a in found["alerts"]] == ["b:1", "c:1"]
    text = call(config, "alerts", "list").out
    assert "✗ abc00001  critical oplog-lag b:1 for 4m: b:1 lags 70s behind." in text
    assert "way json-1: 2 sent, the last 4m ago" in text
    left(config, written_at=datetime.now(UTC) - timedelta(minutes=4))
    assert "dr-1 was last seen 4m ago" in call(config, "alerts", "list").out
    assert not call(config, "alerts", "list", "--json").json["agent_running"]


def test_one_alert_is_taken_up(config: Path) -> None:
    left(config)
    answer = call(config, "alerts", "ack", "abc", "--json")
    assert answer.json["alert"]["subject"] == "b:1" and answer.json["noted_in"] == "local"
    place = shared_part(profile(config), place_of("test", profile(config)))
    assert place is not None and [ack.alert for ack in place.read_orders().acks] == ["abc00001"]
    refused(config, ("alerts", "ack", "ab"), "alert-unknown", 2, "Several alerts", "mdr alerts list")
    refused(config, ("alerts", "ack", "fff"), "alert-unknown", 2, "No alert 'fff' runs")


def test_silences_are_made_and_taken_back(config: Path) -> None:
    answer = call(config, "alerts", "silence", "oplog-lag", "--for", "30m", "--reason", "disk", "--json")
    added = answer.json["added"]
    assert (added["kind"], added["reason"], answer.json["noted_in"]) == ("oplog-lag", "disk", "local")
    assert "everything for 2h more" in call(config, "alerts", "silence", "all").out
    assert call(config, "alerts", "unsilence", added["id"], "--json").json["removed"] == [added["id"]]
    assert call(config, "alerts", "unsilence", "all").code == 0
    refused(config, ("alerts", "unsilence", "all"), "silence-unknown", 2)
    refused(config, ("alerts", "silence", "nonsense"), "alert-kind-unknown", 2, "oplog-lag")
    refused(config, ("alerts", "silence", "all", "--for", "soon"), "duration-wrong", 2, "--for 2h")
    refused(config, ("alerts", "silence", "all", "--for", "0s"), "silence-wrong", 2)


def test_where_there_is_no_store_it_is_said_that_only_this_host_hears_it(config: Path) -> None:
    config.write_text(config.read_text(encoding="utf-8").partition("[profiles.test.stores")[0])
    for verb in ("silence", "unsilence"):
        answer = call(config, "alerts", verb, "all", "--json")
        assert answer.json["noted_in"] == "here" and "only an agent here hears it" in answer.err


def test_where_the_store_is_gone_it_is_noted_here_and_said(config: Path, tmp_path: Path) -> None:
    (tmp_path / "store").rmdir()
    answer = call(config, "alerts", "silence", "all", "--json")
    assert answer.json["noted_in"] == "here" and "only an agent here hears it" in answer.err
    assert len(own_part("test", profile(config)).read_orders().silences) == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "words", [("ack", "abc"), ("silence", "all"), ("unsilence", "all"), ("test",)], ids=lambda w: w[0]
)
def test_who_may_only_watch_orders_nothing(config: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    left(config)
    refused(written(tmp_path, access="watch"), ("alerts", *words), "access", 4, "Nothing was changed")
    assert not list((tmp_path / "store").iterdir())


def test_a_test_ends_with_how_much_of_it_worked(config: Path, tmp_path: Path) -> None:
    refused(config, ("alerts", "test"), "alert-no-way", 2, "urls_file")
    with http_listener() as (web, posted):
        (tmp_path / "urls").write_text(f"json://{web}/\n")
        both = "[profiles.test.alerts]\nurls_file = 'urls'\ncommand = ['/nowhere/at-all']\n"
        answer = call(written(tmp_path, both), "alerts", "test", "--json")
        assert answer.code == 5 and len(posted.wait_for(1)) == 1
        assert {w["name"]: w["worked"] for w in answer.json["ways"]} == {"command": False, "json-1": True}
        assert call(written(tmp_path, both.replace("command", "# ")), "alerts", "test").code == 0
    answer = call(written(tmp_path, both.replace("urls_file", "# ")), "alerts", "test")
    assert answer.code == 1 and "command: FAILED" in answer.out
