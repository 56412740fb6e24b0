"""The documents of scheduled runs in the agents' store; what they say is in ``model.runs``.

``agent/<set>/<id>/runs/<kind>/<due>/<attempt>-<decided|began|ended>.json``, each written where there is none,
and ``-sign.json``, which a job at work writes anew now and then.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mongo_dr_console.model.runs import Began, Decided, Ended, Run
from mongo_dr_console.model.schedule import Entry, Kind, parse_stamp, stamp
from mongo_dr_console.model.scheduleview import Held
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store, StoredObject

D = TypeVar("D", bound=BaseModel)
_PART = re.compile(r"(\d+)-(decided|began|ended|sign)\.json")
_KEPT = 60
_REMEMBERED = 2000


@dataclass(slots=True)
class Runs:
    """All runs of one deployment.

    Args:
        store: That agents share.
        folder: Of the deployment there, with a slash at its end.
    """

    store: Store
    folder: str
    _known: dict[str, BaseModel] = field(default_factory=dict)

    def path(self, kind: Kind, due: datetime, attempt: int) -> str:
        """Of an attempt, without its end."""
        return f"{self.folder}runs/{kind}/{stamp(due)}/{attempt}"

    def since(self, entry: Entry, now: datetime) -> datetime:
        """From when on there is this expression: what was due before it is nobody's."""
        path = f"{self.folder}runs/{entry.kind}/since-{entry.mark}"
        if (known := self._known.get(path)) is not None:
            return _since(known)
        self.store.write_if_absent(path, [Since(at=now).model_dump_json().encode()])
        found = self._read(path, Since)
        self._known[path] = found = Since(at=now) if found is None else found
        return found.at

    def of_kind(self, kind: Kind, newest: int = 1) -> list[Run]:
        """The newest attempts at runs, newest first; of each due at least the last attempt."""
        dues: dict[datetime, dict[int, dict[str, StoredObject]]] = defaultdict(lambda: defaultdict(dict))
        root = f"{self.folder}runs/{kind}/"
        for stored in self.store.list(root):
            day, _, name = stored.path.removeprefix(root).partition("/")
            due, part = parse_stamp(day), _PART.fullmatch(name)
            if due is not None and part is not None:
                dues[due][int(part[1])][part[2]] = stored
        found: list[Run] = []
        for due in sorted(dues, reverse=True):
            for attempt in sorted(dues[due], reverse=True):
                run = self._run(kind, due, attempt, dues[due][attempt])
                if run is not None:
                    found.append(run)
                if len(found) >= newest:
                    return found
        return found

    def decide(self, kind: Kind, due: datetime, attempt: int, document: Decided) -> bool:
        """False where somebody else decided it."""
        return self._put(f"{self.path(kind, due, attempt)}-decided.json", document)

    def hold(self, kind: Kind, held: Held) -> None:
        """Says which run waits, and why."""
        self.store.write(f"{self.folder}runs/{kind}/held.json", [held.model_dump_json().encode()])

    def held(self, kind: Kind) -> Held | None:
        """What was said last; it may be over."""
        try:
            data = b"".join(self.store.read(f"{self.folder}runs/{kind}/held.json"))
            return Held.model_validate_json(data)
        except (Failed, ValidationError):
            return None

    def tidy(self, kind: Kind) -> None:
        """Removes what is long over."""
        root = f"{self.folder}runs/{kind}/"
        there = [o.path for o in self.store.list(root) if o.path.removeprefix(root).count("/") == 1]
        dues = sorted({path.removeprefix(root).partition("/")[0] for path in there})
        for path in there:
            if path.removeprefix(root).partition("/")[0] in dues[:-_KEPT]:
                self.store.delete(path)

    # An attempt, by its path

    def begin(self, path: str, document: Began) -> Began:
        """Says that it began; returns what says so, which may be another's."""
        self._put(f"{path}-began.json", document)
        found = self._read(f"{path}-began.json", Began)
        if found is None:
            raise Failed("run-unread", f"{path}-began.json in store {self.store.name} cannot be read.")
        return found

    def end(self, path: str, document: Ended) -> bool:
        """False where it was said already how it ended."""
        return self._put(f"{path}-ended.json", document)

    def is_ended(self, path: str) -> bool:
        return self.store.size(f"{path}-ended.json") is not None

    def sign(self, path: str) -> None:
        """A sign of life."""
        self.store.write(f"{path}-sign.json", [b"{}"])

    def _run(self, kind: Kind, due: datetime, attempt: int, parts: dict[str, StoredObject]) -> Run | None:
        path = self.path(kind, due, attempt)
        decided = self._read(f"{path}-decided.json", Decided) if "decided" in parts else None
        if decided is None:
            return None
        return Run(
            kind,
            due,
            attempt,
            decided,
            self._read(f"{path}-began.json", Began) if "began" in parts else None,
            self._read(f"{path}-ended.json", Ended) if "ended" in parts else None,
            parts["sign"].modified_at if "sign" in parts else None,
        )

    def _put(self, path: str, document: BaseModel) -> bool:
        return self.store.write_if_absent(path, [document.model_dump_json(by_alias=True).encode()])

    def _read(self, path: str, model: type[D]) -> D | None:
        """None where there is none, or it cannot be understood; none of them ever changes."""
        known = self._known.get(path)
        if isinstance(known, model):
            return known
        try:
            found = model.model_validate_json(b"".join(self.store.read(path)))
        except (Failed, ValidationError):
            return None
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known[path] = found
        return found


class Since(BaseModel):
    """From when on an expression holds."""

    at: datetime


def _since(document: BaseModel) -> datetime:
    assert isinstance(document, Since)
    return document.at
