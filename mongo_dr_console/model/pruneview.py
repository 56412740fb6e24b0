"""What a prune did, or would do, as JSON values and as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.retention import Decision, totals
from mongo_dr_console.model.words import moment, size

HOLDS_DO_NOT_REACH = (
    "A hold keeps snapshots and segments. It cannot stop a Kafka topic's retention.ms, nor a bucket's own "
    "lifecycle rules: what only they have is gone when they say so."
)


def prune_result(
    decisions: Sequence[Decision], *, dry_run: bool, holds: Iterable[Hold], unread: Iterable[str]
) -> dict[str, Any]:
    """``mdr.prune``: every snapshot with what becomes of it, the segments brought together."""
    return {
        "schema": "mdr.prune",
        "dry_run": dry_run,
        "snapshots": [
            {
                "store": d.store,
                "name": d.name,
                "keep": d.keep,
                "reason": str(d.why),
                "text": d.text,
                "stored_bytes": d.stored_bytes,
            }
            for d in decisions
            if d.snapshot
        ],
        "segments": [
            {
                "store": t.store,
                "keep": t.keep,
                "reason": str(t.why),
                "count": t.count,
                "stored_bytes": t.stored_bytes,
                "start": _text(t.start),
                "end": _text(t.end),
            }
            for t in totals(decisions)
        ],
        "holds": [hold_json(h) for h in holds],
        "unread": list(unread),
        "removed": [],
    }


def hold_json(hold: Hold) -> dict[str, Any]:
    """A hold as documents show it."""
    return {k: v for k, v in hold.to_record().items() if k != "schema"}


def _text(position: Position | None) -> str | None:
    return None if position is None else str(position)


def prune_lines(result: Mapping[str, Any]) -> list[str]:
    """The table that a dry run shows."""
    return [*_table(result), *_after(result)]


def _table(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [("STORE", "WHAT", "", "SIZE", "WHY")]
    rows += [
        (s["store"], s["name"], _verb(s["keep"]), size(s["stored_bytes"]), s["text"])
        for s in sorted(result["snapshots"], key=lambda s: (s["store"], s["name"]))
    ]
    rows += [
        (s["store"], f"{s['count']:,} segments", _verb(s["keep"]), size(s["stored_bytes"]), _extent(s))
        for s in result["segments"]
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    for row in rows:
        yield "  ".join((*(cell.ljust(w) for cell, w in zip(row[:4], widths, strict=True)), row[4])).rstrip()


def _verb(keep: bool) -> str:
    return "keep" if keep else "DELETE"


def _extent(segments: Mapping[str, Any]) -> str:
    words = segments["reason"].replace("-", " ")
    if segments["start"] is None or segments["end"] is None:
        return str(words)
    ends = (moment(Position.parse(segments[k]).time) for k in ("start", "end"))
    return f"{words}: {' .. '.join(ends)}"


def _after(result: Mapping[str, Any]) -> Iterator[str]:
    going = [s for s in (*result["snapshots"], *result["segments"]) if not s["keep"]]
    freed = sum(s["stored_bytes"] for s in going)
    snapshots = sum(1 for s in going if "name" in s)
    segments = sum(s.get("count", 0) for s in going)
    yield ""
    if result["dry_run"]:
        yield f"A prune would remove {snapshots:,} snapshots and {segments:,} segments: {size(freed)}."
    for r in result["removed"]:
        names = len(r["snapshots"])
        yield (
            f"Store {r['store']}: removed {names:,} snapshots and {r['segments']:,} segments, "
            f"{size(r['stored_bytes'])}."
        )
        yield from (f"  left: {text}" for text in r["in_use"])
    for hold in result["holds"]:
        yield f"Hold {hold['id']}: {hold_range(hold)}: {hold['reason']} ({hold['by']})"
    if result["holds"]:
        yield HOLDS_DO_NOT_REACH
    yield from (f"Could not be asked, and nothing goes for that: {text}" for text in result["unread"])


def hold_range(hold: Mapping[str, Any]) -> str:
    """What a hold is on, in words."""
    if hold["snapshot"]:
        return f"snapshot {hold['snapshot']}"
    start, end = (Position.parse(hold[k]) for k in ("start", "end"))
    return f"{moment(start.time)} .. {moment(end.time)} ({start} .. {end})"
