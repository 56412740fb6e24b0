"""A bucket's lifecycle rules and versioning: asked and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mongo_dr_console.model.lifecycle import BucketFacts
from mongo_dr_console.stores import s3_errors
from mongo_dr_console.stores.s3 import S3Store


def read_facts(store: S3Store) -> BucketFacts:
    """Raises Trouble: the store does not answer, or does not let these credentials ask
    (``s3:GetLifecycleConfiguration``, ``s3:GetBucketVersioning``)."""
    answer: dict[str, Any] = {}
    try:
        answer = store.bucket.call("get_bucket_lifecycle_configuration", allow=_has_none)
        headers = answer["ResponseMetadata"]
    except Exception as error:
        if not s3_errors.is_ours(error):
            raise
        headers = getattr(error, "response", {}).get("ResponseMetadata", {})
    server = str(headers.get("HTTPHeaders", {}).get("server", ""))
    return BucketFacts(
        prefix=store.root,
        days=store.config.retention_days,
        rules=tuple(answer.get("Rules", ())),
        versioned=store.keeps_versions,
        ends_uploads=server.lower().startswith("minio"),
    )


def write_rules(store: S3Store, rules: Iterable[Mapping[str, Any]]) -> None:
    """Replaces all rules of the bucket."""
    wanted = [dict(rule) for rule in rules]
    if not wanted:
        store.bucket.call("delete_bucket_lifecycle")
        return
    for rule in wanted:
        # The old way to say a prefix means the same, and AWS does not take both ways in one document.
        if "Filter" not in rule:
            rule["Filter"] = {"Prefix": rule.pop("Prefix", "")}
    store.bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": wanted})


def _has_none(error: BaseException) -> bool:
    return s3_errors.code_of(error) == "NoSuchLifecycleConfiguration"
