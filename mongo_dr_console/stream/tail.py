"""Tailing one member's oplog, after proof that it continues what was had before (server-rules 13, 14)."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from types import TracebackType
from typing import Any

from pymongo import CursorType
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.mongo.oplog import ends, entry_at

_AWAIT_MS = 250
_ANSWER_SECONDS = 8.0


class Joint(StrEnum):
    """What a member says about the entry that one had last."""

    SAME = "same"
    BEHIND = "behind"
    GONE = "gone"
    OTHER = "other"


def judge(link: Link, found: Link | None, oldest: Position, newest: Position) -> Joint:
    """Whether a member's oplog goes on from ``link``.

    Args:
        found: The member's first majority-committed entry at or after the link's position; None where there
            is none yet.
        oldest, newest: Both ends of the member's oplog, read after ``found``.
    """
    if found == link:
        return Joint.SAME
    if found is not None and found.position == link.position:
        return Joint.OTHER
    if oldest > link.position:
        return Joint.GONE
    if newest < link.position or found is None:
        return Joint.BEHIND
    return Joint.OTHER


class MemberTail:
    """A tailable cursor on one member's oplog, raw, majority-committed entries only.

    Args:
        uri: Of the profile.
        member: ``host:port``.
    """

    def __init__(self, uri: str, member: str, *, appname: str) -> None:
        self.member = member
        self.oldest = self.newest = Position(0, 0)
        self._client: Client = connect(
            member_uri(uri, member), direct=True, seconds=4, answer_seconds=_ANSWER_SECONDS, appname=appname
        )
        self._cursor: Any = None
        self._rest = b""

    def __enter__(self) -> MemberTail:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    @property
    def client(self) -> Client:
        return self._client

    def join(self, link: Link) -> Joint:
        """Opens the cursor at the entry that must be there, and compares it.

        Raises:
            Unreachable, Refused, Failed: As the member says.
        """
        oplog: Any = self._oplog()
        try:
            self._cursor = oplog.find_raw_batches(
                {"ts": {"$gte": link.position.timestamp}},
                cursor_type=CursorType.TAILABLE_AWAIT,
                batch_size=20000,
            ).max_await_time_ms(_AWAIT_MS)
            batch = next(self._cursor, None) or b""
        except PyMongoError as error:
            raise told(error) from None
        first = next(rawbson.split(batch), None) if batch else None
        self.oldest, self.newest = ends(self._client)
        joint = judge(link, None if first is None else Link.of(first), self.oldest, self.newest)
        if joint is Joint.SAME:
            assert first is not None
            self._rest = batch[len(first) :]
        return joint

    def next(self) -> bytes:
        """The next batch; empty where none came within a moment.

        Raises:
            Unreachable: The member, or the cursor, is gone: join anew.
            Failed, Refused: As the member says.
        """
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        try:
            batch = next(self._cursor, None)
        except PyMongoError as error:
            raise told(error) from None
        if batch is None and not self._cursor.alive:
            raise Unreachable("tail-ended", f"{self.member} ended the reading of its oplog.")
        return batch or b""

    def link_at(self, position: Position) -> Link | None:
        """What this member has at a position."""
        raw = entry_at(self._client, position)
        return None if raw is None else Link.of(raw)

    def first_link(self) -> Link:
        """The oldest entry.

        Raises:
            Unreachable: It has none that is majority-committed.
        """
        oplog: Any = self._oplog()
        try:
            with closing(oplog.find_raw_batches({}, batch_size=1).limit(1)) as cursor:
                batch: bytes | None = next(cursor, None)
        except PyMongoError as error:
            raise told(error) from None
        if not batch:
            raise Unreachable("member-behind", f"{self.member} has no oplog yet.")
        return Link.of(next(rawbson.split(batch)))

    def _oplog(self) -> Any:
        return self._client.local.get_collection(
            "oplog.rs", codec_options=rawbson.RAW, read_concern=ReadConcern("majority")
        )


def ordered(batch: bytes, after: Link) -> None:
    """Refuses a batch whose ends do not come after ``after``; a cursor gives what lies between in order.

    Raises:
        Unreachable: So that it is asked again, from the last entry that was good.
    """
    first = head(batch)
    if first.position <= after.position or first.term < after.term:
        raise Unreachable(
            "member-out-of-order", f"A member gave the entry at {first.position} after {after.position}."
        )
