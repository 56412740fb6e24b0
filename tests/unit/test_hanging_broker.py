"""A broker that takes connections and says nothing: everything else is told all the same."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.agentkit import add_kafka
from support.prepared import prepare

from mongo_dr_console.config import load_config
from mongo_dr_console.mongo.launch import HeldPort
from mongo_dr_console.workers.pollers import gather_once


@pytest.mark.parametrize("listens", [True, False])
def test_coverage_is_told_without_it_and_it_is_named(tmp_path: Path, listens: bool) -> None:
    with socket.socket() as silent, HeldPort() as nobody:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        prepared = prepare(tmp_path, f"mongodb://127.0.0.1:{nobody}/?replicaSet=r", tmp_path)
        add_kafka(prepared, f"127.0.0.1:{silent.getsockname()[1]}", "t")
        profile = load_config(prepared.config_file).profiles["test"]
        found = gather_once("test", profile, ["store:local", "kafka", "coverage"])
    assert found.kafka is not None and found.kafka.error is not None
    assert found.kafka.error.code == "kafka-unreachable", "not cut off by the poller"
    assert found.coverage is not None and found.coverage.value is not None
    assert [(u.source, u.error) for u in found.coverage.value.unread] == [("kafka", found.kafka.error)]
