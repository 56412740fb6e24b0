"""A tool as a child process: told its secrets by a descriptor, read line by line, stopped in two steps."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import unquote

from mongo_dr_console.engines.mongo_tools.output import GaveUp, Messages, Other, Said, parse
from mongo_dr_console.engines.mongo_tools.tools import Tool
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.mongo import processes

INTERRUPT_SECONDS = 10.0
"""How long a tool that was asked to stop may finish what it is at, before it is asked again."""

_LOOK_SECONDS = 0.2
_LONGEST_LINE = 64 * 1024
_LAST_LINES = 5

_LOGIN = ("auth error", "AuthenticationFailed", "sasl conversation error")
_CONNECTION = ("can't create session", "error connecting to host", "server selection error")


@dataclass(slots=True)
class ToolRun:
    """One run of a tool.

    Args:
        tool: What is run.
        words: Its arguments, without the connection; nothing secret.
        uri: Of the deployment; goes through a descriptor only.
        hear: Gets every line, understood.
        check: Asked several times a second; raises to stop the tool.
        stop_seconds: See ``INTERRUPT_SECONDS``.
    """

    tool: Tool
    words: Sequence[str]
    uri: str
    hear: Callable[[Said], None]
    check: Callable[[], None]
    stop_seconds: float = INTERRUPT_SECONDS
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    _messages: Messages = field(default_factory=Messages)
    _error: str = ""

    def run(self) -> int:
        """Runs it to its end; returns its exit code, negative for a signal.

        Raises:
            Failed: ``tool-broken`` where it cannot be started.
            Trouble: Whatever ``check`` raises, after the tool has ended.
        """
        config = _config_pipe(self.uri)
        try:
            process = self._start(config)
        finally:
            os.close(config)
        assert process.stderr is not None
        try:
            self._listen(process, process.stderr)
            return process.wait()
        except BaseException:
            self._stop(process)
            raise
        finally:
            process.stderr.close()

    def trouble(self, code: int) -> Trouble:
        """What its end means, in its own last words; URIs and passwords taken out."""
        name = self.tool.path.name
        said = self._error or next((line for line in reversed(self._last) if line), "")
        words = scrub(said, secrets_in(self.uri)) or f"it ended with {code} and said nothing"
        if any(sign in said for sign in _LOGIN):
            return Unreachable(
                "authentication-failed",
                f"The deployment refuses {name}'s user or password: {words}",
                "Correct the URI of the profile; --authenticationDatabase is authSource in a URI.",
            )
        if any(sign in said for sign in _CONNECTION):
            return Unreachable("deployment-unreachable", f"{name} cannot reach the deployment: {words}")
        if "no space left on device" in said:
            return Failed(
                "store-full",
                f"There is no room left: {words}. What was half written was removed.",
                "Free space.",
            )
        return Failed(
            "tool-failed",
            f"{name} {self.tool.version} ended with {code}: {words}.",
            "Once the cause is gone, start again; or use the builtin engine: --engine builtin",
        )

    def _start(self, config: int) -> subprocess.Popen[bytes]:
        command = [str(self.tool.path), f"--config=/dev/fd/{config}", *self.words]
        try:
            return subprocess.Popen(
                # A tool that outlived a killed job would go on writing beside the job's next run.
                processes.die_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(config,),
                process_group=0,
                env=_environment(os.environ, secrets_in(self.uri)),
            )
        except OSError as error:
            raise Failed("tool-broken", f"{self.tool.path} cannot be started: {error.strerror}.") from None

    def _listen(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        rest = b""
        while True:
            self.check()
            ready, _, _ = select.select([pipe], [], [], _LOOK_SECONDS)
            if not ready:
                self._take_all(self._messages.flush())
                # A grandchild may hold the pipe open; the tool itself is what counts.
                if process.poll() is not None:
                    break
                continue
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take_all(self._messages.feed(_text(line)))
            if len(rest) > _LONGEST_LINE:
                self._take_all(self._messages.feed(_text(rest)))
                rest = b""
        if rest:
            self._take_all(self._messages.feed(_text(rest)))
        self._take_all(self._messages.flush())

    def _take_all(self, messages: Iterable[str]) -> None:
        for message in messages:
            said = parse(message)
            if isinstance(said, GaveUp):
                self._error = said.error
            elif isinstance(said, Other):
                self._last.append(said.text.strip())
            self.hear(said)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGINT lets it end in order, a second one at once; what is deaf to both is killed."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if process.poll() is not None:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            self._drain(process)

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """Waits for the end, and keeps the pipe empty so that nothing blocks on it."""
        assert process.stderr is not None
        deadline = time.monotonic() + self.stop_seconds
        while process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([process.stderr], [], [], 0.05)
            if ready and not os.read(process.stderr.fileno(), 65536):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def secrets_in(uri: str) -> tuple[str, ...]:
    """The URI and the password in it, as written and decoded."""
    login, at, _ = uri.partition("://")[2].partition("?")[0].rpartition("@")
    password = login.partition(":")[2] if at else ""
    return tuple(text for text in (uri, password, unquote(password)) if len(text) > 2)


def _environment(variables: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    """Ours, without the variables that hold the URI (as ``uri_env`` may) or its password."""
    return {
        name: value
        for name, value in variables.items()
        if "mongodb://" not in value and "mongodb+srv://" not in value and value.strip() not in secrets
    }


def _config_pipe(uri: str) -> int:
    """A descriptor that a tool reads its connection from, once; it is on no disk and in no list of processes.

    JSON is YAML, so no character of a URI can end the text early.
    """
    reading, writing = os.pipe()
    try:
        os.write(writing, f"uri: {json.dumps(uri)}\n".encode())
    finally:
        os.close(writing)
    return reading
