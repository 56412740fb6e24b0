"""The commands of a recording: step, jump, speed. ``pause`` is the console's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command

if TYPE_CHECKING:
    from mongo_dr_console.model.story import Mark
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.workers.replay import Replay

_GROUP = "Recording"
_LOOKING = "The recording is still being looked through for what happened; in a moment."


def tape_of(app: ConsoleApp) -> Replay | None:
    """The recording that is shown; None where it is no recording."""
    if app.options.replayed is None:
        return None
    from mongo_dr_console.workers.replay import Replay

    return app.feed if isinstance(app.feed, Replay) else None


def _no_tape(app: ConsoleApp) -> str:
    return "" if tape_of(app) is not None else "This is no recording."


def _step(app: ConsoleApp, by: int) -> None:
    if (tape := tape_of(app)) is not None:
        tape.step(by)
        app.refresh_view()


def _no_step(app: ConsoleApp) -> str:
    tape = tape_of(app)
    at_end = tape is not None and tape.position.number == tape.position.count
    return _no_tape(app) or ("This is the end of the recording." if at_end else "")


def _no_back(app: ConsoleApp) -> str:
    tape = tape_of(app)
    at_start = tape is not None and tape.position.number == 1
    return _no_tape(app) or ("This is the start of the recording." if at_start else "")


def _next_mark(app: ConsoleApp) -> Mark | None:
    tape = tape_of(app)
    return None if tape is None or app.story is None else app.story.next_mark(tape.position.number)


def _mark_before(app: ConsoleApp) -> Mark | None:
    tape = tape_of(app)
    return None if tape is None or app.story is None else app.story.mark_before(tape.position.number)


def _jump(app: ConsoleApp, mark: Mark | None) -> None:
    tape = tape_of(app)
    if tape is not None and mark is not None:
        tape.show(mark.number)
        app.refresh_view()


def _no_next(app: ConsoleApp) -> str:
    if why := _no_tape(app) or ("" if app.story is not None else _LOOKING):
        return why
    return "" if _next_mark(app) is not None else "Nothing more happens in this recording."


def _no_before(app: ConsoleApp) -> str:
    if why := _no_tape(app) or ("" if app.story is not None else _LOOKING):
        return why
    return "" if _mark_before(app) is not None else "Nothing happened before this in the recording."


def _speeds(_: ConsoleApp) -> tuple[str, ...]:
    from mongo_dr_console.workers.replay import SPEEDS

    return tuple(f"{speed:g}x" for speed in SPEEDS)


def _faster(app: ConsoleApp) -> None:
    from mongo_dr_console.workers.replay import SPEEDS

    if (tape := tape_of(app)) is not None:
        speed = tape.position.speed
        at = SPEEDS.index(speed) if speed in SPEEDS else -1
        _go_at(app, f"{SPEEDS[(at + 1) % len(SPEEDS)]:g}x")


def _go_at(app: ConsoleApp, speed: str) -> None:
    if (tape := tape_of(app)) is not None:
        tape.go_at(float(speed.removesuffix("x")))
        app.refresh_view()


COMMANDS: tuple[Command, ...] = (
    Command(
        "replay-next",
        "n",
        "next event",
        "Go to what happens next: another verdict, an event found, a job.",
        lambda app: _jump(app, _next_mark(app)),
        _no_next,
        shown=True,
        group=_GROUP,
        of_recording=True,
    ),
    Command(
        "replay-previous",
        "p",
        "previous",
        "Go to what happened before.",
        lambda app: _jump(app, _mark_before(app)),
        _no_before,
        shown=True,
        group=_GROUP,
        of_recording=True,
    ),
    Command(
        "replay-step",
        "f",
        "step",
        "Show the next reading, and stand there.",
        lambda app: _step(app, 1),
        _no_step,
        shown=True,
        group=_GROUP,
        of_recording=True,
    ),
    Command(
        "replay-back",
        "b",
        "step back",
        "Show the reading before, and stand there.",
        lambda app: _step(app, -1),
        _no_back,
        shown=True,
        group=_GROUP,
        of_recording=True,
    ),
    Command(
        "replay-speed",
        "x",
        "speed",
        "Play faster: 1x, 10x, 60x, and 1x again; with a speed behind it, at that.",
        _faster,
        _no_tape,
        shown=True,
        group=_GROUP,
        choices=_speeds,
        choose=_go_at,
        about=lambda speed: f"Play at {speed}.",
        of_recording=True,
    ),
)
