"""Watching a job from a terminal, and telling how it ended."""

from __future__ import annotations

import shutil
import sys
import time
from typing import NoReturn, TextIO

from pydantic import BaseModel

from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.jobview import JobView, StepView, document
from mongo_dr_console.model.journal import JobStarted, Line, Replay
from mongo_dr_console.model.progress import Note, StepDone, StepStarted
from mongo_dr_console.model.progresstext import done_text, progress_text, seconds_text
from mongo_dr_console.model.resulttext import result_lines
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.jobs import JobFolder

_REDRAW_SECONDS = 0.2
_PLAIN_SECONDS = 5.0


def attach(folder: JobFolder, *, as_json: bool) -> JobView:
    """Shows a job's progress on stderr until it ends; the job itself does not notice.

    On a terminal each running step has a line that is written anew in place; elsewhere, and with ``as_json``,
    there is a line every few seconds.

    Raises:
        Interrupted: Ctrl-C: detached, and how to attach again.
    """
    plan = jobs.read_plan(folder)
    live = sys.stderr.isatty() and not as_json
    screen: _Screen = _LiveScreen(sys.stderr) if live else _PlainScreen(sys.stderr)
    replay = Replay(plan)
    screen.line(f"Job {folder.id} ({plan.kind}); Ctrl-C detaches, the job goes on.")
    first = True
    try:
        for lines in jobs.follow_batches(folder):
            told_from = _latest_attempt(lines) if first else 0
            first = False
            for number, line in enumerate(lines):
                replay.feed(line)
                if number >= told_from:
                    _tell(screen, replay, line)
            screen.steps([s for s in replay.view().steps if s.state == "running"])
    except KeyboardInterrupt:
        screen.close()
        raise jobs.detached(folder.id) from None
    screen.close()
    return jobs.load(folder)


def finish(view: JobView, *, as_json: bool) -> NoReturn:
    """Prints how the job ended, the document on stdout or a summary, and ends with its exit code."""
    if as_json:
        print_json(document(view))
    else:
        _summary(view)
    if view.error is not None:
        say(f"mdr: {view.error.message}" + (f"\n     {view.error.hint}" if view.error.hint else ""))
    raise SystemExit(view.exit_code)


def finish_with(result: type[BaseModel], view: JobView | None, *, as_json: bool) -> None:
    """The same where a command has a document of its own for what its job resulted in; one that was left
    detached (None) has nothing to print yet."""
    if view is None:
        return
    if as_json and view.result:
        print_json(result.model_validate(view.result | {"job": view.job}))
        raise SystemExit(view.exit_code)
    finish(view, as_json=as_json)


def _summary(view: JobView) -> None:
    took = "" if view.seconds is None else f" in {seconds_text(view.seconds)}"
    write_lines([f"Job {view.job} ({view.kind}): {view.state}{took}", *result_lines(view)])


def _latest_attempt(lines: list[Line]) -> int:
    """Where to begin telling: earlier attempts are history."""
    return max((n for n, line in enumerate(lines) if isinstance(line.event, JobStarted)), default=0)


def _tell(screen: _Screen, replay: Replay, line: Line) -> None:
    event = line.event
    if isinstance(event, Note):
        screen.line(event.text if event.level == "info" else f"{event.level}: {event.text}")
    elif isinstance(event, StepDone):
        step = next(s for s in replay.view().steps if s.step == event.step)
        screen.line(done_text(step))
    elif isinstance(event, StepStarted):
        screen.begun(event.step)


class _Screen:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def line(self, text: str) -> None:
        """A line that stays."""
        write_lines([text], self._out)

    def begun(self, step: str) -> None:
        """A step began."""

    def steps(self, running: list[StepView]) -> None:
        """How far the running steps are."""

    def close(self) -> None:
        """Leaves the terminal as a person wants to find it."""


class _PlainScreen(_Screen):
    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._last = time.monotonic()

    def begun(self, step: str) -> None:
        self.line(f"{step} ...")

    def steps(self, running: list[StepView]) -> None:
        if running and time.monotonic() - self._last >= _PLAIN_SECONDS:
            self._last = time.monotonic()
            for step in running:
                self.line(progress_text(step))


class _LiveScreen(_Screen):
    """Running steps at the bottom, rewritten in place; never wider than the terminal, so that one step stays
    one line."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._drawn: list[str] = []
        self._last = 0.0

    def line(self, text: str) -> None:
        # What was drawn may be what this line says the end of: the next round draws what still runs.
        self._erase()
        super().line(text)

    def steps(self, running: list[StepView]) -> None:
        now = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        wanted = [clean(progress_text(step)).replace("\n", " ")[:width] for step in running]
        if wanted == self._drawn or (now - self._last < _REDRAW_SECONDS and len(wanted) == len(self._drawn)):
            return
        self._last = now
        self._erase()
        self._draw(wanted)

    def close(self) -> None:
        self._erase()
        self._out.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{len(self._drawn)}A\x1b[J")
        self._drawn = []

    def _draw(self, lines: list[str]) -> None:
        self._drawn = lines
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()
