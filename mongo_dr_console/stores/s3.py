"""A store in an S3 bucket."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from mongo_dr_console.config import S3StoreConfig
from mongo_dr_console.model.catalogue import is_snapshot_name
from mongo_dr_console.model.manifest import MANIFEST_NAME
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.stores import patience as patiences
from mongo_dr_console.stores import s3_errors
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.s3_client import Bucket
from mongo_dr_console.stores.s3_upload import Arrived, Begun, Lanes, Upload, UploadNote
from mongo_dr_console.stores.store import StoredObject

WRITING = ".writing"
"""Folder with a mark for every snapshot that is being written: until its manifest is there, none of its
objects is listed. S3 renames nothing, so that a snapshot's objects lie under their own names from the
start."""

SPREAD = "oplog"
"""A folder with so many objects that the days in it are listed side by side."""
_DAYS_BELOW = 2
"""Slashes in the name of a folder that has days in it."""

_SIGNS = (f"{WRITING}/", "claims/", "agent/")
_CHUNK = 1024 * 1024
_PAUSE_SECONDS = 0.2
_DELETERS = 8
_LOOKERS, _STRETCH, _WORTH_A_PAGE = 8, 50, 10


class S3Store:
    """The protocol of ``stores.store`` on a bucket and prefix. An object appears whole or not at all: in one
    request, or with the end of a multipart upload.

    Args:
        patience: How long it is waited for; None for what this process does.
    """

    dear_heads = True
    """Size and time of thousands of objects take seconds."""

    def __init__(self, name: str, config: S3StoreConfig, patience: Patience | None = None) -> None:
        self.name = name
        self.config = config
        self.bucket = Bucket(name, config, patience or patiences.of_this_process())
        #: The prefix with ``/`` at its end; empty for the whole bucket.
        self.root = f"{config.prefix.strip('/')}/" if config.prefix.strip("/") else ""

    def describe(self) -> str:
        return self.bucket.where

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        top, inside, _ = prefix.partition("/")
        if top == SPREAD and prefix.endswith("/"):
            yield from (o for o in self._spread(prefix) if not _is_hidden(o.path))
            return
        unfinished = self.unfinished() if is_snapshot_name(top) or not inside else {}
        for folder, group in itertools.groupby(self.objects(prefix), lambda o: o.path.partition("/")[0]):
            visible = (o for o in group if not _is_hidden(o.path))
            yield from self._finished(folder, visible) if folder in unfinished else visible

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        parent = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        found = {
            common["Prefix"].removeprefix(self.root + parent).strip("/")
            for page in self._pages("list_objects_v2", self.root + parent, Delimiter="/")
            for common in page.get("CommonPrefixes", ())
        }
        if not parent:
            found -= {name for name in self.unfinished() if self.size(f"{name}/{MANIFEST_NAME}") is None}
        return tuple(sorted(name for name in found if name and name[0] != "."))

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        key, at, version = self._key(path), start, ""
        end = None if length is None else start + length
        if length == 0:
            self._head(path, key)
            return
        came = time.monotonic()
        while True:
            answer = self._get(path, key, at, end, version)
            if answer is None:
                return
            version = answer["ETag"]
            try:
                # What came before the connection broke was given already; the next try begins behind it.
                while chunk := answer["Body"].read(_CHUNK):
                    at, came = at + len(chunk), time.monotonic()
                    yield chunk
                    # However long the reader took with it.
                    came = time.monotonic()
                return
            except Exception as error:
                if not s3_errors.is_ours(error):
                    raise
                if not s3_errors.passes(error) or self._is_over(came):
                    raise s3_errors.told(error, self.name, self.describe()) from None
                time.sleep(_PAUSE_SECONDS)
            finally:
                answer["Body"].close()
            if end is not None and at >= end:
                return

    def heads(self, paths: Sequence[str]) -> tuple[StoredObject, ...]:
        """Size and time of those of these objects that there are, also of what ``list`` hides. In stretches
        side by side, each by listing what lies between: a page has a thousand objects. Where that is more
        than asking one by one, they are asked one by one."""
        wanted = sorted(paths)
        size = max(_STRETCH, -(-len(wanted) // _LOOKERS))
        stretches = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        with ThreadPoolExecutor(_LOOKERS) as pool:
            return tuple(o for found in pool.map(self._stretch, stretches) for o in found)

    def _stretch(self, paths: Sequence[str]) -> Sequence[StoredObject]:
        """Of sorted paths that lie near each other."""
        left, found = deque(paths), deque[StoredObject]()
        while left:
            # Right before the folder of the first one, so that it is not left out itself.
            after = self._key(left[0])[:-1]
            page = self.bucket.call("list_objects_v2", Prefix=self.root, StartAfter=after)
            there = {one["Key"].removeprefix(self.root): one for one in page.get("Contents", ())}
            last = max(there, default="")
            covered = [p for p in left if p <= last or not page.get("IsTruncated")]
            found.extend(_object(p, there[p]) for p in covered if p in there)
            for _ in covered:
                left.popleft()
            if left and len(covered) < _WORTH_A_PAGE:
                found.extend(o for p in left if (o := self._one(p)) is not None)
                break
        return found

    def _one(self, path: str) -> StoredObject | None:
        # Not by its head, which knows no fractions of a second: both ways must say the same time.
        return next((o for o in self.objects(path) if o.path == path), None)

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        upload = self.upload(path)
        self._fill(upload, chunks)
        return StoredObject(path, upload.size, upload.written_at)

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        return self._fill(self.upload(path, if_absent=True), chunks)

    def delete(self, path: str) -> None:
        """On a bucket that keeps versions this adds a marker, and the version stays behind it.

        Raises:
            Refused: ``object-locked``: Object Lock keeps it. A marker would only hide it.
        """
        self.require_unlocked([path])
        self.discard(path)

    def discard(self, path: str) -> None:
        """As ``delete``, of what must not be seen any more, locked or not."""
        self.bucket.call("delete_object", Key=self._key(path))

    def require_unlocked(self, paths: Iterable[str]) -> None:
        """Raises Refused (``object-locked``) where Object Lock keeps one of these. Marks, claims and leases
        are signs and no data: whether a default retention holds them does not matter."""
        if not self.knows_locks:
            return
        wanted = [p for p in paths if not p.startswith(_SIGNS)]
        with ThreadPoolExecutor(_DELETERS) as pool:
            until = next(filter(None, pool.map(self._lock_of, wanted)), None)
        if until is not None:
            raise Refused(
                "object-locked",
                f"Object Lock of store {self.name} ({self.describe()}) does not let {until}.",
                "It goes with a later prune, once the bucket lets it.",
            )

    def sweep(self, prefix: str, seconds: float, spare: Container[str] = ()) -> int:
        """Aborts multipart uploads below a folder that were begun so long ago: nobody sees them, and they are
        paid for. Returns how many.

        Args:
            spare: Ids of uploads that go on.
        """
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        wanted, removed = self.root + prefix.lstrip("/"), 0
        found = {(u["Key"], u["UploadId"]): u["Initiated"] for u in self._uploads(wanted)}
        if wanted:
            # MinIO lists the uploads of one key, or all, and nothing in between. Not everybody may list all.
            with suppress(Refused):
                found |= {(u["Key"], u["UploadId"]): u["Initiated"] for u in self._uploads("")}
        for (key, upload), begun in found.items():
            if upload not in spare and key.startswith(wanted) and begun <= before:
                removed += self.abort_upload(key, upload)
        return removed

    def size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        try:
            return int(self._head(path, self._key(path))["ContentLength"])
        except Failed as failed:
            if failed.code != "not-in-store":
                raise
            return None

    def _spread(self, prefix: str) -> Iterator[StoredObject]:
        """As ``objects``: a set's days side by side."""
        if prefix.count("/") > _DAYS_BELOW:
            yield from self.objects(prefix)
            return
        level = self._level(prefix)
        if prefix.count("/") < _DAYS_BELOW:
            for stored, folder in level:
                yield from self._spread(folder) if stored is None else (stored,)
            return
        with ThreadPoolExecutor(_LOOKERS) as pool:
            days = pool.map(lambda day: deque(self.objects(day)), [f for o, f in level if o is None])
            for stored, _ in level:
                yield from next(days) if stored is None else (stored,)

    def _level(self, prefix: str) -> Sequence[tuple[StoredObject | None, str]]:
        """Objects and folders directly below a prefix with a slash at its end, in the order of their
        names."""
        found = deque[tuple[StoredObject | None, str]]()
        for page in self._pages("list_objects_v2", self.root + prefix, Delimiter="/"):
            for one in page.get("Contents", ()):
                path = one["Key"].removeprefix(self.root)
                found.append((_object(path, one), path))
            for common in page.get("CommonPrefixes", ()):
                found.append((None, common["Prefix"].removeprefix(self.root)))
        return sorted(found, key=lambda each: each[1])

    # For the writer of snapshots

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object below a prefix, also what ``list`` hides."""
        for page in self._pages("list_objects_v2", self.root + prefix):
            for one in page.get("Contents", ()):
                yield _object(one["Key"].removeprefix(self.root), one)

    def unfinished(self) -> dict[str, datetime]:
        """Names of snapshots that are being written, or were when their writer died, and its last sign of
        life."""
        suffix = ".json"
        found = {}
        for o in self.objects(f"{WRITING}/"):
            name = o.path.removeprefix(f"{WRITING}/")
            if name.endswith(suffix) and "/" not in name:
                found[name.removesuffix(suffix)] = o.modified_at
        return found

    def uploads(self) -> Iterator[tuple[str, datetime]]:
        """Multipart uploads below the store's prefix, under way or given up: key and beginning."""
        for one in self._uploads(self.root):
            yield one["Key"], one["Initiated"].astimezone(UTC)

    def encryption_of(self, path: str) -> str | None:
        """How the service has encrypted an object."""
        found = self._head(path, self._key(path)).get("ServerSideEncryption")
        return None if found is None else str(found)

    def upload(
        self,
        path: str,
        *,
        if_absent: bool = False,
        note: UploadNote | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> Upload:
        """Begins an object that is written piece by piece.

        Args:
            facts: What ``facts_of`` will say of it; names in lower case.
        """
        return Upload(self.bucket, self.lanes, self._key(path), if_absent=if_absent, note=note, facts=facts)

    def facts_of(self, path: str) -> dict[str, str]:
        """What its writer put on record beside an object."""
        return dict(self._head(path, self._key(path)).get("Metadata", {}))

    def begun(self, key: str, upload: str, token: str) -> Begun | None:
        """A multipart upload with what arrived of it; None where there is none any more."""
        parts: dict[int, Arrived] = {}
        more: dict[str, Any] = {}
        while True:
            try:
                page = self.bucket.call(
                    "list_parts", Key=key, UploadId=upload, allow=s3_errors.is_no_such_upload, **more
                )
            except Exception as error:
                if not s3_errors.is_ours(error):
                    raise
                return None
            for part in page.get("Parts", ()):
                checksum = str(part.get("ChecksumSHA256", ""))
                parts[part["PartNumber"]] = Arrived(part["Size"], checksum, str(part["ETag"]))
            if not page.get("IsTruncated"):
                return Begun(key, upload, token, parts)
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def abort_upload(self, key: str, upload: str) -> bool:
        """Ends a multipart upload; False where there is none."""
        try:
            self.bucket.call(
                "abort_multipart_upload",
                Key=key,
                UploadId=upload,
                allow=s3_errors.is_no_such_upload,
            )
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            return False
        return True

    def delete_all(self, paths: Iterable[str]) -> None:
        """What is half-written: it must not be seen, locked or not."""
        with ThreadPoolExecutor(_DELETERS) as pool:
            for _ in pool.map(self.discard, paths):
                pass

    @cached_property
    def keeps_versions(self) -> bool:
        """Whether a delete, or a second write, leaves the older version behind (also where versioning was
        suspended only later: what was written before still does)."""
        return bool(self.bucket.call("get_bucket_versioning").get("Status"))

    @cached_property
    def knows_locks(self) -> bool:
        """Whether the bucket has Object Lock; False where that may not be asked or is not known there."""
        try:
            answer = self.bucket.call("get_object_lock_configuration", allow=_has_no_locks)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            return False
        found: dict[str, Any] = answer.get("ObjectLockConfiguration", {})
        return found.get("ObjectLockEnabled") == "Enabled"

    @cached_property
    def lanes(self) -> Lanes:
        return Lanes()

    def _fill(self, upload: Upload, chunks: Iterable[bytes]) -> bool:
        try:
            for chunk in chunks:
                upload.write(chunk)
        except BaseException:
            upload.abort()
            raise
        return upload.finish()

    def _finished(self, folder: str, group: Iterable[StoredObject]) -> Iterator[StoredObject]:
        """The objects of a marked snapshot where its manifest is there all the same: its writer died between
        the two."""
        objects = tuple(group)
        whole = any(o.path == f"{folder}/{MANIFEST_NAME}" for o in objects)
        return iter(objects if whole or self.size(f"{folder}/{MANIFEST_NAME}") is not None else ())

    def _is_over(self, since: float) -> bool:
        return time.monotonic() - since > self.bucket.patience.total_seconds

    def _get(self, path: str, key: str, at: int, end: int | None, version: str) -> dict[str, Any] | None:
        """None where the object ends before ``at``."""
        words: dict[str, Any] = {"IfMatch": version} if version else {}
        if at or end is not None:
            words["Range"] = f"bytes={at}-{'' if end is None else end - 1}"
        try:
            return self.bucket.call("get_object", Key=key, allow=_is_told_here, **words)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            if s3_errors.status_of(error) == 416:
                return None
            if s3_errors.status_of(error) == 412:
                raise Failed(
                    "object-changed",
                    f"{path} in store {self.name} was replaced while it was read.",
                    "Try again.",
                ) from None
            raise self._missing(path) from None

    def _head(self, path: str, key: str) -> dict[str, Any]:
        try:
            return self.bucket.call("head_object", Key=key, allow=s3_errors.is_missing)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            raise self._missing(path) from None

    def _lock_of(self, path: str) -> str | None:
        """What keeps an object, in words; None where nothing does."""
        try:
            facts = self._head(path, self._key(path))
        except Failed as failed:
            if failed.code != "not-in-store":
                raise
            return None
        if facts.get("ObjectLockLegalHoldStatus") == "ON":
            return f"{path} go: it has a legal hold"
        until = facts.get("ObjectLockRetainUntilDate")
        if until is not None and until > datetime.now(UTC):
            return f"{path} go before {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return None

    def _missing(self, path: str) -> Failed:
        return Failed("not-in-store", f"{path} is not in store {self.name} ({self.describe()}).")

    def _pages(self, operation: str, prefix: str, **words: Any) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self.bucket.call(operation, Prefix=prefix, **words, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self.bucket.call("list_multipart_uploads", Prefix=prefix, **more)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _key(self, path: str) -> str:
        """Raises WrongUse for a path that leads out of the prefix, or that no directory could have."""
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise WrongUse("path-outside-store", f"{path!r} is not a path inside a store.")
        return self.root + path


def _object(path: str, facts: dict[str, Any]) -> StoredObject:
    return StoredObject(path, facts["Size"], facts["LastModified"].astimezone(UTC))


def _has_no_locks(error: BaseException) -> bool:
    """There are none, this may not be asked, or the service does not know of such a thing."""
    return s3_errors.code_of(error) in ("ObjectLockConfigurationNotFoundError", "AccessDenied") or (
        s3_errors.status_of(error) in (404, 501) and s3_errors.code_of(error) != "NoSuchBucket"
    )


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_told_here(error: BaseException) -> bool:
    return s3_errors.is_missing(error) or s3_errors.status_of(error) in (412, 416)
