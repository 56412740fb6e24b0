"""``mdr doctor`` against real sets: roles, left-overs, and the one thing that it mends."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_status import mdr

from mongo_dr_console.config import Access
from mongo_dr_console.model.failover import Leader
from mongo_dr_console.model.namespace import aside_name, staging_name
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import HeldPort, ReplicaSet, User
from mongo_dr_console.mongo.oplog import primary_term
from mongo_dr_console.mongo.proof import prove_primary
from mongo_dr_console.mongo.roles import commands

if TYPE_CHECKING:
    from tests.conftest import MakeReplicaSet, ProfileFor

pytestmark = pytest.mark.mongod


def findings(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = mdr("doctor", "--json", *words)
    data = json.loads(done.stdout)
    assert data["schema"] == "mdr.doctor"
    return done.returncode, {f["code"]: f for f in data["findings"]}


def test_a_sound_deployment_passes(replica_set: ReplicaSet, profile_for: ProfileFor) -> None:
    profile_for(replica_set)
    code, found = findings()
    assert {f["level"] for f in found.values()} == {"fine"} and code == 0
    assert {"identity", "roles", "clock", "server-version", "write-block", "lock", "space"} <= set(found)


def test_an_open_config_file_is_told_with_the_fix(replica_set: ReplicaSet, profile_for: ProfileFor) -> None:
    prepared = profile_for(replica_set)
    prepared.config_file.chmod(0o644)
    done = mdr("doctor", "--json")
    modes = [f for f in json.loads(done.stdout)["findings"] if f["code"] == "file-mode"]
    assert done.returncode == 1
    assert [f["fix"] for f in modes if f["level"] == "warning"] == [f"chmod 600 {prepared.config_file}"]


def test_what_its_users_lack_and_what_was_left_behind(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    monitor = User.new("monitor", ["clusterMonitor"])
    roles = ["backup", "restore", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor"]
    restorer = User.new("restorer", roles)
    own = make_replica_set(nodes=1, users=(monitor, restorer))
    prepared = profile_for(own)
    uri_file = prepared.config_file.with_name("uri")
    with closing(own.client()) as client:
        client.shop.orders.insert_one({})

    uri_file.write_text(own.user_uri(monitor))
    code, found = findings()
    assert code == 2 and found["role-missing"]["level"] == "critical"
    assert "grantRolesToUser" in found["role-missing"]["fix"]
    assert found["space"]["level"] == "fine", "who may only look has the names of collections"

    uri_file.write_text(own.user_uri(restorer))
    with closing(own.client()) as client:
        client.shop.create_collection(aside_name("0a1b2c3d", "1"))
        client.shop.create_collection(staging_name("0a1b2c3d", 1))
        client.admin.command({"setUserWriteBlockMode": 1, "global": True})
        code, found = findings()
        assert code == 2 and found["write-block-left"]["level"] == "critical"
        assert found["roles"]["level"] == "fine"
        assert aside_name("0a1b2c3d", "1") in found["set-aside"]["text"]
        assert staging_name("0a1b2c3d", 1) in found["staging-left"]["text"]

        code, found = findings("--fix")
        assert found["write-block"]["level"] == "fine" and code == 1
        status = client.admin.command("serverStatus")
        assert status["repl"]["userWriteBlockMode"] == 1


def test_the_role_that_is_printed_for_operate_is_enough_for_an_agents_writes(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    lacking = User.new("lacking", ["backup", "clusterMonitor"])
    own = make_replica_set(nodes=1, users=(lacking,))
    prepared = profile_for(own)
    config, uri_file = prepared.config_file, prepared.config_file.with_name("uri")
    config.write_text(config.read_text().replace("access = 'restore'", "access = 'operate'"))
    agent = User.new("agent", ["mdrOperate"])
    with closing(own.client()) as client:
        _as_printed(client, "operate", agent)

    uri_file.write_text(own.user_uri(lacking))
    _, found = findings()
    assert found["roles"]["level"] == "fine" and found["agent-role-missing"]["level"] == "warning"
    assert '{ role: "readWrite", db: "mongo_dr" }' in found["agent-role-missing"]["fix"]

    uri_file.write_text(own.user_uri(agent))
    _, found = findings()
    assert found["roles"]["level"] == "fine" and "agent-role-missing" not in found
    with closing(connect(own.user_uri(agent), seconds=60)) as client:
        leader = Leader(f"127.0.0.1:{own.members[0].port}", primary_term(client))
    prove_primary(own.user_uri(agent), leader, "host/test", write=True)


def _as_printed(client: Any, access: Access, user: User) -> None:
    """Makes the role by the printed command, and a user with it."""
    printed = re.search(r"actions: (\[.*?\])\s*\}\], roles: (\[.*?\])", commands(access))
    assert printed is not None
    own = {"resource": {"db": "mongo_dr", "collection": ""}, "actions": json.loads(printed[1])}
    role = f"mdr{access.capitalize()}"
    client.admin.command("createRole", role, privileges=[own], roles=json.loads(printed[2]))
    client.admin.command("createUser", user.name, pwd=user.password, roles=[role])


def test_the_block_of_a_job_at_work_is_not_taken_away(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    from mongo_dr_console.host import this_owner
    from mongo_dr_console.mongo.locks import DeploymentLock

    own = make_replica_set(nodes=1)
    profile_for(own)
    with closing(own.client()) as client:
        client.admin.command({"setUserWriteBlockMode": 1, "global": True})
        with DeploymentLock(client, "0a1b2c3d", "restore", this_owner()):
            done = mdr("doctor", "--fix", "--json")
            assert done.returncode == 3
            assert json.loads(done.stdout)["error"]["code"] == "write-block-in-use"
            assert client.admin.command("serverStatus")["repl"]["userWriteBlockMode"] == 2


def test_without_authentication_it_says_what_that_means(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    own = make_replica_set(nodes=1, auth=False)
    prepared = profile_for(own)
    _, found = findings()
    assert found["no-authentication"]["level"] == "warning"
    own.kill_all()
    code, found = findings()
    assert code == 2 and found["deployment-unreachable"]["fix"]
    assert found["store"]["level"] == "fine" and prepared.store.exists()


def started_alone(mongod: Path, port: int, data: Path) -> subprocess.Popen[bytes]:
    words = [str(mongod), "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(data)]
    return subprocess.Popen([*words, "--wiredTigerCacheSizeGB", "0.25"], stdout=-3, stderr=-3)


def test_a_server_that_is_no_replica_set_is_told_as_such(
    mongod: Path, tmp_path: Path, replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    prepared = profile_for(replica_set)
    data = tmp_path / "data"
    data.mkdir()
    with HeldPort() as port, started_alone(mongod, port, data) as process:
        try:
            prepared.config_file.with_name("uri").write_text(f"mongodb://127.0.0.1:{port}/")
            with closing(connect(f"mongodb://127.0.0.1:{port}/", seconds=120)) as client:
                client.admin.command("ping")
            code, found = findings()
            status = json.loads(mdr("status", "--json").stdout)
        finally:
            process.kill()
    assert code == 2 and found["not-a-replica-set"]["level"] == "critical"
    assert status["readings"]["set"]["error"]["code"] == "not-a-replica-set"
    assert status["verdict"]["level"] != "fine"


def test_roles_are_printed_without_a_connection(replica_set: ReplicaSet, profile_for: ProfileFor) -> None:
    prepared = profile_for(replica_set)
    prepared.config_file.unlink()
    text = mdr("doctor", "--print-roles")
    assert text.returncode == 0 and text.stdout.count("db.createUser") == 3
    data = json.loads(mdr("doctor", "--print-roles", "--json").stdout)
    assert [r["access"] for r in data["roles"]] == ["watch", "operate", "restore"]
