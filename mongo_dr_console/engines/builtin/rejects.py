"""What the server did not take: counted, and kept in a file beside the job's journal."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from threading import Lock

from mongo_dr_console.model import extjson

FILE = "rejected.jsonl"
SHOWN = 1000
"""Documents of one broken unique index that are listed."""


class Rejects:
    """A line of JSON a document: its namespace, why, and the document itself in canonical Extended JSON (or,
    where that cannot carry it unchanged, its bytes). Used from several threads.

    Args:
        path: The file; made when there is something to write. None: only counted.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, namespace: str, why: str, raw: bytes, *, kept: bool = False) -> None:
        """Args:
        kept: The document is in the restored collection all the same; it only stands in an index's way.
        """
        head = json.dumps({"namespace": namespace, "why": why, "restored": kept})
        line = f"{head[:-1]}, {packed(raw)}}}"
        with self._lock:
            if not kept:
                self.counts[namespace] += 1
            if self.path is None:
                return
            self.path.touch(mode=0o600)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def begin(self, namespace: str) -> None:
        """Forgets what is known of a namespace, since it is loaded again from its beginning."""
        with self._lock:
            self.counts.pop(namespace, None)
            if self.path is None or not self.path.exists():
                return
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            rest = [line for line in lines if json.loads(line)["namespace"] != namespace]
            self.path.write_text("".join(rest), encoding="utf-8")


def packed(raw: bytes) -> str:
    try:
        return f'"document": {extjson.dumps(raw)}'
    except extjson.NotCanonical:
        return f'"bson": "{base64.b64encode(raw).decode()}"'
