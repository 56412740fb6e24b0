"""Running a program of the user's with a document on its standard input, for a limited time."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Failed, Unreachable

_SAID = 400
_END_SECONDS = 2.0


def run_program(command: Sequence[str], document: str, seconds: float) -> str:
    """Starts it in a group of its own and waits for its end; whatever it started ends with it.

    Args:
        command: Program and arguments; no shell.
        document: For its standard input; a program need not read it.
        seconds: After so long it is killed with its group.

    Returns:
        The end of what it said.

    Raises:
        Unreachable: It took too long; whether it has done its work is not known.
        Failed: It cannot be started, or ended with another code than 0.
    """
    # Into a file: a pipe that nobody reads to its end would stop the program, or be held open by its
    # children.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as given:
        given.write(document.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(command), stdin=given, stdout=said, stderr=said, start_new_session=True, close_fds=True
            )
        except OSError as error:
            raise Failed(
                "program-missing",
                f"The program {command[0]} cannot be started: {error.strerror}. Nothing was changed by it.",
                "Correct command in the profile, or the file's mode.",
            ) from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unreachable(
                "program-hangs",
                f"The program {command[0]} did not end within {seconds:g} s and was killed with all that it "
                "started; "
                "whether it has done its work is not known." + _quoted(said),
            ) from None
        finally:
            _end_group(process)
        if code != 0:
            raise Failed(
                "program-failed", f"The program {command[0]} ended with {_ended(code)}.{_quoted(said)}"
            )
        return _tail(said)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _tail(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return scrub(lines[-1]) if lines else ""


def _quoted(said: IO[bytes]) -> str:
    text = _tail(said)
    return f" It said: {text}" if text else ""
