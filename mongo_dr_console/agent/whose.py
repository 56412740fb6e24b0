"""Whose agent this is: the identity of the profile's deployment, also while that does not answer."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path

from pydantic import ValidationError
from pymongo.errors import PyMongoError

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.identity import read_identity

_EVERY_SECONDS, _UNTIL_KNOWN_SECONDS = 15.0, 1.0


class Whose:
    """Asks the deployment now and then, in a thread of its own, and remembers the last answer on this host:
    an agent that is started while no member answers must know which lease is its own.

    Args:
        uri, environment: Of the profile.
        file: Where it is remembered.
    """

    def __init__(self, uri: str, environment: str, file: Path) -> None:
        self._uri, self._environment, self._file = uri, environment, file
        self._identity = self._remembered()
        self.trouble: Trouble | None = None
        self.asked = threading.Event()
        """Set once the deployment answered, or failed to."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mdr-whose", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def identity(self) -> Identity | None:
        """None: no member ever answered this host."""
        return self._identity

    def _run(self) -> None:
        with closing(
            connect(self._uri, any_member=True, seconds=2, answer_seconds=4, appname="mdr-agent")
        ) as client:
            while not self._stop.is_set():
                self._ask(client)
                self.asked.set()
                known = self._identity is not None and self.trouble is None
                self._stop.wait(_EVERY_SECONDS if known else _UNTIL_KNOWN_SECONDS)

    def _ask(self, client: Client) -> None:
        try:
            found = read_identity(client, self._environment)
        except PyMongoError as error:
            self.trouble = told(error)
        except Trouble as trouble:
            self.trouble = trouble
        else:
            self.trouble = None
            if found != self._identity:
                self._identity = found
                self._remember(found)

    def _remembered(self) -> Identity | None:
        try:
            return Identity.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None

    def _remember(self, identity: Identity) -> None:
        with suppress(OSError):
            part = self._file.with_name(f".{self._file.name}.part")
            part.write_text(identity.model_dump_json(), encoding="utf-8")
            part.replace(self._file)
