"""A command that is given each message as JSON on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Failed

_SHOWN = 200


class CommandWay:
    """The command, started anew for each message, in a group of its own that is killed after the time."""

    name = "command"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def send(self, message: Message, seconds: float) -> None:
        data = message.model_dump_json(by_alias=True).encode() + b"\n"
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(
                "alert-command-failed",
                f"The command for alerts does not start: {error.strerror}.",
                "Correct alerts.command in the profile.",
            ) from None
        try:
            _, said = process.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(
                "alert-command-hung",
                f"The command for alerts did not end within {seconds:g} s, and was killed.",
                "It is tried again. Let it hand the message over and end; alerts.timeout gives it more time.",
            ) from None
        finally:
            _end(process)
        if process.returncode != 0:
            words = clean(scrub(said.decode(errors="replace").strip()))[-_SHOWN:]
            raise Failed(
                "alert-command-failed",
                f"The command for alerts ended with {process.returncode}" + (f": {words}" if words else "."),
                "It is tried again. See: mdr alerts test",
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills whatever is left of it, what it started included."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()
