"""What a drill makes of what comes back, and what an auditor reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import Int64

from mongo_dr_console.model.drill import RECORD, DrillRecord, history_line, records, report
from mongo_dr_console.model.drilldata import (
    INDEXES,
    Written,
    by_id,
    compare,
    every_type,
    index_problems,
    ordinary,
)
from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.resulttext import result_lines

NOW = datetime(2026, 11, 30, 4, tzinfo=UTC)
SERIES = [Written(f"write-{n}", NOW + timedelta(seconds=n)) for n in range(5)]


def documents(*leave_out: str) -> dict[bytes, bytes]:
    series = [bson.encode({"_id": w.id}) for w in SERIES if w.id not in leave_out]
    return by_id([*every_type(), bson.encode(ordinary(1)), *series])


def record(**changes: Any) -> DrillRecord:
    facts: dict[str, Any] = {
        "job": "5eed0001",
        "kind": "small",
        "success": True,
        "rto_seconds": 2.5,
        "rpo_seconds": 0.0,
        "timestamp": NOW,
        "profile": "prod",
        "identity": {"environment": "production", "set_name": "rs", "replica_set_id": "0" * 24},
        "store": "s3",
        "snapshot": "20261130_040000",
        "oplog": "stream",
        "documents": 481,
        "indexes": 10,
        "writes": 60,
        "lost_writes": 0,
        "rto_target_seconds": 3600.0,
        "rpo_target_seconds": 60.0,
        "problems": [],
        "steps": [{"step": "restore", "seconds": 1.25, "good": True}],
    }
    return DrillRecord.model_validate(facts | changes)


def test_what_a_job_says_of_it_claims_no_more_than_was_compared() -> None:
    def said(found: DrillRecord) -> str:
        result = found.model_dump(mode="json", by_alias=True)
        return "\n".join(result_lines(JobView("5eed0001", "drill", "prod", "me@host", NOW, result=result)))

    small, full = said(record()), said(record(kind="full", lost_writes=None, writes=None))
    assert "all came back, byte for byte" in small and "0 of 60" in small
    assert "all came back" in full and "byte" not in full and "writes lost" not in full


def test_there_is_a_document_of_every_type() -> None:
    # The type's byte stands before the name of the second field.
    types = {raw[raw.index(b"value\0") - 1] for raw in every_type()}
    assert types == {*range(0x01, 0x14), 0x7F, 0xFF}


def test_what_is_as_it_was_has_no_problems() -> None:
    found = compare(documents(), documents(), SERIES, NOW)
    assert (found.problems, found.lost, found.rpo) == ([], 0, 0.0)


@pytest.mark.parametrize(
    ("missing", "lost", "rpo"),
    [
        (["write-4"], 1, 1.0),
        # What came after a hole does not make the hole smaller.
        (["write-2"], 1, 3.0),
        (["write-1", "write-4"], 2, 4.0),
        ([w.id for w in SERIES], 5, 14.0),
    ],
)
def test_the_rpo_is_the_age_of_what_nothing_is_missing_before(
    missing: list[str], lost: int, rpo: float
) -> None:
    found = compare(documents(), documents(*missing), SERIES, NOW - timedelta(seconds=10))
    assert (found.lost, found.rpo) == (lost, rpo)
    assert found.problems[0].startswith(f"{lost} documents are missing: write-")


def test_another_type_of_an_equal_value_is_a_problem_and_so_is_one_too_many() -> None:
    changed = documents() | by_id(
        [bson.encode({**ordinary(1), "group": Int64(1)}), bson.encode({"_id": "new"})]
    )
    assert compare(documents(), changed, SERIES, NOW).problems == [
        "1 documents are there and should not be: new",
        "1 documents are not byte for byte as before: 1",
    ]


def test_indexes_are_compared_by_name_order_and_options() -> None:
    before = [bson.encode(index) for index in INDEXES]
    assert index_problems(before, before) == []
    turned = {**INDEXES[1], "key": dict(reversed(INDEXES[1]["key"].items()))}
    not_unique = {k: v for k, v in INDEXES[0].items() if k != "unique"}
    after = [bson.encode(i) for i in ({"name": "odd", "key": {"a": 1}}, not_unique, turned, *INDEXES[3:])]
    assert index_problems(before, after) == [
        "the index few is missing",
        "the index group_number is another",
        "the index number is another",
        "there is an index odd that was not",
    ]


def test_the_history_has_each_drill_once_newest_first_and_passes_over_what_is_none() -> None:
    older, newer = record(), record(job="5eed0002", timestamp=NOW + timedelta(days=30))
    stored = [r.model_dump(mode="json", by_alias=True) | {"schema": RECORD} for r in (older, newer)]
    assert records([*stored, {"schema": RECORD}, {"snapshot": "x"}, *stored]) == [newer, older]


def test_of_a_full_drill_no_lost_writes_are_reported_since_it_writes_none() -> None:
    unmeasured = {"writes": None, "lost_writes": None}
    assert "| 481 | - | 5eed0001 |" in report([record(kind="full", **unmeasured)], NOW, "prod")
    assert "| 481 | unknown | 5eed0001 |" in report(
        [record(success=False, problems=["x"], **unmeasured)], NOW, "prod"
    )


def test_the_report_says_what_failed_and_what_was_over_its_target() -> None:
    failed = record(
        success=False, problems=["the index <few> | is missing"], rto_seconds=4000.0, job="5eed0002"
    )
    page = report([failed, record()], NOW, "prod", ["store local could not be asked: no"])
    assert "of which 1 succeeded" in page and "**Not complete:** store local could not be asked" in page
    assert "4,000.0 s (**over** 1h)" in page and "2.5 s (within 1h)" in page
    assert "- **the index &lt;few> \\| is missing**" in page
    assert "| restore | 1.25 | yes |" in page
    assert "- RTO of the small drills that succeeded: 2.5 s\n" in page and "full drills" not in page
    assert "No drill is recorded" in report([], NOW, "prod")
    assert "FAILED" in history_line(failed) and "the index" in history_line(failed)
