"""The lifecycle rules of a profile's buckets beside its retention: shown, and written where that is asked."""

from __future__ import annotations

from mongo_dr_console.config import Profile, S3StoreConfig
from mongo_dr_console.model.documents import LifecycleDocument, LifecycleStore
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.lifecycle import BucketFacts, judge, right_rules, told
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.stores.s3 import S3Store
from mongo_dr_console.stores.s3_lifecycle import read_facts, write_rules
from mongo_dr_console.workers.access import require


def lifecycle(name: str, profile: Profile, store: str | None, *, apply: bool) -> LifecycleDocument:
    """Looks at the rules of one store's bucket, or of all; with ``apply`` writes the right ones and looks
    again.

    Raises:
        Refused: The profile's access does not reach; the credentials may not do it.
        WrongUse: No such store, or none in a bucket.
    """
    if apply:
        require(name, profile, "operate")
    found = []
    for one, config in _buckets(profile, store).items():
        bucket = S3Store(one, config)
        facts = read_facts(bucket)
        wanted, written = right_rules(facts), False
        if apply and not _same(wanted, facts):
            write_rules(bucket, wanted)
            facts, written = read_facts(bucket), True
        found.append(_told(bucket, facts, wanted, written=written))
    return LifecycleDocument(stores=found)


def _same(wanted: tuple[dict[str, object], ...], facts: BucketFacts) -> bool:
    return sorted(map(repr, map(_plain, wanted))) == sorted(map(repr, map(_plain, facts.rules)))


def _plain(value: object) -> object:
    """The same whatever order the service gives its keys in."""
    return sorted((k, _plain(v)) for k, v in value.items()) if isinstance(value, dict) else value


def _told(
    bucket: S3Store, facts: BucketFacts, wanted: tuple[dict[str, object], ...], *, written: bool
) -> LifecycleStore:
    findings = [f for f in judge(facts, f"store {bucket.name}") if f.level is not Level.FINE]
    return LifecycleStore(
        store=bucket.name,
        where=bucket.describe(),
        versioned=facts.versioned,
        rules=[told(r) for r in facts.rules],
        wanted=[told(r) for r in wanted],
        right=_same(wanted, facts),
        written=written,
        problems=[f"{f.text} {f.fix}" for f in findings],
    )


def _buckets(profile: Profile, store: str | None) -> dict[str, S3StoreConfig]:
    found = {n: c for n, c in profile.stores.items() if isinstance(c, S3StoreConfig) and store in (None, n)}
    if store is not None and store not in profile.stores:
        known = ", ".join(profile.stores) or "none"
        raise WrongUse("store-unknown", f"The profile has no store {store!r}.", f"Known: {known}")
    if not found:
        raise WrongUse(
            "store-no-bucket",
            "Only a bucket has lifecycle rules, and there is none here.",
            "A store of type s3 has one: mdr config show",
        )
    return found
