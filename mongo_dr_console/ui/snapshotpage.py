"""What is known of a snapshot, as lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mongo_dr_console.model.backupfacts import StoreFacts
from mongo_dr_console.model.catalogue import LEVELS, SnapshotEntry, Verification
from mongo_dr_console.model.plantext import when
from mongo_dr_console.model.words import duration, moment, size
from mongo_dr_console.ui.jobpages import STATES, Sign, labelled, rule
from mongo_dr_console.ui.lines import Line, Role, fitted, joined, line, table, wrapped
from mongo_dr_console.workers.desk import Content

_LABEL = 16
_GOOD = STATES["done"]


def entry_of(stores: Sequence[StoreFacts], name: str, store: str) -> SnapshotEntry | None:
    """The snapshot as the readings know it."""
    return next((e for s in stores if s.name == store for e in s.snapshots if e.name == name), None)


def holders(stores: Sequence[StoreFacts], like: SnapshotEntry) -> list[str]:
    """The stores that have this very snapshot."""
    return [
        s.name for s in stores for e in s.snapshots if e.name == like.name and e.checksum == like.checksum
    ]


def snapshot_lines(
    entry: SnapshotEntry, stores: Sequence[StoreFacts], now: datetime, width: int
) -> list[Line]:
    """All facts but what it holds, collection by collection."""
    sign = _sign(entry)
    title = line((f"{sign.glyph} {sign.word}", sign.role), "  snapshot ", (entry.name, "strong"))
    rows = [joined(title, line(f"{duration(entry.age_seconds(now))} old"), width)]
    if entry.problem is not None:
        rows += wrapped(f"✗ {entry.problem.message}", width, "critical", "  ")
        if entry.problem.hint:
            rows += wrapped(entry.problem.hint, width)
    for label, text, role in _facts(entry, stores):
        rows += labelled(label, text, width, _LABEL, role)
    return [*rows, *ladder_lines(entry, width)]


def ladder_lines(entry: SnapshotEntry, width: int) -> list[Line]:
    """Every rung of verification, and when it was last reached; where damage was found there is none."""
    reached = _reached(entry)
    rungs = [_rung(level, reached.get(level), entry.verification) for level in LEVELS]
    half = width // 2
    pairs = zip(rungs[::2], rungs[1::2], strict=True)
    rows = [Line((*fitted(a, half, fill=True).spans, *fitted(b, half).spans)) for a, b in pairs]
    return [rule("Verification ladder", width), *rows]


def _rung(level: int, at: datetime | None, found: Verification | None) -> Line:
    lead = f"{level} {LEVELS[level]:<11}"
    if at is not None:
        return line(("✓ ", "fine"), f"{lead}{moment(at)}")
    if found is not None and not found.good and level == found.level:
        return line(("✗ ", "critical"), f"{lead}BAD {moment(found.at)}")
    return line((f"- {lead}not reached", "dim"))


def _reached(entry: SnapshotEntry) -> dict[int, datetime]:
    """Level to when; a verification that names no rungs, as older ones, has reached those below its own."""
    found = entry.verification
    if found is None or not found.good:
        return dict(entry.rungs)
    return dict.fromkeys(range(1, min(found.level, 5) + 1), found.at) | dict(entry.rungs)


def _sign(entry: SnapshotEntry) -> Sign:
    if entry.problem is not None:
        return Sign("✗", "critical", "UNREADABLE")
    if entry.known_bad:
        return Sign("✗", "critical", "DAMAGED")
    if not entry.restorable:
        return Sign("!", "warning", "not restorable")
    return Sign(_GOOD.glyph, _GOOD.role, "restorable")


def _facts(entry: SnapshotEntry, stores: Sequence[StoreFacts]) -> list[tuple[str, str, Role]]:
    copies = holders(stores, entry)
    where = next((s.where for s in stores if s.name == entry.store), "")
    others = [name for name in copies if name != entry.store]
    also = f"; also in {', '.join(others)}" if others else "; in no other store"
    documents = "?" if entry.documents is None else f"{entry.documents:,}"
    sizes = f"{size(entry.stored_bytes)} stored, {size(entry.bytes)} of BSON"
    took = "" if entry.seconds is None else f", taken in {duration(entry.seconds)}"
    found: list[tuple[str, str, Role]] = [
        ("store", f"{entry.store} {where}{also}", ""),
        ("holds", f"{documents} documents, {sizes}{took}", ""),
        _window(entry),
        _verified(entry.verification),
        _tested(entry.restore_tested_at),
        ("origin", f"{entry.origin}{_made_with(entry)}", ""),
    ]
    if entry.holds:
        found.append(("held", f"nothing may prune it: {', '.join(entry.holds)}; mdr hold list", ""))
    if entry.identity is not None:
        found.append(("deployment", str(entry.identity), ""))
    if entry.scope is not None:
        found.append(("scope", f"! only {', '.join(entry.scope)}", "warning"))
    return found


def _window(entry: SnapshotEntry) -> tuple[str, str, Role]:
    if entry.window is None:
        return "state of", "! not known: it has no oplog, so nothing can be replayed on it", "warning"
    return "state of", f"{when(entry.window.end)}, and later by replay", ""


def _verified(found: Verification | None) -> tuple[str, str, Role]:
    if found is None:
        return "verified", "! never", "warning"
    if not found.good:
        return "verified", f"✗ DAMAGED: level {found.level} at {moment(found.at)} found it so", "critical"
    return "verified", f"✓ good: level {found.level} at {moment(found.at)}", "fine"


def _tested(at: datetime | None) -> tuple[str, str, Role]:
    if at is None:
        return "restore-tested", "! never restored from", "warning"
    return "restore-tested", f"✓ restored from at {moment(at)}", "fine"


def _made_with(entry: SnapshotEntry) -> str:
    parts = [
        f"mongod {entry.server_version}" if entry.server_version else "",
        f"engine {entry.engine}" if entry.engine else "",
        f"compression {entry.compression}" if entry.compression else "",
    ]
    said = ", ".join(part for part in parts if part)
    return f" ({said})" if said else ""


def content_lines(contents: Sequence[Content], width: int) -> list[Line]:
    """What it holds, by name."""
    if not contents:
        return [line(("it holds no collections", "dim"))]
    rows = [
        (
            (str(c.namespace), c.kind, "-" if c.documents is None else f"{c.documents:,}", size(c.bytes)),
            "",
            "",
        )
        for c in contents
    ]
    return table(("COLLECTION", "KIND", "DOCUMENTS", "BSON"), rows, width)  # type: ignore[arg-type]
