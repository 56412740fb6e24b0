"""Uploading one object: in one request, or in parts side by side, with a SHA-256 on each and bounded
memory."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from mongo_dr_console.model.trouble import Failed, Interrupted, Trouble
from mongo_dr_console.stores import s3_errors
from mongo_dr_console.stores.s3_client import Bucket

PART_BYTES = 8 * 1024 * 1024
"""An object up to this size is one request; the first parts of a larger one are as large."""
_DOUBLED_EVERY = 2000
_PARTS = 10_000
_LANES = 4
_IN_FLIGHT_BYTES = 48 * 1024 * 1024
_TOKEN = "mdr-write"

UploadNote = Callable[["Begun"], Callable[[], None]]
"""Called before the first part; what it returns is called once the upload is over."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A part that the service has.

    Args:
        checksum: SHA-256 as it is sent; empty where the service does not tell.
        tag: Its ETag: with most services and encryptions the MD5 of the part.
    """

    size: int
    checksum: str
    tag: str

    def is_of(self, data: bytes, digest: str) -> bool:
        """Whether it was made from this. What cannot be told is another."""
        if self.size != len(data):
            return False
        if self.checksum:
            return self.checksum == digest
        return self.tag.strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload under way.

    Args:
        token: What its object says of who made it.
        parts: What of it arrived, by number.
    """

    key: str
    upload: str
    token: str
    parts: Mapping[int, Arrived] = field(default_factory=dict)


