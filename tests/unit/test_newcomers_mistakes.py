"""What a newcomer's first commands meet: words for it that lead on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure
from support.readingkit import LIMITS, NOW
from support.scene import call

from mongo_dr_console.model.level import Level
from mongo_dr_console.model.present import present_backups
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.verdict import verdict
from mongo_dr_console.mongo.client import connect, told
from mongo_dr_console.workers.examine import _writable


def test_a_profile_without_a_store_has_no_backup_and_none_that_will_still_answer() -> None:
    limits = replace(LIMITS, stored=False)
    found = verdict(Readings("p", "test"), limits, NOW)
    assert (
        found.level is Level.CRITICAL and found.text == "NO BACKUP: the profile has no store to keep one in."
    )
    panel = present_backups(None, found, limits, NOW)
    assert panel.level is Level.CRITICAL and panel.trouble == "the profile has no store"
    assert present_backups(None, found, LIMITS, NOW).trouble == "has not answered yet"


def test_a_password_with_an_at_and_a_slash_is_not_taken_for_a_host_and_a_database() -> None:
    with pytest.raises(WrongUse) as caught:
        connect("mongodb://u:p@ss/tiger@127.0.0.1:1/?replicaSet=rs")
    assert caught.value.code == "uri-wrong" and "tiger" not in str(caught.value)
    connect("mongodb://u:p%40ss%2Ftiger@127.0.0.1:1/db?replicaSet=rs&appname=a@b/c").close()


def test_what_the_server_refuses_is_named_without_session_and_signature() -> None:
    text = "not authorized on shop to execute command { listCollections: 1, lsid: { id: UUID('91d2') } }"
    refused = told(OperationFailure(text, 13, {"errmsg": text, "code": 13}))
    assert refused.message.endswith("not authorized on shop to execute command listCollections")


@pytest.mark.parametrize(("probe", "level"), [(False, Level.FINE), (True, Level.CRITICAL)])
def test_a_store_that_a_watcher_may_not_write_to_is_as_it_should_be(
    probe: bool, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *given: False)
    assert _writable("store local", tmp_path, probe=probe).level is level


def test_a_value_that_is_none_of_those_there_are_is_told_in_the_fields_words(tmp_path: Path) -> None:
    said = call(tmp_path / "none.toml", "backup", "--engine", "fast").err
    assert "'--engine': 'fast' is not one of 'builtin', 'mongo_tools'." in said
