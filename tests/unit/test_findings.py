"""What ``mdr doctor`` concludes, and which privileges it asks for."""

from __future__ import annotations

import pytest
from support.readingkit import at, oplog

from mongo_dr_console.model.finding import (
    Finding,
    clock_difference,
    file_mode,
    fine,
    oplog_window,
    overall,
    server_version,
)
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.mongo.roles import AGENT_NEEDS, NEEDS, ROLES, commands, missing

CLUSTER_MONITOR = [
    {"resource": {"cluster": True}, "actions": ["replSetGetStatus", "replSetGetConfig", "serverStatus"]},
    {"resource": {"db": "local", "collection": ""}, "actions": ["find", "collStats"]},
]
BACKUP = [
    {"resource": {"anyResource": True}, "actions": ["listCollections", "listIndexes"]},
    {"resource": {"cluster": True}, "actions": ["listDatabases"]},
    {"resource": {"db": "", "collection": ""}, "actions": ["find"]},
    {"resource": {"db": "", "collection": "system.users"}, "actions": ["find"]},
    {"resource": {"db": "config", "collection": ""}, "actions": ["find"]},
]


@pytest.mark.parametrize(
    ("mode", "level"), [(0o100600, "fine"), (0o100640, "warning"), (0o100604, "warning")]
)
def test_a_secret_file_is_its_owners_alone(mode: int, level: str) -> None:
    found = file_mode("config", "c.toml", mode)
    assert found.level == level and (found.fix == "chmod 600 c.toml") == (level == "warning")


@pytest.mark.parametrize(
    ("version", "level"),
    [("6.0.5", "fine"), ("7.0.1", "warning"), ("8.1.0", "warning"), ("4.2.9", "critical"), ("x", "warning")],
)
def test_only_what_was_tried_out_is_proven(version: str, level: str) -> None:
    assert server_version(version).level == level


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.5, "fine"), (-3, "warning"), (31, "critical"), (-31, "critical")]
)
def test_clocks(seconds: float, level: str) -> None:
    assert clock_difference(seconds).level == level


@pytest.mark.parametrize(
    ("took", "level"), [(None, "fine"), (60, "fine"), (50_000, "warning"), (200_000, "critical")]
)
def test_the_oplog_reaches_over_a_backup(took: float | None, level: str) -> None:
    assert oplog_window(oplog(oldest=at(7200)), took).level == level


def test_the_worst_finding_is_the_level() -> None:
    found = [fine("a", "a", "a"), Finding(Level.WARNING, "b", "b", "b")]
    assert overall(found) is Level.WARNING and overall([]) is Level.FINE


def test_a_monitor_may_watch_and_no_more() -> None:
    assert missing(CLUSTER_MONITOR, "watch") == []
    assert {n.role for n in missing(CLUSTER_MONITOR, "operate")} == {"backup"}
    assert missing(CLUSTER_MONITOR + BACKUP, "operate") == []


def test_each_missing_action_is_named_with_the_role_that_brings_it() -> None:
    lacking = missing(CLUSTER_MONITOR + BACKUP, "restore")
    assert {n.role for n in lacking} == {"restore", "readWriteAnyDatabase", "dbAdminAnyDatabase"}
    assert {"applyOps", "setUserWriteBlockMode", "update", "dropDatabase"} <= {n.action for n in lacking}


def test_any_action_on_any_resource_is_enough_and_one_database_is_not() -> None:
    assert missing([{"resource": {"anyResource": True}, "actions": ["anyAction"]}], "restore") == []
    own = [{"resource": {"db": "shop", "collection": ""}, "actions": ["find"]}]
    assert [n for n in missing(own, "operate") if n.action == "find"] == [
        n for n in NEEDS if n.action == "find"
    ]


def test_who_backs_up_may_lack_what_an_agent_measures_by() -> None:
    actions = ["find", "insert", "update", "remove"]
    own = [{"resource": {"db": "mongo_dr", "collection": ""}, "actions": actions}]
    lacking = missing(CLUSTER_MONITOR + BACKUP, "operate", AGENT_NEEDS)
    assert {n.action for n in lacking} > {"insert", "update"}
    assert missing(CLUSTER_MONITOR + BACKUP + own, "operate", AGENT_NEEDS) == []
    assert missing(CLUSTER_MONITOR, "watch", AGENT_NEEDS) == []
    assert 'actions: ["find", "insert", "update", "remove"]' in commands("operate")
    assert 'actions: ["find"]' in commands("watch")


def test_system_collections_need_to_be_said() -> None:
    found = missing([{"resource": {"db": "", "collection": ""}, "actions": ["find"]}], "operate")
    assert ("admin", "system.users") in {(n.database, n.collection) for n in found}
    assert ("config", "transactions") not in {(n.database, n.collection) for n in found}


def test_every_needed_role_is_printed_and_no_password_is() -> None:
    for access, roles in ROLES.items():
        text = commands(access)
        assert all(f'"{role}"' in text for role in roles)
        assert "passwordPrompt()" in text
    assert {n.role for n in NEEDS} <= set(ROLES["restore"])
