"""Lifecycle rules beside the policy, on paper."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mongo_dr_console.model.lifecycle import BucketFacts, after_delete, judge, right_rules, told, version_days

ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}
VERSIONS = {"NoncurrentVersionExpiration": {"NoncurrentDays": 9}}


def rule(prefix: str, **more: Any) -> dict[str, Any]:
    return {"ID": f"r-{prefix}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **more}


def expire(prefix: str, days: int, **more: Any) -> dict[str, Any]:
    return rule(prefix, Expiration={"Days": days}, **more)


def found(*rules: dict[str, Any], **more: Any) -> dict[str, str]:
    facts = BucketFacts("mongodb/", 30, rules, **{"ends_uploads": True, **more})
    return {f.code: str(f.level) for f in judge(facts, "store s3")}


OLD_STYLE = {"Status": "Enabled", "Prefix": "mongodb/", "Expiration": {"Days": 1}}
FINE = {"lifecycle": "fine"}


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([], FINE),
        ([expire("mongodb/", 29)], {"lifecycle-expiry": "critical"}),
        ([expire("mongodb/", 30)], {"lifecycle-expiry": "critical"}),
        ([expire("mongodb/", 31)], {"lifecycle-expiry": "warning"}),
        ([expire("mongodb/oplog/", 7)], {"lifecycle-expiry": "critical"}),
        ([expire("", 7)], {"lifecycle-expiry": "critical"}),
        ([expire("mongo", 7)], {"lifecycle-expiry": "critical"}),
        ([expire("mongodb2/", 7)], FINE),
        ([expire("logs/", 7)], FINE),
        ([expire("", 7) | {"Status": "Disabled"}], FINE),
        ([expire("", 7) | {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}], FINE),
        ([expire("", 7) | {"Filter": {"And": {"Prefix": "mongodb/", "Tags": [{}]}}}], FINE),
        ([expire("", 7) | {"Filter": {"And": {"Prefix": "logs/"}}}], FINE),
        ([OLD_STYLE], {"lifecycle-expiry": "critical"}),
        ([rule("", Expiration={"Date": datetime(2027, 1, 1, tzinfo=UTC)})], {"lifecycle-expiry": "critical"}),
        ([rule("", Expiration={"ExpiredObjectDeleteMarker": True})], FINE),
        ([rule("", Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])], {"lifecycle-archive": "warning"}),
        ([rule("", Transitions=[{"Days": 1, "StorageClass": "GLACIER_IR"}])], FINE),
    ],
)  # fmt: skip
def test_what_would_eat_the_chain(rules: list[dict[str, Any]], wanted: dict[str, str]) -> None:
    assert found(*rules) == wanted


def test_what_is_missing() -> None:
    uploads, versions = {"lifecycle-uploads": "warning"}, {"lifecycle-versions": "warning"}
    assert found(ends_uploads=False) == uploads
    assert found(rule("mongodb/", **ABORT), ends_uploads=False) == FINE
    # One that holds for a part of the store alone is not enough.
    assert found(rule("mongodb/oplog/", **ABORT), ends_uploads=False) == uploads
    sized = rule("", **ABORT) | {"Filter": {"ObjectSizeGreaterThan": 5}}
    assert found(sized, ends_uploads=False) == uploads
    assert found(versioned=True) == versions
    assert found(rule("", **VERSIONS), versioned=True) == FINE
    assert version_days(BucketFacts("mongodb/", 30, (rule("", **VERSIONS),))) == 9
    assert version_days(BucketFacts("mongodb/", 30)) is None
    assert after_delete(BucketFacts("mongodb/", 30)) is None
    ended = after_delete(BucketFacts("mongodb/", 30, (rule("", **VERSIONS),), versioned=True))
    assert ended is not None and "9 days" in ended


@pytest.mark.parametrize("prefix", ["mongodb/", "a/b/", ""])
@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("ends_uploads", [True, False])
def test_the_right_rules_are_right_and_stay_as_they_are(
    prefix: str, versioned: bool, ends_uploads: bool
) -> None:
    others = () if not prefix else (expire("logs/", 2), rule("zzz", **VERSIONS))
    harmful = expire(f"{prefix}x", 1, **VERSIONS), expire(f"{prefix}oplog/", 1)
    facts = BucketFacts(prefix, 30, (*others, *harmful), versioned, ends_uploads)
    assert {"lifecycle-expiry"} <= {f.code for f in judge(facts, "s")}
    wanted = right_rules(facts)
    after = BucketFacts(prefix, 30, wanted, versioned, ends_uploads)
    assert [f.code for f in judge(after, "s")] == ["lifecycle"]
    assert right_rules(after) == wanted
    assert wanted[: len(others)] == others
    # What a rule did beside the harm it goes on doing; one that did nothing else is gone.
    assert rule(f"{prefix}x", **VERSIONS) in wanted
    assert all("oplog" not in told(r) for r in wanted)


def test_a_rule_that_reaches_beyond_the_store_is_left_to_a_person() -> None:
    facts = BucketFacts("mongodb/", 30, (expire("", 3),), ends_uploads=True)
    assert right_rules(facts) == (expire("", 3),)
    assert "by hand" in judge(facts, "s")[0].fix
