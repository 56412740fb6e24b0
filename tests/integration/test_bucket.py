"""What a bucket does by itself, on a real MinIO: lifecycle rules, versions, Object Lock."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.keepkit import Here, Weeks, files_of, prepare_again, prepare_gone
from support.minio import Minio, section
from support.prepared import PreparedProfile
from support.readingkit import DOWN, reading
from support.s3proxy import proxy

from mongo_dr_console.config import S3StoreConfig
from mongo_dr_console.model.readings import Readings, with_reading
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores import s3_examine
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.s3 import S3Store
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.sources import all_sources


@pytest.fixture
def mdr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


@pytest.fixture
def versioned(minio: Minio) -> S3StoreConfig:
    """A bucket of its own that keeps versions and knows locks."""
    name = f"locked-{uuid.uuid4().hex[:8]}"
    minio.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return minio.config(bucket=name)


def prepared_with(folder: Path, config: S3StoreConfig, access: str = "restore") -> PreparedProfile:
    prepared = prepare_gone(folder)
    text = prepared.config_file.read_text().replace("access = 'restore'", f"access = '{access}'")
    text = text.replace('access = "restore"', f'access = "{access}"')
    prepared.config_file.write_text(text + section("s3", config))
    return prepare_again(prepared)


def test_looking_only_asks(minio: Minio, tmp_path: Path) -> None:
    """Whatever a console that only watches looks at, also where its profile allows more."""
    with proxy(minio.server.endpoint) as way:
        prepared = prepared_with(tmp_path, minio.config(endpoint=way.endpoint))
        access = ConsoleAccess("test", prepared.profile, "watch")
        desk = Desk("test", prepared.profile, prepared.config_file, access)
        nothing = Readings("test", "test", set=reading("set", None, error=DOWN))
        sources, _ = all_sources("test", prepared.profile, lambda: nothing)
        held, _ = asyncio.run(sources["store:s3"].read())
        found = desk.preflight(with_reading(nothing, reading("store:s3", held)))
        assert any(f.subject == "store s3" for f in found)
        for look in (desk.holds, desk.drills, desk.failovers, desk.stores):
            look()
        for act in (lambda: desk.backup(["s3"], "none"), lambda: desk.copy("latest", "local", "s3")):
            with pytest.raises(Refused):
                act()
        assert {request.method for request in way.seen} <= {"GET", "HEAD"} and way.seen


def test_the_right_rules_are_written_and_others_stay(
    minio: Minio, versioned: S3StoreConfig, tmp_path: Path, mdr: Here
) -> None:
    def rules() -> dict[str, Any]:
        answer = minio.client().get_bucket_lifecycle_configuration(Bucket=versioned.bucket)
        return {r["ID"]: r for r in answer["Rules"]}

    def doctor() -> dict[str, str]:
        found = s3_examine.examine(S3Store("s3", versioned), "store s3", probe=False)
        return {f.code: str(f.level) for f in found}

    other = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    eats = {"ID": "eats", "Status": "Enabled", "Filter": {"Prefix": f"{versioned.prefix}/20"}}
    eats["Expiration"] = {"Days": 5}
    minio.client().put_bucket_lifecycle_configuration(
        Bucket=versioned.bucket, LifecycleConfiguration={"Rules": [other, eats]}
    )
    assert doctor() == {"lifecycle-expiry": "critical", "lifecycle-versions": "warning"}
    prepared = prepared_with(tmp_path, versioned)
    shown = json.loads(mdr(prepared, "store", "lifecycle", "--json").out)["stores"][0]
    assert (shown["right"], shown["written"], len(shown["problems"])) == (False, False, 2)
    assert rules().keys() == {"logs", "eats"}

    answer = mdr(prepared, "store", "lifecycle", "--apply")
    assert answer.code == 0, answer.err
    assert doctor() == {"lifecycle": "fine"}
    ours = f"mdr-{versioned.prefix.replace('/', '-')}-versions"
    assert rules().keys() == {"logs", ours} and rules()["logs"] == other
    again = json.loads(mdr(prepared, "store", "lifecycle", "--apply", "--json").out)["stores"][0]
    assert (again["right"], again["written"], again["problems"]) == (True, False, [])


def test_who_only_watches_writes_no_rule(versioned: S3StoreConfig, tmp_path: Path, mdr: Here) -> None:
    from mongo_dr_console.workers.lifecycle import lifecycle

    prepared = prepared_with(tmp_path, versioned, "watch")
    assert prepared.profile.access == "watch"
    assert mdr(prepared, "store", "lifecycle").code == 0
    assert mdr(prepared, "store", "lifecycle", "--apply").code == 4
    with pytest.raises(Refused):
        lifecycle("test", prepared.profile, None, apply=True)
    assert mdr(prepared, "store", "lifecycle", "--store", "local").code == 2


@pytest.mark.slow
def test_what_the_bucket_keeps_is_whole_and_shown_as_kept(
    minio: Minio, versioned: S3StoreConfig, tmp_path: Path, mdr: Here
) -> None:
    """One file of a snapshot has a legal hold, a segment a retention; the rest goes, behind markers."""
    weeks, prepared = Weeks.make(12), prepared_with(tmp_path, versioned)
    local, store = LocalStore("local", prepared.store), S3Store("s3", versioned)
    weeks.stream_into(local, 12)
    held, free, *_ = (weeks.snapshot_into(local, days) for days in (11, 10, 3, 0.5))
    for path in sorted(files_of(prepared.store)):
        store.write(path, local.read(path))
    segment = next(o.path for o in store.list("oplog/"))
    client, bucket = minio.client(), versioned.bucket
    client.put_object_legal_hold(
        Bucket=bucket, Key=f"{versioned.prefix}/{held}/shop/c.bson.gz", LegalHold={"Status": "ON"}
    )
    until = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    client.put_object_retention(Bucket=bucket, Key=f"{versioned.prefix}/{segment}", Retention=until)
    before = list(store.list(f"{held}/"))

    text = prepared.config_file.read_text()
    prepared.config_file.write_text(text.replace("retention_days = 30", "retention_days = 2"))
    assert mdr(prepared, "hold", "list").out == "Nothing is held.\n"
    answer = mdr(prepared, "snapshots", "prune", "--store", "s3", "--json")
    assert answer.code == 0, answer.err
    (removed,) = answer.json["removed"]
    assert removed["snapshots"] == [free] and removed["locked"] == [held, segment]
    assert "for ever: no lifecycle rule ends them" in removed["versions"]
    reasons = {s["name"]: (s["keep"], s["reason"]) for s in answer.json["snapshots"]}
    assert reasons[held] == (True, "kept-by-the-bucket") and reasons[free] == (False, "older-than-retention")
    assert [s["count"] for s in answer.json["segments"] if s["reason"] == "kept-by-the-bucket"] == [1]
    assert list(store.list(f"{held}/")) == before
    assert list(store.list(f"{free}/")) == [] and segment in {o.path for o in store.list("oplog/")}
    versions = client.list_object_versions(Bucket=bucket, Prefix=f"{versioned.prefix}/{free}/")["Versions"]
    assert len(versions) == 5

    # Claims and marks are signs: a default retention on them does not stop the next job.
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    assert mdr(prepared, "store", "lifecycle", "--apply").code == 0
    answer = mdr(prepared, "snapshots", "prune", "--store", "s3", "--json")
    assert answer.code == 0 and answer.json["removed"][0]["locked"] == [held, segment]
    assert list(store.list("claims/")) == []
