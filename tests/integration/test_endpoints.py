"""The kinds of endpoint, each on the real thing; Route 53 is moto's server."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from mongo_dr_console.config import Profile
from mongo_dr_console.model.failover import Leader
from mongo_dr_console.model.failoverdoc import EndpointContent, check_order, content_of
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.workers.endpoint_route53 import Route53Writer
from mongo_dr_console.workers.endpoints import EndpointWriter, endpoint_of

AT = datetime(2026, 11, 22, 2, 11, 31, tzinfo=UTC)


def content(member: str = "db-2.example:27018", term: int = 5, **changes: Any) -> EndpointContent:
    made = content_of(Leader(member, term), "rs0", AT, "ops@bastion", 3)
    return made.model_copy(update=changes)


def writer(tmp_path: Path, **endpoint: Any) -> EndpointWriter:
    profile = Profile.model_validate({"uri": "mongodb://h/", "endpoint": endpoint})
    found = endpoint_of(profile, tmp_path / "kept" / "endpoint.json")
    assert found is not None
    return found


@dataclass
class Zone:
    """A hosted zone of moto's server."""

    client: Any
    id: str
    endpoint: str

    def records(self) -> dict[tuple[str, str], list[str]]:
        sets = self.client.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return {
            (s["Name"], s["Type"]): [r["Value"] for r in s["ResourceRecords"]]
            for s in sets
            if s["Type"] not in ("NS", "SOA")
        }


