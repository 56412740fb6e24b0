"""``mdr status`` and ``mdr coverage`` as processes: exit codes, JSON, watching, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING

import pytest
from test_readings import take

from mongo_dr_console.mongo.launch import ReplicaSet

if TYPE_CHECKING:
    from tests.conftest import MakeReplicaSet, ProfileFor

pytestmark = pytest.mark.mongod

MDR = [sys.executable, "-m", "mongo_dr_console"]


def mdr(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MDR, *words], capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.slow
def test_json_is_one_document_and_the_exit_code_is_the_verdicts(
    replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    prepared = profile_for(replica_set)
    empty = mdr("status", "--json")
    data = json.loads(empty.stdout)
    assert (empty.returncode, data["verdict"]["level"]) == (2, "critical")
    assert "no-backup" in [fact["code"] for fact in data["verdict"]["facts"] if fact["level"] == "critical"]

    with closing(replica_set.client()) as client:
        base = take(client, prepared.store)
    done = mdr("status", "--json")
    data = json.loads(done.stdout)
    assert data["schema"] == "mdr.status"
    assert done.returncode == {"fine": 0, "warning": 1, "critical": 2, "unknown": 3}[data["verdict"]["level"]]
    assert data["readings"]["backups"]["value"]["newest"] == base.name
    assert data["rpo_seconds"] < 300 and data["rpo_undo_seconds"] is not None
    assert data["rto_seconds"] > 0

    coverage = json.loads(mdr("coverage", "--json").stdout)
    assert coverage["schema"] == "mdr.coverage"
    assert coverage["ranges"][0]["start"] == str(base.end)


def test_text_has_the_numbers_on_its_second_line_and_no_control_characters(
    replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    profile_for(replica_set)
    done = mdr("status", "--plain")
    assert "RPO now" in done.stdout.splitlines()[1] and "RTO now" in done.stdout.splitlines()[1]
    assert "\x1b" not in done.stdout


def test_without_the_deployment_it_is_critical_and_says_what_the_store_gives(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    own = make_replica_set(nodes=1)
    prepared = profile_for(own)
    with closing(own.client()) as client:
        base = take(client, prepared.store)
    own.kill_all()
    done = mdr("status", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["verdict"]["facts"][0]["code"]) == (2, "deployment-down")
    assert data["readings"]["set"]["value"] is None
    assert data["readings"]["set"]["error"]["code"] == "deployment-unreachable"
    assert data["readings"]["coverage"]["value"]["latest"] == str(base.end)
    assert data["rpo_seconds"] > 0 and data["rpo_undo_seconds"] is None

    gone = mdr("coverage", "--json")
    assert gone.returncode == 0 and json.loads(gone.stdout)["latest"] == str(base.end)


@pytest.mark.parametrize("words", [["--nonsense"], ["--json", "--watch"]])
def test_wrong_use_is_unknown_to_a_monitoring_system(
    words: list[str], replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    profile_for(replica_set)
    done = mdr("status", *words)
    assert done.returncode == 3 and "Traceback" not in done.stderr


def test_an_unknown_profile_is_unknown_and_elsewhere_wrong_use(
    replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    profile_for(replica_set)
    codes = [mdr("--profile", "nobody", command).returncode for command in ("status", "doctor", "coverage")]
    assert codes == [3, 3, 2]


def test_watching_plainly_tells_what_changes_until_ctrl_c(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    own = make_replica_set(nodes=1)
    profile_for(own)
    with _started("status", "--watch", "--plain") as process:
        assert process.stdout is not None
        _read_until(process.stdout, "NO BACKUP")
        own.kill_all()
        _read_until(process.stdout, "DEPLOYMENT DOWN")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "\x1b" not in rest and "Traceback" not in errors


def test_watching_on_a_terminal_leaves_it_as_it_was(replica_set: ReplicaSet, profile_for: ProfileFor) -> None:
    profile_for(replica_set)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*MDR, "status", "--watch"], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(theirs)
        seen = ""
        while "RPO now" not in seen:
            seen += os.read(ours, 65536).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        with pytest.raises(OSError):
            while True:
                seen += os.read(ours, 65536).decode(errors="replace")
        assert process.wait(120) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    os.close(ours)
    assert seen.startswith("\x1b[?1049h") and seen.endswith("\x1b[?25h\x1b[?1049l")


@contextmanager
def _started(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*MDR, *words], stdout=-1, stderr=-1, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _read_until(stream: IO[str], words: str) -> None:
    for line in stream:
        if words in line:
            return
    raise AssertionError(f"ended before {words!r}")
