"""A bucket's own lifecycle rules beside the policy: what would eat the chain, what is missing, and the right
rules. Rules are as S3's API has them: JSON objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level

UPLOAD_DAYS = 3
"""An upload that was begun so long ago is nobody's any more."""
VERSION_DAYS = 7
"""How long what was deleted or replaced can still be got back on a versioned bucket."""
_COLD = ("GLACIER", "DEEP_ARCHIVE")
_APPLY = "mdr store lifecycle --apply"
_BY_HAND = "Narrow or disable it by hand: it reaches beyond the store, so mdr does not change it."

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """What is decided from.

    Args:
        prefix: The store's part of the bucket: empty, or with ``/`` at its end.
        days: The store's retention.
        versioned: Whether a delete leaves older versions behind.
        ends_uploads: Whether the service aborts uploads by itself, and takes no rule for it (MinIO).
    """

    prefix: str
    days: float
    rules: tuple[Rule, ...] = ()
    versioned: bool = False
    ends_uploads: bool = False


def judge(facts: BucketFacts, subject: str) -> list[Finding]:
    """What ``mdr doctor`` says about the rules; a fine finding where there is nothing to say."""
    found = [f for rule in facts.rules if _touches(rule, facts.prefix) for f in _eats(rule, facts, subject)]
    if facts.versioned and not any(_ends_versions(r) for r in _covering(facts)):
        found.append(
            Finding(
                Level.WARNING,
                "lifecycle-versions",
                subject,
                "The bucket is versioned, and no lifecycle rule ends older versions: what a prune deletes "
                "takes room, and is paid for, for ever.",
                _APPLY,
            )
        )
    if not facts.ends_uploads and not any(_ends_uploads(r) for r in _covering(facts)):
        found.append(
            Finding(
                Level.WARNING,
                "lifecycle-uploads",
                subject,
                "No lifecycle rule ends incomplete multipart uploads: what a dead writer leaves is invisible "
                "and paid for, where no later writer finds it.",
                _APPLY,
            )
        )
    return found or [fine("lifecycle", subject, "The bucket's lifecycle rules go with the retention.")]


def right_rules(facts: BucketFacts) -> tuple[dict[str, Any], ...]:
    """The bucket's rules as they should be. Rules that do not lie within the store's prefix stay as they are,
    also those that reach into it: they are somebody else's too."""
    own = {r["ID"]: r for r in _ours(facts)}
    kept = [dict(r) for r in facts.rules if r.get("ID") not in own]
    changed = [_without_harm(r) if _is_within(r, facts.prefix) else r for r in kept]
    return (*(r for r in changed if r is not None), *own.values())


def version_days(facts: BucketFacts) -> int | None:
    """After how many days an older version is removed; None: never."""
    found = [
        int(r["NoncurrentVersionExpiration"].get("NoncurrentDays", 0))
        for r in _covering(facts)
        if _ends_versions(r)
    ]
    return min(found, default=None)


def after_delete(facts: BucketFacts) -> str | None:
    """What becomes of what a prune removed, where a delete only adds a marker; None where it is gone."""
    if not facts.versioned:
        return None
    text = "the bucket is versioned: what was removed still takes room as older versions"
    days = version_days(facts)
    if days is None:
        return f"{text}, for ever: no lifecycle rule ends them ({_APPLY})"
    return f"{text}, which its lifecycle rule ends {days} days after"


def told(rule: Rule) -> str:
    """One rule in words."""
    what = [_expiry(rule)] if _expiry(rule) else []
    if _ends_versions(rule):
        what.append(f"older versions end after {rule['NoncurrentVersionExpiration'].get('NoncurrentDays')}d")
    if _ends_uploads(rule):
        days = rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        what.append(f"incomplete uploads end after {days}d")
    if rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker"):
        what.append("delete markers with nothing behind them end")
    moves = [*rule.get("Transitions", ()), *rule.get("NoncurrentVersionTransitions", ())]
    what += [f"moved to {t.get('StorageClass')}" for t in moves]
    state = "" if _is_on(rule) else " (disabled)"
    where = _prefix(rule) or "the whole bucket"
    return f"{rule.get('ID') or 'without a name'}{state}, {where}: {'; '.join(what) or 'nothing'}"


