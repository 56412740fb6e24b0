"""A replica set of real mongods that is started, broken and removed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pymongo.write_concern import WriteConcern

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import Options, ReplicaSet, User

if TYPE_CHECKING:
    from tests.conftest import MakeReplicaSet

pytestmark = pytest.mark.mongod


def test_the_shared_set_of_three_takes_writes_of_all_of_them(
    three_members: ReplicaSet, database_name: str
) -> None:
    with three_members.client() as client:
        shop = client[database_name].get_collection("orders", write_concern=WriteConcern(3, wtimeout=120000))
        shop.insert_one({"_id": 1})
        assert shop.count_documents({}) == 1
        assert len(client.nodes) == 3


def test_a_killed_primary_is_followed_by_another_and_comes_back(make_replica_set: MakeReplicaSet) -> None:
    replica_set = make_replica_set()
    first = replica_set.primary_index()
    with replica_set.client(seconds=120) as client:
        client.get_database("t", write_concern=WriteConcern("majority")).c.insert_one({"_id": 1})
        replica_set.kill(first)
        second = replica_set.primary_index()
        assert second != first
    replica_set.start(first)
    replica_set.wait_for_members()
    replica_set.kill_all()
    replica_set.start_all()
    with replica_set.client(seconds=120) as client:
        assert client.t.c.find_one() == {"_id": 1}


def test_users_have_only_their_roles(make_replica_set: MakeReplicaSet) -> None:
    app = User.new("app", [{"role": "read", "db": "shop"}])
    replica_set = make_replica_set(nodes=1, users=(app,))
    with connect(replica_set.user_uri(app)) as client:
        assert client.shop.orders.find_one() is None
        with pytest.raises(Exception, match="not authorized"):
            client.shop.orders.insert_one({})


def test_a_member_that_cannot_start_is_told_with_its_last_words(mongod: Path, sets_folder: Path) -> None:
    folder = sets_folder / "broken"
    with pytest.raises(Failed, match="ended at once"):
        ReplicaSet.launch(folder, Options(nodes=1, parameters={"noSuchParameter": "1"}))
    assert not folder.exists()
    assert processes.below(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_members_end_with_a_launcher_that_is_killed(mongod: Path, sets_folder: Path) -> None:
    folder = sets_folder / "orphans"
    code = (
        "import pathlib,sys\n"
        "from mongo_dr_console.mongo.launch import Options, ReplicaSet\n"
        "ReplicaSet.launch(pathlib.Path(sys.argv[1]), Options(nodes=1, auth=False))\n"
        "print('up', flush=True); sys.stdin.read()\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == b"up\n"
    (member,) = processes.below(folder)
    descriptor = os.pidfd_open(member.pid)
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate()
    assert select.select([descriptor], [], [], 120)[0], "the mongod outlived its launcher"
    os.close(descriptor)