class Lanes:
    """What the uploads of one store share: threads, and how much may be in memory on its way."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(_LANES, "mdr-s3")
        self._used = 0
        self._room = threading.Condition()

    def take(self, size: int) -> None:
        """Waits until so much may be on its way too; one part alone always may."""
        with self._room:
            self._room.wait_for(lambda: not self._used or self._used + size <= _IN_FLIGHT_BYTES)
            self._used += size

    def give_back(self, size: int) -> None:
        with self._room:
            self._used -= size
            self._room.notify_all()


class Upload:
    """One object that is being written; it appears whole with ``finish``, or not at all. Not to be used from
    two threads at a time."""

    def __init__(
        self,
        bucket: Bucket,
        lanes: Lanes,
        key: str,
        *,
        if_absent: bool = False,
        note: UploadNote | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.key, self.size = key, 0
        self.written_at = datetime.now(UTC)
        """By the service's clock, once it is finished."""
        self._bucket, self._lanes, self._note = bucket, lanes, note
        self._condition = {"IfNoneMatch": "*"} if if_absent else {}
        self._token = secrets.token_hex(8)
        self._facts = dict(facts or {})
        self._arrived: Mapping[int, Arrived] = {}
        self._buffer = bytearray()
        self._id: str | None = None
        self._over: Callable[[], None] = lambda: None
        self._parts: list[Future[dict[str, Any]]] = []
        self._cancelled = threading.Event()

    def go_on(self, begun: Begun, over: Callable[[], None]) -> None:
        """Takes up an upload that another process left; what is to be written is the same from the start, and
        parts that arrived are not sent again.

        Args:
            over: Called once the upload is over.
        """
        self._id, self._token, self._arrived, self._over = begun.upload, begun.token, begun.parts, over

    def leave(self) -> None:
        """Ends as if killed: what arrived stays, for ``go_on``."""
        self._cancelled.set()
        self._buffer.clear()
        wait(self._parts)
        self._parts.clear()

    def write(self, data: bytes | memoryview) -> None:
        """Raises Trouble where a part could not be sent, also an earlier one."""
        self._buffer += data
        self.size += len(data)
        while len(self._buffer) > self._part_bytes:
            self._send(bytes(memoryview(self._buffer)[: self._part_bytes]))

    def finish(self) -> bool:
        """False where there was one already, with ``if_absent``.

        Raises:
            Trouble: It was not written.
        """
        try:
            done = self._put_whole() if self._id is None else self._complete()
        except BaseException:
            self.abort()
            raise
        self._over()
        return done

    def abort(self) -> None:
        """Takes back what was sent, as far as the store answers; ``sweep`` finds the rest."""
        self._cancelled.set()
        self._buffer.clear()
        wait(self._parts)
        self._parts.clear()
        if self._id is None:
            return
        upload, self._id = self._id, None
        try:
            self._bucket.call(
                "abort_multipart_upload", Key=self.key, UploadId=upload, allow=s3_errors.is_no_such_upload
            )
        except Trouble:
            return
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
        self._over()

    @property
    def _part_bytes(self) -> int:
        return PART_BYTES << (len(self._parts) // _DOUBLED_EVERY)

    def _put_whole(self) -> bool:
        data = bytes(self._buffer)
        self._buffer.clear()
        return self._unless_there(
            "put_object",
            Key=self.key,
            Body=data,
            ChecksumSHA256=_digest(data),
            Metadata={_TOKEN: self._token, **self._facts},
            **self._bucket.encryption,
            **self._condition,
        )

    def _begin(self) -> str:
        answer = self._bucket.call(
            "create_multipart_upload",
            Key=self.key,
            ChecksumAlgorithm="SHA256",
            Metadata={_TOKEN: self._token, **self._facts},
            **self._bucket.encryption,
        )
        upload = str(answer["UploadId"])
        self._id = upload
        if self._note is not None:
            self._over = self._note(Begun(self.key, upload, self._token))
        return upload

    def _send(self, data: bytes) -> None:
        del self._buffer[: len(data)]
        for part in self._parts:
            if part.done():
                part.result()
        if len(self._parts) == _PARTS:
            raise Failed(
                "object-too-large",
                f"{self.key} has more parts than S3 takes ({_PARTS:,}). No snapshot was made.",
                "Compress it (--compression zstd), or back up into a local store.",
            )
        upload = self._id or self._begin()
        number = len(self._parts) + 1
        self._lanes.take(len(data))
        self._parts.append(self._lanes.pool.submit(self._upload, upload, number, data))

    def _upload(self, upload: str, number: int, data: bytes) -> dict[str, Any]:
        try:
            if self._cancelled.is_set():
                return {}
            digest = _digest(data)
            arrived = self._arrived.get(number)
            if arrived is not None and arrived.is_of(data, digest):
                return {"PartNumber": number, "ETag": arrived.tag, "ChecksumSHA256": digest}
            answer = self._bucket.call(
                "upload_part",
                Key=self.key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=digest,
                check=self._check,
            )
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}
        finally:
            self._lanes.give_back(len(data))

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Interrupted("upload-cancelled", f"The upload of {self.key} was given up.")

    def _complete(self) -> bool:
        if self._buffer:
            self._send(bytes(self._buffer))
        parts = [part.result() for part in self._parts]
        done = self._unless_there(
            "complete_multipart_upload",
            Key=self.key,
            UploadId=self._id,
            MultipartUpload={"Parts": parts},
            **self._condition,
        )
        if not done:
            self.abort()
        self._id = None
        return done

    def _unless_there(self, operation: str, **words: Any) -> bool:
        """Makes the object. Where an answer was lost and the request sent again, the second one is told that
        there is one already, or no such upload any more: ours, if it has our token."""
        try:
            answer = self._bucket.call(operation, allow=_is_ambiguous, **words)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            if getattr(error, "tries", 1) > 1 and self._is_there():
                return True
            if s3_errors.is_there_already(error) and self._condition:
                return False
            raise s3_errors.told(error, self._bucket.name, self._bucket.where) from None
        self._note_time(answer)
        return True

    def _note_time(self, answer: dict[str, Any]) -> None:
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        with suppress(TypeError, ValueError):
            self.written_at = parsedate_to_datetime(told).astimezone(UTC)

    def _is_there(self) -> bool:
        try:
            facts = self._bucket.call("head_object", Key=self.key, allow=s3_errors.is_missing)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            return False
        self._note_time(facts)
        return bool(facts.get("Metadata", {}).get(_TOKEN) == self._token)


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _is_ambiguous(error: BaseException) -> bool:
    return s3_errors.is_there_already(error) or s3_errors.is_no_such_upload(error)
