"""Server and stores watched for writes, whoever writes and however briefly.

with nothing_written(replica_set, folders): ...        fails where anything was written meanwhile
with our_own(): ...                                    what a test itself does to the folders meanwhile
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bson.timestamp import Timestamp
from pymongo import monitoring

from support.scene import files_in

READING = frozenset(
    {
        *("aggregate", "authenticate", "buildInfo", "buildinfo", "collStats", "connectionStatus", "count"),
        *("dbStats", "distinct", "endSessions", "explain", "find", "getCmdLineOpts", "getLog", "getMore"),
        *("getParameter", "hello", "hostInfo", "isMaster", "ismaster", "killCursors", "listCollections"),
        *("listCommands", "listDatabases", "listIndexes", "ping", "replSetGetConfig", "replSetGetStatus"),
        *("rolesInfo", "saslContinue", "saslStart", "serverStatus", "top", "usersInfo", "whatsmyuri"),
    }
)
"""Commands that write nothing; every other one counts as a write."""

AMONG_THEMSELVES = {
    *("replSetHeartbeat", "replSetRequestVotes", "replSetUpdatePosition", "_isSelf", "update", "delete"),
}
"""What the server's members and its own book-keeping of sessions send."""

_CHANGING = {
    *("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"),
}
_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@contextmanager
def nothing_written(replica_set: Any, folders: Sequence[Path], *, moved: bool = False) -> Iterator[None]:
    """Fails where the server or the folders were written to meanwhile.

    The server: by its oplog, its counters of commands, and every command that this process sent anywhere. The
    folders: by their files' hashes, by every time of a file or folder (a file that comes and goes leaves its
    folder's), and by every call of this process.

    Args:
        moved: The test itself changes the folders and changes them back: their times tell nothing.
    """
    with closing(replica_set.client()) as client:
        files, times = [files_in(f) for f in folders], [times_in(f) for f in folders]
        start = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
        counted = _counters(client)
        with _WATCH.on(folders) as seen:
            yield
        assert seen == []
        now = _counters(client)
        # Another primary has counted other commands; what it was written, its oplog has.
        if now.pop("me") == counted.pop("me"):
            more = {c: n for c, n in now.items() if n != counted.get(c)}
            assert not more, f"commands that write reached the server: {more}"
        assert _oplog_since(client, start) == []
        changed = [set(files_in(f).items()) ^ set(old.items()) for f, old in zip(folders, files, strict=True)]
        assert not any(changed), changed
        assert moved or [times_in(f) for f in folders] == times


@contextmanager
def our_own() -> Iterator[None]:
    """What this thread does now is the test's own doing."""
    _WATCH.own.now = True
    try:
        yield
    finally:
        _WATCH.own.now = False


def times_in(folder: Path) -> dict[str, int]:
    """When each file and folder was changed last."""
    return {str(p.relative_to(folder)): p.lstat().st_mtime_ns for p in (folder, *sorted(folder.rglob("*")))}


def _counters(client: Any) -> dict[str, Any]:
    """Of the primary, with its process."""
    status = client.admin.command("serverStatus")
    harmless = READING | AMONG_THEMSELVES
    counted = status["metrics"]["commands"].items()
    return {"me": (status["host"], status["pid"])} | {
        c: n["total"] for c, n in counted if isinstance(n, dict) and c not in harmless
    }


def _oplog_since(client: Any, start: Timestamp) -> list[dict[str, Any]]:
    by_somebody = {"op": {"$ne": "n"}, "ns": {"$not": {"$regex": "^config[.]"}}}
    return list(client.local["oplog.rs"].find({"ts": {"$gt": start}, **by_somebody}))


class _Watch(monitoring.CommandListener):
    """What this process sends and does, while it is on. A hook cannot be taken away again."""

    def __init__(self) -> None:
        self.own = threading.local()
        self._roots: tuple[str, ...] = ()
        self._seen: list[str] = []
        self._is_on = False
        monitoring.register(self)
        sys.addaudithook(self._hook)

    @contextmanager
    def on(self, folders: Sequence[Path]) -> Iterator[list[str]]:
        self._roots = tuple(str(f.absolute()) for f in folders)
        self._seen, self._is_on = [], True
        try:
            yield self._seen
        finally:
            self._is_on = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self._is_on and not self._own and _writes(event.command_name, event.command):
            self._seen.append(f"{event.command_name} to {event.database_name}")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Told by ``started``."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Told by ``started``."""

    @property
    def _own(self) -> bool:
        return getattr(self.own, "now", False)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or event not in _CHANGING or self._own:
            return
        if event == "open" and not (arguments[2] or 0) & _WRITING_FLAGS:
            return
        for path in arguments[:2]:
            if isinstance(path, str | bytes | os.PathLike):
                where = str(Path(os.fsdecode(path)).absolute())
                if any(f"{where}/".startswith(f"{root}/") for root in self._roots):
                    self._seen.append(f"{event} {where}")


def _writes(name: str, command: Any) -> bool:
    if name == "aggregate":
        return any(key in stage for stage in command.get("pipeline", ()) for key in ("$out", "$merge"))
    return name not in READING


_WATCH = _Watch()
