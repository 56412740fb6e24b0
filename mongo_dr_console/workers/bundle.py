"""An incident bundle: what is known of an incident in one file, for people elsewhere; no secret in it.

What cannot be had, because the deployment or a store is gone, is named in its ``MANIFEST.json``.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.bundledoc import BundledFile, BundleDocument, BundleManifest, NotBundled
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.redaction import file_without_values, without_values
from mongo_dr_console.model.scrubbing import Secrets
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.mongo.client import told
from mongo_dr_console.workers.access import require_outside_stores
from mongo_dr_console.workers.bundle_parts import Found, Part, asked_parts, kept_parts, versions
from mongo_dr_console.workers.bundle_secrets import secrets_of_all
from mongo_dr_console.workers.pollers import gather_once
from mongo_dr_console.workers.threads import DaemonThreads

T = TypeVar("T")

MANIFEST = "MANIFEST.json"
SINCE = timedelta(hours=2)
SECONDS = 30.0
"""How long stores and the deployment are waited for in all."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """What was found, cleaned."""

    files: Mapping[str, tuple[bytes, str]]
    missing: tuple[NotBundled, ...]


def make_bundle(
    name: str,
    profile: Profile,
    config_file: Path,
    path: Path,
    since: timedelta = SINCE,
    *,
    seconds: float = SECONDS,
) -> BundleDocument:
    """Writes it, with mode 0600.

    Args:
        since: How far back recordings and ended jobs go.
        seconds: How long what does not answer is waited for.

    Raises:
        Refused: There is a file of that name, or it would lie in a store.
        Failed: It cannot be written.
    """
    require_outside_stores(profile, path)
    if path.exists():
        raise Refused(
            "bundle-exists", f"{path} is there already; it was left as it is.", "Name another: --output FILE"
        )
    now = datetime.now(UTC)
    found = _gather(name, profile, config_file, now - since, now, time.monotonic() + seconds)
    files = tuple(
        BundledFile(name=n, bytes=len(content), about=about) for n, (content, about) in found.files.items()
    )
    manifest = BundleManifest(
        profile=name,
        environment=profile.environment,
        made_at=now,
        made_by=this_owner(),
        since=now - since,
        versions=versions(),
        files=files,
        missing=found.missing,
    )
    contents = {MANIFEST: manifest.model_dump_json(by_alias=True, indent=2).encode() + b"\n"}
    contents |= {n: content for n, (content, _) in found.files.items()}
    _write(path, contents, f"mdr-bundle-{name}", now)
    return BundleDocument(
        profile=name,
        path=str(path),
        bytes=path.stat().st_size,
        since=now - since,
        files=files,
        missing=found.missing,
    )


def usual_name(name: str, now: datetime) -> str:
    """What a bundle is called where nothing else is said."""
    return f"mdr-bundle-{name}-{now:%Y%m%dT%H%M%SZ}.tar.gz"


def _gather(
    name: str, profile: Profile, config_file: Path, since: datetime, now: datetime, deadline: float
) -> Bundled:
    """Every part by itself, those that ask somebody side by side."""
    threads = DaemonThreads()
    missing: list[NotBundled] = []
    looking = threads.submit(gather_once, name, profile)
    readings = _answer(looking, deadline, "the readings of now", missing) or Readings(
        name, profile.environment
    )
    parts = [*kept_parts(name, profile, since), *asked_parts(name, profile, config_file, readings, now)]
    asked = [(part, threads.submit(_all_of, part)) for part in parts]
    secrets = secrets_of_all(profile)
    files: dict[str, tuple[bytes, str]] = {}
    for part, future in asked:
        for found in _answer(future, deadline, part.about, missing) or ():
            _keep(_redacted(found) if profile.redacts else found, part.about, secrets, files, missing)
    cleaned = tuple(NotBundled(what=m.what, why=secrets.clean_text(m.why)) for m in missing)
    return Bundled(files, cleaned)


def _redacted(found: Found) -> Found:
    return replace(found, content=file_without_values(found.content), why=without_values(found.why))


def _all_of(part: Part) -> list[Found]:
    return list(part.find())


def _answer(future: Future[T], deadline: float, what: str, missing: list[NotBundled]) -> T | None:
    """What a part came to; None where it failed or took too long, which is noted."""
    try:
        return future.result(timeout=max(0.1, deadline - time.monotonic()))
    except TimeoutError:
        why = "it did not answer in time"
    except PyMongoError as error:
        why = str(told(error))
    except Trouble as trouble:
        why = str(trouble)
    except Exception as error:  # a bundle of what is left is worth more than none
        why = f"{type(error).__name__}: {error}"
    missing.append(NotBundled(what=what, why=why))
    return None


def _keep(
    found: Found,
    about: str,
    secrets: Secrets,
    files: dict[str, tuple[bytes, str]],
    missing: list[NotBundled],
) -> None:
    if found.why:
        missing.append(NotBundled(what=found.name, why=found.why))
        return
    content = secrets.clean(found.content)
    if secrets.left_in(content):
        missing.append(NotBundled(what=found.name, why="a secret could not be taken out of it"))
    else:
        files[found.name] = content, about


def _write(path: Path, contents: Mapping[str, bytes], folder: str, now: datetime) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, content in contents.items():
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o600
                archive.addfile(entry, io.BytesIO(content))
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Failed(
            "bundle-unwritten",
            f"The bundle {path} cannot be written: {error.strerror}.",
            "Name another place: --output FILE",
        ) from None
