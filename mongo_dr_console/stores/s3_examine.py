"""What ``mdr doctor`` says about an S3 store: whether it may be written to, how it is encrypted, what is left
over."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.lifecycle import judge
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.s3 import WRITING, S3Store
from mongo_dr_console.stores.s3_lifecycle import read_facts

_OLD = timedelta(days=1)


def examine(store: S3Store, subject: str, *, probe: bool) -> Iterator[Finding]:
    """Findings about one store that answers.

    Args:
        probe: Whether a small object may be written and removed again.
    """
    try:
        if probe:
            yield from _probe(store, subject)
        yield from _left_over(store, subject)
        yield from _lifecycle(store, subject)
    except Trouble as trouble:
        yield Finding(Level.CRITICAL, "store-not-writable", subject, trouble.message, trouble.hint)


def _probe(store: S3Store, subject: str) -> Iterator[Finding]:
    path = f"{WRITING}/probe/{secrets.token_hex(8)}"
    try:
        made = store.write_if_absent(path, [b"mdr"])
        again = store.write_if_absent(path, [b"mdr"])
        encryption = store.encryption_of(path)
    finally:
        store.delete(path)
    yield fine("store-writable", subject, f"{store.describe()} can be written and cleared up.")
    if not made or again:
        yield Finding(
            Level.CRITICAL,
            "store-overwrites",
            subject,
            "The service does not keep If-None-Match: two writers could replace each other's objects.",
            "Use one that does (AWS, MinIO, Ceph from 19 on).",
        )
    if encryption is None:
        yield Finding(
            Level.WARNING,
            "store-unencrypted",
            subject,
            "What is written there is not encrypted by the service.",
            'Set sse = "AES256" for the store, or a default encryption for the bucket.',
        )
    else:
        yield fine("store-encrypted", subject, f"What is written there is encrypted: {encryption}.")


def _lifecycle(store: S3Store, subject: str) -> Iterator[Finding]:
    try:
        facts = read_facts(store)
    except Refused as refused:
        fix = "Allow s3:GetLifecycleConfiguration and s3:GetBucketVersioning on the bucket."
        text = f"Its lifecycle rules could not be read, so what they remove is not known: {refused.message}"
        yield Finding(Level.WARNING, "lifecycle-unread", subject, text, fix)
        return
    except Failed as failed:
        if failed.code != "store-encryption":
            raise
        # What the service does not have (HTTP 501) removes nothing.
        yield fine("lifecycle", subject, "The service has no lifecycle rules.")
        return
    yield from judge(facts, subject)


def _left_over(store: S3Store, subject: str) -> Iterator[Finding]:
    now = datetime.now(UTC)
    half = [name for name, seen in store.unfinished().items() if now - seen > owner.LEASE]
    old = [key for key, begun in store.uploads() if now - begun > _OLD]
    if half:
        yield Finding(
            Level.WARNING,
            "store-left-over",
            subject,
            f"Writers died over {', '.join(half)}: what they left is hidden, and paid for.",
            "The next backup into the store, or copy, removes it.",
        )
    if old:
        yield Finding(
            Level.WARNING,
            "store-left-over",
            subject,
            f"{len(old)} uploads are neither complete nor aborted for more than a day: they are paid for.",
            "A lifecycle rule of the bucket removes such: mdr store lifecycle --apply",
        )
