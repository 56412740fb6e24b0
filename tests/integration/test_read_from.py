"""A new client of a healthy set reads from its primary, whoever answers first."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import pytest

from mongo_dr_console.mongo import primary_first
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.primary_first import PrimaryFirst

pytestmark = pytest.mark.mongod


def test_a_primary_that_answers_last_is_read_from(
    three_members: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primary_first, "LONGEST_SECONDS", 120)
    held, choose = threading.Event(), PrimaryFirst.__call__

    def choosing(self: PrimaryFirst, members: Any) -> Any:
        found = choose(self, members)
        if members and not found:
            held.set()
        return found

    monkeypatch.setattr(PrimaryFirst, "__call__", choosing)
    primary = three_members.primary_index()
    read_from: list[Any] = []
    with closing(connect(three_members.uri, any_member=True, seconds=240)) as client:

        def read() -> None:
            cursor = client.local["oplog.rs"].find().limit(1)
            list(cursor)
            read_from.append(cursor.address)

        reader = threading.Thread(target=read)
        three_members.pause(primary)
        try:
            reader.start()
            while not held.is_set():
                assert reader.is_alive(), f"read from {read_from}"
                time.sleep(0.01)
        finally:
            three_members.resume(primary)
        reader.join(240)
    assert read_from == [("127.0.0.1", three_members.members[primary].port)]
