"""``mdr coverage``: what can be restored to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mongo_dr_console.model.coverage import Coverage


def register(app: typer.Typer) -> None:
    @app.command("coverage")
    def coverage(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """What can be restored to: positions, gaps, other histories."""
        from mongo_dr_console.cli.context import choose
        from mongo_dr_console.cli.output import print_json
        from mongo_dr_console.model.statusdoc import coverage_document
        from mongo_dr_console.model.trouble import Unreachable
        from mongo_dr_console.workers.pollers import gather_once

        chosen = choose(context.obj)
        names = ["set", "oplog", "kafka", "coverage", *(f"store:{name}" for name in chosen.profile.stores)]
        reading = gather_once(chosen.name, chosen.profile, names).coverage
        assert reading is not None
        if reading.value is None:
            assert reading.error is not None
            raise Unreachable(reading.error.code, reading.error.message, reading.error.hint)
        if as_json:
            print_json(coverage_document(reading.value))
        else:
            _print(reading.value)


def _print(coverage: Coverage) -> None:
    from mongo_dr_console.cli.output import write_lines
    from mongo_dr_console.model.words import duration, moment

    text = []
    for stretch in coverage.ranges:
        start, end = (f"{p} ({moment(p.time)})" for p in (stretch.start, stretch.end))
        text.append(f"covered  {start} .. {end}  {', '.join(stretch.sources)}")
    for gap in coverage.gaps:
        end = "?" if gap.end is None else f"{gap.end} ({moment(gap.end.time)})"
        text.append(f"gap      {gap.start} ({moment(gap.start.time)}) .. {end}  {gap.text}")
    for branch in coverage.branches:
        at = f"{branch.end} ({moment(branch.end.time)})"
        if branch.name:
            at = f"{branch.name}  {branch.start} ({moment(branch.start.time)}) .. {at}"
        text.append(f"branch   {at}  {', '.join(branch.sources)}: {branch.text}")
    if not coverage.ranges:
        text.append("Nothing can be restored to. Take a backup: mdr backup")
    elif coverage.latest is not None:
        text.append(f"latest   {coverage.latest} ({moment(coverage.latest.time)})")
    text.append(f"margin   {duration(coverage.margin_seconds)} until point-in-time recovery would break")
    text.append(f"RPO now  {duration(coverage.rpo_seconds)}; undo {duration(coverage.rpo_undo_seconds)}")
    if coverage.live_error is not None:
        text.append(f"The live oplog cannot be read: {coverage.live_error.message}")
    text += [f"{unread.source} cannot be read: {unread.error.message}" for unread in coverage.unread]
    write_lines(text)