def _eats(rule: Rule, facts: BucketFacts, subject: str) -> list[Finding]:
    where = _prefix(rule) or "all of the bucket"
    name = f"The bucket's lifecycle rule {rule.get('ID') or 'without a name'} ({where})"
    fix = _APPLY if _is_within(rule, facts.prefix) else _BY_HAND
    found = []
    expiry, days = _expiry(rule), rule.get("Expiration", {}).get("Days")
    if expiry:
        soon = days is None or days <= facts.days
        more = (
            f"the store promises {facts.days:g} days, and the chain breaks before that"
            if soon
            else "holds, the newest good snapshot and the base of the kept range go too, which a prune keeps"
        )
        level = Level.CRITICAL if soon else Level.WARNING
        found.append(Finding(level, "lifecycle-expiry", subject, f"{name}: {expiry}; {more}.", fix))
    cold = [t for t in rule.get("Transitions", ()) if t.get("StorageClass") in _COLD]
    if cold:
        text = f"{name} moves objects to {cold[0]['StorageClass']}: they cannot be read until thawed."
        found.append(Finding(Level.WARNING, "lifecycle-archive", subject, text, fix))
    return found


def _expiry(rule: Rule) -> str:
    """How current objects end by it, in words; empty where they do not."""
    expiration = rule.get("Expiration", {})
    if expiration.get("Days") is not None:
        return f"objects end after {expiration['Days']}d"
    return "objects end at a date" if expiration.get("Date") is not None else ""


def _without_harm(rule: dict[str, Any]) -> dict[str, Any] | None:
    """A rule of the store's own prefix without what it must not do; None where nothing is left of it."""
    left = dict(rule)
    if _expiry(rule):
        del left["Expiration"]
    if any(t.get("StorageClass") in _COLD for t in rule.get("Transitions", ())):
        left["Transitions"] = [t for t in rule["Transitions"] if t.get("StorageClass") not in _COLD]
        if not left["Transitions"]:
            del left["Transitions"]
    return left if left.keys() & _ACTIONS else None


_ACTIONS = {
    "Expiration",
    "Transitions",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransitions",
    "AbortIncompleteMultipartUpload",
}


def _ours(facts: BucketFacts) -> list[dict[str, Any]]:
    """The rules that mdr writes; on an unversioned bucket of a service that ends uploads itself none. A name
    of the prefix's own: several stores may lie in one bucket."""
    name = "mdr-" + (facts.prefix.strip("/").replace("/", "-") or "all")
    scope = {"Status": "Enabled", "Filter": {"Prefix": facts.prefix}}
    found: list[dict[str, Any]] = []
    if not facts.ends_uploads:
        ends = {"DaysAfterInitiation": UPLOAD_DAYS}
        found.append({"ID": f"{name}-uploads", **scope, "AbortIncompleteMultipartUpload": ends})
    if facts.versioned:
        found.append(
            {
                "ID": f"{name}-versions",
                **scope,
                "Expiration": {"ExpiredObjectDeleteMarker": True},
                "NoncurrentVersionExpiration": {"NoncurrentDays": VERSION_DAYS},
            }
        )
    return found


def _covering(facts: BucketFacts) -> list[Rule]:
    """The rules that hold for every object of the store."""
    return [
        r
        for r in facts.rules
        if _is_on(r) and facts.prefix.startswith(_prefix(r)) and not _tags(r) and not _sizes(r)
    ]


def _touches(rule: Rule, prefix: str) -> bool:
    """Whether it holds for an object of the store; ours have no tags."""
    its = _prefix(rule)
    return _is_on(rule) and not _tags(rule) and (its.startswith(prefix) or prefix.startswith(its))


def _is_within(rule: Rule, prefix: str) -> bool:
    return _touches(rule, prefix) and _prefix(rule).startswith(prefix)


def _is_on(rule: Rule) -> bool:
    return rule.get("Status") == "Enabled"


def _ends_versions(rule: Rule) -> bool:
    return "NoncurrentVersionExpiration" in rule


def _ends_uploads(rule: Rule) -> bool:
    return "AbortIncompleteMultipartUpload" in rule


def _filters(rule: Rule) -> Sequence[Mapping[str, Any]]:
    """The rule's own prefix is how it was said before there were filters."""
    said = rule.get("Filter") or {}
    return rule, said, said.get("And") or {}


def _prefix(rule: Rule) -> str:
    return next((str(f["Prefix"]) for f in _filters(rule) if f.get("Prefix")), "")


def _tags(rule: Rule) -> bool:
    return any(f.get("Tag") or f.get("Tags") for f in _filters(rule))


def _sizes(rule: Rule) -> bool:
    return any("ObjectSizeGreaterThan" in f or "ObjectSizeLessThan" in f for f in _filters(rule))
