"""The endpoint of a profile: where applications are led. It says either the old primary or the new one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from mongo_dr_console.config import ExecEndpoint, FileEndpoint, Profile, Route53Endpoint
from mongo_dr_console.model.failoverdoc import EndpointContent, check_order
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers.program import run_program

_MODE = 0o644
_PREFIX = "MDR_"
_FIELDS = ("set_name", "primary", "host", "port", "term", "switched_at", "by", "fence")


class EndpointWriter(Protocol):
    """One kind of endpoint. Its calls may block for as long as its configuration says.

    Args:
        kind: As in the configuration.
        where: Which file, program or record, in words.
    """

    kind: str
    where: str

    def read(self) -> EndpointContent | None:
        """What it says now; None where it was never written.

        Raises:
            Trouble: That cannot be known.
        """
        ...

    def write(self, content: EndpointContent, *, force: bool = False) -> None:
        """Leads applications there; whole, or not at all.

        Args:
            force: Also to a lower term.

        Raises:
            Refused: What stands there is newer, or another set's.
            Trouble: It still says what it said, as far as can be known.
        """
        ...

    def by_hand(self, content: EndpointContent) -> str:
        """The step that a person takes where this does not succeed."""
        ...


def endpoint_of(profile: Profile, kept: Path) -> EndpointWriter | None:
    """The profile's endpoint; None where it has none.

    Args:
        kept: A file of ours, where what a program was told last is kept: programs cannot be asked.
    """
    match profile.endpoint:
        case FileEndpoint() as config:
            return FileWriter(config)
        case ExecEndpoint() as config:
            return ExecWriter(config, kept)
        case Route53Endpoint() as config:
            from mongo_dr_console.workers.endpoint_route53 import Route53Writer

            return Route53Writer(config)
    return None


class FileWriter:
    """A file, replaced as a whole."""

    kind = "file"

    def __init__(self, config: FileEndpoint) -> None:
        self._path = config.path.expanduser()
        self.where = str(self._path)
        lines = self._path.suffix == ".env" or self._path.name == ".env"
        self._lines = config.format == "env" or (config.format == "auto" and lines)

    def read(self) -> EndpointContent | None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Failed(
                "endpoint-unreadable",
                f"The endpoint's file cannot be read: {self._path}: {why}.",
                "Correct its owner and mode.",
            ) from None
        return parse(text, str(self._path))

    def write(self, content: EndpointContent, *, force: bool = False) -> None:
        text = as_lines(content) if self._lines else content.model_dump_json(by_alias=True, indent=1) + "\n"
        try:
            with _turn(self._path):
                if not force:
                    check_order(self.read(), content)
                _replace(self._path, text)
        except OSError as error:
            raise Failed(
                "endpoint-unwritten",
                f"The endpoint's file cannot be written: {self._path}: {error.strerror}. It says what it "
                "said before.",
                "Let this user write into its folder, or make room on its disk.",
            ) from None

    def by_hand(self, content: EndpointContent) -> str:
        return f"Let {self._path} name {content.primary} (term {content.term}), or: mdr endpoint switch"


class ExecWriter:
    """A program; what it took last is kept in a file of ours."""

    kind = "exec"

    def __init__(self, config: ExecEndpoint, kept: Path) -> None:
        self._command, self._seconds = config.command, config.timeout.total_seconds()
        self._kept = kept
        self.where = shlex.join(config.command[:1])

    def read(self) -> EndpointContent | None:
        try:
            return parse(self._kept.read_text(encoding="utf-8"), str(self._kept))
        except OSError:
            return None

    def write(self, content: EndpointContent, *, force: bool = False) -> None:
        if not force:
            check_order(self.read(), content)
        run_program(self._command, content.model_dump_json(by_alias=True) + "\n", self._seconds)
        self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(self._kept, content.model_dump_json(by_alias=True) + "\n")

    def by_hand(self, content: EndpointContent) -> str:
        return (
            f"See why {self.where} does not succeed, lead applications to {content.primary}, then: mdr "
            "endpoint switch"
        )


def as_lines(content: EndpointContent) -> str:
    """As `NAME=value`, quoted for a shell where it must be."""
    data = content.model_dump(mode="json")
    return "".join(f"{_PREFIX}{name.upper()}={shlex.quote(str(data[name]))}\n" for name in _FIELDS)


def parse(text: str, where: str) -> EndpointContent | None:
    """What was written; of an empty file None.

    Raises:
        Failed: It is somebody else's file.
    """
    if not text.strip():
        return None
    try:
        return EndpointContent.model_validate(
            json.loads(text) if text.lstrip().startswith("{") else _of_lines(text)
        )
    except (ValueError, ValidationError):
        raise Failed(
            "endpoint-foreign",
            f"{where} is not what mdr writes as an endpoint, so it is not overwritten.",
            "Name another file, or remove this one.",
        ) from None


def _of_lines(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.startswith(_PREFIX):
            found[name.removeprefix(_PREFIX).lower()] = "".join(shlex.split(value))
    return found


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Reading and replacing is one step for all processes of this host."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, also after a crash; mode and owner stay where they can."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        before = path.stat()
        mode = stat.S_IMODE(before.st_mode)
    except FileNotFoundError:
        before, mode = None, _MODE
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                if before is not None:
                    _keep_owner(file.fileno(), before)
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return  # a file system that cannot flush a folder
        raise


def _keep_owner(descriptor: int, before: os.stat_result) -> None:
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        return
