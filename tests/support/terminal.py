"""A terminal to test with: a process on a pty, what it draws kept as a screen of text.

with Terminal([sys.executable, "-m", "mongo_dr_console"], size=(120, 36)) as terminal:
    terminal.wait_for("restore point")
    terminal.press("R", "down", "enter")
    terminal.write("-10m")
    terminal.kill()                     the line drops: SIGHUP, as with SSH

It answers what programs ask terminals about synchronized output, so no half-drawn frame is ever seen, and
keeps from pyte what pyte does not know (kitty's keyboard, queries, device control strings).
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Self

import pyte

Size = tuple[int, int]
"""Columns and rows."""

KEYS: Mapping[str, str] = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "space": " ",
    "backspace": "\x7f",
    "delete": "\x1b[3~",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "ctrl+p": "\x10",
    "ctrl+q": "\x11",
}

ESCAPE_SECONDS = 0.2
"""A program tells the escape key from the start of a sequence by nothing but a pause."""

_ENTER_ALTERNATE, _LEAVE_ALTERNATE = "\x1b[?1049h", "\x1b[?1049l"
_BEGIN_FRAME, _END_FRAME = "\x1b[?2026h", "\x1b[?2026l"
_ASKS_SYNC, _HAS_SYNC = "\x1b[?2026$p", b"\x1b[?2026;2$y"

_SPECIAL = re.compile(
    r"""
    (?P<known>\x1b\[\?(?:1049|2026)[hl] | \x1b\[\?2026\$p)
    | \x1b\[[<=>][0-9;:]*[ -/]*[@-~]            # kitty, xterm: private sequences
    | \x1b\[\?[0-9;]*(?:[ -/]+[@-~] | u)        # queries
    | \x1b[PX^_].*?\x1b\\                       # device control and other strings
    """,
    re.VERBOSE | re.DOTALL,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[ -/]*|[PX^_](?:(?!\x1b\\).)*)?\Z", re.DOTALL)


class Terminal:
    """One process and its screen.

    Args:
        command: What is run; its first word is a path.
        env: The whole environment but for ``TERM`` and the like; None: this process's.
        size: Columns and rows.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, size: Size = (120, 36)
    ) -> None:
        self.size = size
        self._screens = [pyte.Screen(*size), pyte.Screen(*size)]
        self._streams = [pyte.Stream(screen) for screen in self._screens]
        self._alternate = False
        self._in_frame = False
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._changed = Condition()
        self._ended = False
        self._status: int | None = None
        self.frames = 0
        """Frames drawn so far, where the program draws in synchronized frames."""
        self.bytes_out = 0
        """Bytes that the process wrote so far."""
        self.last_output = 0.0
        """When the latest of them came (monotonic)."""
        self._master: int | None
        self._master, line = os.openpty()
        _set_size(self._master, size)
        self.started = time.monotonic()
        self.pid = _spawn(command, env, os.ttyname(line))
        os.close(line)
        self._wake_read, self._wake_write = os.pipe()
        self._reader = Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # Looking

    @property
    def text(self) -> str:
        """What stands on the screen, row by row, without looks; never half a frame."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_frame or self._ended, timeout=1)
            return self._text()

    def wait_for(
        self, wanted: str | re.Pattern[str] | Callable[[str], Any], seconds: float = 120, what: str = ""
    ) -> str:
        """Waits until a text stands on the screen, a pattern is found in it, or it fulfils a condition.

        Returns:
            The screen then.

        Raises:
            AssertionError: It did not, with the screen as it is.
        """
        fulfilled = _condition(wanted)
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                if not self._in_frame and fulfilled(text := self._text()):
                    return text
                left = until - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
            why = "the process has ended" if self._ended else f"not within {seconds:g} s"
            shown = "\n".join(f"|{row}" for row in self._text().split("\n"))
        named = what or (wanted.pattern if isinstance(wanted, re.Pattern) else repr(wanted))
        raise AssertionError(f"{named}: {why}. The screen:\n{shown}")

    def wait_gone(self, text: str, seconds: float = 120) -> str:
        """Waits until a text does not stand on the screen any more."""
        return self.wait_for(lambda shown: text not in shown, seconds, f"{text!r} to go")

    @property
    def cursor_row(self) -> int:
        """Where the cursor stands, from the top."""
        return int(self._screens[self._alternate].cursor.y)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that the process itself used so far (Linux)."""
        return cpu_seconds_of(self.pid)

    # Doing

    def press(self, *keys: str) -> None:
        """Presses keys: their names, or single characters."""
        for number, key in enumerate(keys):
            assert key in KEYS or len(key) == 1, f"There is no key {key!r}."
            self.write(KEYS.get(key, key))
            if key == "escape" and number < len(keys) - 1:
                time.sleep(ESCAPE_SECONDS)

    def write(self, text: str) -> None:
        """Types characters as they are."""
        assert self._master is not None, "The terminal is gone."
        os.write(self._master, text.encode())

    def paste(self, text: str) -> None:
        """Pastes, as a terminal with bracketed paste does."""
        self.write(f"\x1b[200~{text}\x1b[201~")

    def resize(self, size: Size) -> None:
        assert self._master is not None, "The terminal is gone."
        with self._changed:
            self.size = size
            for screen in self._screens:
                screen.resize(lines=size[1], columns=size[0])
        _set_size(self._master, size)

    def wait(self, seconds: float = 120) -> int:
        """Waits for the process's end; its exit code, negative for the signal that ended it."""
        self._reader.join(seconds)
        until = time.monotonic() + seconds
        while self._status is None:
            # The terminal's end comes before the process's by a moment.
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise AssertionError(f"The process did not end. The screen:\n{self.text}")
            else:
                time.sleep(0.01)
        return self._status

    def kill(self, seconds: float = 60) -> int:
        """Takes the terminal away, as a dropped line does; a process that does not mind is killed.

        Returns:
            As ``wait``.
        """
        if self._master is not None:
            os.write(self._wake_write, b"x")
            self._reader.join()
            for descriptor in (self._master, self._wake_read, self._wake_write):
                os.close(descriptor)
            self._master = None
        try:
            return self.wait(seconds)
        except AssertionError:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            return self.wait(seconds)

    # The other side

    def _read(self) -> None:
        master = self._master
        assert master is not None
        while True:
            ready, _, _ = select.select([master, self._wake_read], [], [])
            if self._wake_read in ready:
                break
            try:
                data = os.read(master, 65_536)
            except OSError as error:
                if error.errno != errno.EIO:  # what Linux says once no process has the line any more
                    raise
                data = b""
            if not data:
                break
            came = time.monotonic()
            with self._changed:
                self.bytes_out += len(data)
                self.last_output = came
                self._feed(self._decoder.decode(data))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _feed(self, text: str) -> None:
        text = self._rest + text
        unfinished = _UNFINISHED.search(text)
        self._rest = text[unfinished.start() :] if unfinished else ""
        text = text[: len(text) - len(self._rest)]
        done = 0
        for found in _SPECIAL.finditer(text):
            self._draw(text[done : found.start()])
            done = found.end()
            if found["known"]:
                self._special(found["known"])
        self._draw(text[done:])

    def _draw(self, text: str) -> None:
        if text:
            self._streams[self._alternate].feed(text)

    def _special(self, sequence: str) -> None:
        if sequence == _ASKS_SYNC and self._master is not None:
            os.write(self._master, _HAS_SYNC)
        elif sequence == _ENTER_ALTERNATE:
            self._alternate = True
            self._screens[True].reset()
        elif sequence == _LEAVE_ALTERNATE:
            self._alternate = False
        elif sequence in (_BEGIN_FRAME, _END_FRAME):
            self._in_frame = sequence == _BEGIN_FRAME
            self.frames += not self._in_frame

    def _text(self) -> str:
        return "\n".join(row.rstrip() for row in self._screens[self._alternate].display)


def cpu_seconds_of(pid: int) -> float:
    """Processor time that a process used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _condition(wanted: str | re.Pattern[str] | Callable[[str], Any]) -> Callable[[str], Any]:
    if isinstance(wanted, str):
        return lambda shown: wanted in shown
    return wanted.search if isinstance(wanted, re.Pattern) else wanted


def _spawn(command: Sequence[str], env: Mapping[str, str] | None, line: str) -> int:
    """Starts a process as the leader of a session of its own: the first line that it opens controls it."""
    told = {**(os.environ if env is None else env), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    told.setdefault("LC_ALL", "C.UTF-8")
    # Side by side, pytest's workers say a size of their own, which programs believe more than the terminal.
    for size in ("COLUMNS", "LINES"):
        told.pop(size, None)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, line, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    return os.posix_spawn(command[0], list(command), told, file_actions=actions, setsid=True)


def _set_size(descriptor: int, size: Size) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
