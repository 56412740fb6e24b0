"""What people order about alerts, and what the agents remember of them: small documents where the agents of a
deployment share what the next leader must know."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mongo_dr_console.model.alert import Ack, Silence
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Orders:
    """The acknowledgements and silences that lie in a place."""

    acks: tuple[Ack, ...] = ()
    silences: tuple[Silence, ...] = ()

    def joined(self, other: Orders) -> Orders:
        acks = {a.alert: a for a in (*self.acks, *other.acks)}
        silences = {s.id: s for s in (*self.silences, *other.silences)}
        return Orders(tuple(acks.values()), tuple(silences.values()))


@dataclass
class AlertPlace:
    """The documents of one deployment in one store.

    Args:
        folder: Where they lie, with a slash at its end.
    """

    store: Store
    folder: str
    _known: dict[str, BaseModel | None] = field(default_factory=dict)

    def read_facts(self) -> AlertFacts | None:
        """What a leader wrote last; None: there was none, or it cannot be understood.

        Raises:
            Unreachable: The store does not answer.
        """
        try:
            return AlertFacts.model_validate_json(b"".join(self.store.read(f"{self.folder}alerts.json")))
        except (Failed, ValidationError):
            return None

    def write_facts(self, facts: AlertFacts) -> None:
        self._write("alerts.json", facts.model_dump_json(by_alias=True))

    def read_orders(self) -> Orders:
        """All that lie there; what was read before is not read again, since they are never changed.

        Raises:
            Unreachable: The store does not answer.
        """
        there = {o.path for o in self.store.list(f"{self.folder}alerts/")}
        self._known = {path: known for path, known in self._known.items() if path in there}
        for path in there - set(self._known):
            self._known[path] = self._read(path)
        return self.seen

    @property
    def seen(self) -> Orders:
        """Those of the last ``read_orders``."""
        return Orders(tuple(self._of(Ack)), tuple(self._of(Silence)))

    def write_ack(self, ack: Ack) -> None:
        """An acknowledgement; one of the same alert is replaced."""
        self._known.pop(f"{self.folder}{_ack(ack.alert)}", None)
        self._write(_ack(ack.alert), ack.model_dump_json(indent=1))

    def write_silence(self, silence: Silence) -> None:
        self._write(_silence(silence.id), silence.model_dump_json(indent=1))

    def remove_ack(self, alert: str) -> None:
        self.store.delete(f"{self.folder}{_ack(alert)}")

    def remove_silence(self, silence: str) -> None:
        self.store.delete(f"{self.folder}{_silence(silence)}")

    def _of(self, kind: type[M]) -> Iterable[M]:
        return (known for known in self._known.values() if isinstance(known, kind))

    def _read(self, path: str) -> BaseModel | None:
        kind: type[BaseModel] = Ack if "/acks/" in path else Silence
        try:
            return kind.model_validate(json.loads(b"".join(self.store.read(path))))
        except (Failed, ValueError):
            # Damaged, or gone meanwhile: it orders nothing.
            return None

    def _write(self, path: str, text: str) -> None:
        # A disk that is not mounted must not be written beneath.
        self.store.folders()
        self.store.write(f"{self.folder}{path}", [text.encode() + b"\n"])


def _ack(alert: str) -> str:
    return f"alerts/acks/{alert}.json"


def _silence(silence: str) -> str:
    return f"alerts/silences/{silence}.json"
