"""``mdr status --watch``: the same text, kept up to date."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from mongo_dr_console.cli.statustext import lines
from mongo_dr_console.config import Profile
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.plainspeech import Said, changes, everything, heard
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.verdict import Verdict
from mongo_dr_console.model.verdict import verdict as judge
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.pollers import Pollers, watching
from mongo_dr_console.workers.threads import run_bounded

Show = Callable[[Readings, Verdict, Limits, datetime], None]

REFRESH_SECONDS = 2.0
_FIRST_SECONDS = 6.0

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def watch(name: str, profile: Profile, *, plain: bool, above: Sequence[str] = ()) -> None:
    """Until Ctrl-C, which is the ordinary end. In place on a terminal; otherwise a block per change.

    Args:
        plain: Sentences, and after the first look only what changed; no cursor is moved.
        above: Lines that stay on top, where it is drawn in place.
    """
    in_place = sys.stdout.isatty() and not plain
    tell: Show = Spoken().tell if plain else partial(_draw, above) if in_place else _Changes().tell
    try:
        run_bounded(_watch(name, profile, tell, in_place))
    except KeyboardInterrupt:
        return


async def _watch(name: str, profile: Profile, show: Show, in_place: bool) -> None:
    pollers = watching(name, profile)
    limits = limits_of(profile)
    polling = asyncio.create_task(pollers.run())
    try:
        if in_place:
            _write(_ENTER)
        await _first_answers(pollers, polling)
        while not polling.done():
            now = datetime.now(UTC)
            show(pollers.readings, judge(pollers.readings, limits, now), limits, now)
            await asyncio.wait({polling}, timeout=REFRESH_SECONDS)
        polling.result()
    finally:
        polling.cancel()
        await asyncio.wait({polling}, timeout=2)
        if in_place:
            _write(_LEAVE)


async def _first_answers(pollers: Pollers, polling: asyncio.Task[None]) -> None:
    """Waits until every source was tried once, so that the first picture is not full of question marks."""
    tried = asyncio.create_task(pollers.tried())
    await asyncio.wait({tried, polling}, timeout=_FIRST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    tried.cancel()


def _draw(above: Sequence[str], readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> None:
    columns, rows = shutil.get_terminal_size()
    fixed = [line[:columns] for line in above]
    text = [*fixed, *lines(readings, verdict, limits, now, width=columns)][: max(1, rows - 1)]
    _write(_HOME + "".join(f"{line}{_CLEAR_LINE}\r\n" for line in text) + _CLEAR_BELOW)


class _Changes:
    """Tells the facts when they differ from the last time; ages alone are no change."""

    def __init__(self) -> None:
        self._last: object = None

    def tell(self, readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> None:
        key = (verdict.level, tuple((f.code, f.source) for f in verdict.facts), _state(readings))
        if key == self._last:
            return
        again, self._last = self._last is not None, key
        _write(("\n" if again else "") + "\n".join(lines(readings, verdict, limits, now)) + "\n")


class Spoken:
    """Says everything once, and then what changed, a sentence a line."""

    def __init__(self) -> None:
        self._known: Said | None = None

    def tell(self, readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> None:
        if self._known is None:
            said, self._known = everything(readings, verdict, limits, now), heard(readings, verdict, now)
        else:
            said, self._known = changes(self._known, readings, verdict, limits, now)
        _write("".join(f"{clean(line)}\n" for line in said))


def _state(readings: Readings) -> object:
    """What is a change besides the facts: members' states, the primary, snapshots, jobs."""
    status = readings.set.value if readings.set else None
    backups = readings.backups.value if readings.backups else None
    jobs = readings.jobs.value if readings.jobs else None
    return (
        None if status is None else (status.primary, tuple((m.name, m.state) for m in status.members)),
        None
        if backups is None
        else tuple((s.name, tuple(e.name for e in s.snapshots)) for s in backups.stores),
        None if jobs is None else tuple((j.job, j.state) for j in jobs),
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