@pytest.fixture(scope="module")
def zone() -> Iterator[Zone]:
    import boto3

    names = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("route53", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    made = client.create_hosted_zone(Name="example.", CallerReference="1")["HostedZone"]["Id"]
    yield Zone(client, made.rpartition("/")[2], f"http://{host}:{port}")
    server.stop()
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


def test_a_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    file = writer(tmp_path, type="file", path=str(path))
    assert file.read() is None
    file.write(content())
    assert json.loads(path.read_text()) == {
        "schema": "mdr.endpoint-content",
        "set_name": "rs0",
        "primary": "db-2.example:27018",
        "host": "db-2.example",
        "port": 27018,
        "term": 5,
        "switched_at": "2026-11-22T02:11:31Z",
        "by": "ops@bastion",
        "fence": 3,
    }
    assert file.read() == content()
    path.chmod(0o640)
    file.write(content("db-3.example:27018", 6))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == [".endpoint.json.lock", "endpoint.json"]


def test_lines_can_be_sourced_by_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "mongo.env"
    file = writer(tmp_path, type="file", path=str(path))
    odd = content("[::1]:27017", by="o'brien @ host $HOME")
    file.write(odd)
    said = subprocess.run(
        ["sh", "-c", f'. {path}; printf "%s|%s|%s|%s" "$MDR_PRIMARY" "$MDR_PORT" "$MDR_HOST" "$MDR_BY"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[::1]:27017|27017|::1|o'brien @ host $HOME"
    assert file.read() == odd


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (content("db-3.example:27018", 4), "endpoint-lower-term"),
        (content("db-3.example:27018", 5), "endpoint-lower-term"),
        (content("db-3.example:27018", 6, fence=2), "endpoint-fenced"),
        (content("db-3.example:27018", 6, set_name="rs1"), "endpoint-other-set"),
    ],
)
def test_what_is_newer_stays_as_it_is(tmp_path: Path, new: EndpointContent, code: str) -> None:
    path = tmp_path / "endpoint.json"
    file = writer(tmp_path, type="file", path=str(path))
    file.write(content())
    with pytest.raises(Refused) as caught:
        file.write(new)
    assert caught.value.code == code
    assert file.read() == content()
    file.write(new, force=True)
    assert file.read() == new


def test_the_same_again_is_no_refusal() -> None:
    check_order(content(), content(switched_at=datetime.now(UTC), fence=9))


def test_somebody_elses_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    path.write_text('{"mine": 1}')
    file = writer(tmp_path, type="file", path=str(path))
    with pytest.raises(Failed) as caught:
        file.write(content())
    assert caught.value.code == "endpoint-foreign"
    assert path.read_text() == '{"mine": 1}'


def test_a_file_that_cannot_be_written_says_what_it_said(tmp_path: Path) -> None:
    path = tmp_path / "there" / "endpoint.json"
    path.parent.mkdir()
    file = writer(tmp_path, type="file", path=str(path))
    file.write(content())
    (tmp_path / "there" / f".endpoint.json.{os.getpid()}").mkdir()
    with pytest.raises(Failed) as caught:
        file.write(content(term=6))
    assert caught.value.code == "endpoint-unwritten" and "says what it said before" in caught.value.message
    assert file.read() == content()
    with pytest.raises(Failed):
        writer(tmp_path, type="file", path=str(tmp_path / "nowhere" / "x.json")).write(content())


def test_a_program_gets_the_content_and_is_remembered_only_when_it_succeeds(tmp_path: Path) -> None:
    out, fails = tmp_path / "out", tmp_path / "fails"
    code = (
        "import os, sys\n"
        f"open({str(out)!r}, 'w').write(sys.stdin.read())\n"
        f"sys.exit(os.path.exists({str(fails)!r}))"
    )
    program = writer(tmp_path, type="exec", command=[sys.executable, "-c", code])
    assert program.read() is None
    program.write(content())
    assert EndpointContent.model_validate_json(out.read_text()) == content() == program.read()
    fails.touch()
    with pytest.raises(Failed):
        program.write(content("db-3.example:27018", 6))
    assert program.read() == content()
    with pytest.raises(Refused):
        program.write(content("db-3.example:27018", 4))


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    program = writer(tmp_path, type="exec", command=["sleep", "600"], timeout="300ms")
    with pytest.raises(Unreachable) as caught:
        program.write(content())
    assert caught.value.code == "program-hangs"
    assert program.read() is None
    assert "sleep" in program.by_hand(content()) and "db-2.example:27018" in program.by_hand(content())


def route53(tmp_path: Path, zone: Zone, record: str, **more: Any) -> EndpointWriter:
    return writer(tmp_path, type="route53", zone_id=zone.id, record=record, endpoint=zone.endpoint, **more)


def test_a_record_of_a_name_and_of_an_address(tmp_path: Path, zone: Zone) -> None:
    named = route53(tmp_path, zone, "named.example")
    assert named.read() is None
    named.write(content())
    assert named.read() == content()
    named.write(content("db-3.example:27018", 6, by="a b"))
    assert named.read() == content("db-3.example:27018", 6, by="a_b")
    assert zone.records()["named.example.", "CNAME"] == ["db-3.example."]
    address = route53(tmp_path, zone, "address.example.")
    address.write(content("10.1.2.3:27017"))
    assert zone.records()["address.example.", "A"] == ["10.1.2.3"]


def test_a_lower_term_does_not_reach_the_record(tmp_path: Path, zone: Zone) -> None:
    record = route53(tmp_path, zone, "kept.example")
    record.write(content())
    before = zone.records()
    with pytest.raises(Refused) as caught:
        record.write(content("db-3.example:27018", 4))
    assert caught.value.code == "endpoint-lower-term"
    assert zone.records() == before
    assert "kept.example. CNAME be db-3.example." in record.by_hand(content("db-3.example:27018", 6))


def test_one_who_read_before_another_wrote_changes_nothing(tmp_path: Path, zone: Zone) -> None:
    """The request is refused as a whole: the record never says one thing and the term beside it another.
    (moto lets any former value pass where Route 53 wants the one of now; so this one never was.)"""
    record = route53(tmp_path, zone, "raced.example")
    assert isinstance(record, Route53Writer)
    record.write(content())
    read = {**(record._txt() or {}), "TTL": 7}
    before = zone.records()
    record._txt = lambda: read  # type: ignore[method-assign]
    with pytest.raises(Refused) as caught:
        record.write(content("db-4.example:27018", 6))
    assert caught.value.code == "dns-refused"
    assert zone.records() == before


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"zone_id": "Z0NOTTHERE"}, Refused, "dns-refused"),
        ({"endpoint": "http://127.0.0.1:9"}, Unreachable, "dns-unreachable"),
        ({"record_type": "A"}, Refused, "endpoint-record-type"),
    ],
)
def test_a_refusal_names_the_cause(
    tmp_path: Path, zone: Zone, changes: dict[str, Any], kind: type[Trouble], code: str
) -> None:
    words = {"zone_id": zone.id, "record": "bad.example", "endpoint": zone.endpoint} | changes
    record = writer(tmp_path, type="route53", **words)
    with pytest.raises(kind) as caught:
        record.write(content())
    assert caught.value.code == code
    assert not [name for name, _ in zone.records() if "bad.example" in name]
