"""Telling a deployment of which nothing runs from one that only does not answer yet."""

from __future__ import annotations

import socket
from contextlib import closing

from mongo_dr_console.mongo.client import connect, nobody_listens
from mongo_dr_console.mongo.launch import HeldPort


def test_only_where_every_host_says_so() -> None:
    with socket.socket() as silent, HeldPort() as gone:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        here = silent.getsockname()[1]
        for hosts, expected in ((f"127.0.0.1:{gone}", True), (f"127.0.0.1:{gone},127.0.0.1:{here}", False)):
            with closing(connect(f"mongodb://{hosts}/?replicaSet=rs", seconds=0.1)) as client:
                assert nobody_listens(client) is expected
