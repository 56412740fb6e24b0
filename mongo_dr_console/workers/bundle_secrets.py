"""Every secret that a profile leads to, so that none gets into a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from mongo_dr_console.config import KafkaBroadcast, Profile, WebhookBroadcast
from mongo_dr_console.model.scrubbing import Secrets, password_of, pieces_of
from mongo_dr_console.model.trouble import Trouble

_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def secrets_of_all(profile: Profile) -> Secrets:
    """What cannot be read is none of ours: nobody here can have written it anywhere."""
    return Secrets.of(_values(profile))


def _values(profile: Profile) -> Iterator[str]:
    try:
        uri = profile.connection_uri()
    except Trouble:
        pass
    else:
        yield uri
        yield password_of(uri)
        yield unquote(password_of(uri))
    yield from (os.environ.get(name, "") for name in _VARIABLES)
    kafka, broadcast = profile.oplog.kafka, profile.broadcast
    own = broadcast.security if isinstance(broadcast, KafkaBroadcast) else None
    for security in (None if kafka is None else kafka.security, own):
        if security is not None and security.password_file is not None:
            yield from _lines(security.password_file)
    urls = [profile.alerts.urls_file] if profile.alerts.urls_file is not None else []
    urls += [broadcast.url_file] if isinstance(broadcast, WebhookBroadcast) else []
    for file in urls:
        for url in _lines(file):
            yield from pieces_of(url)
    programs = (profile.alerts, profile.endpoint, profile.broadcast)
    for command in (getattr(section, "command", None) for section in programs):
        # A token on a command line is the user's own doing; it does not get out all the same.
        yield from (word for word in (command or ())[1:] if len(word) >= _LONG)


_LONG = 16


def _lines(file: Path) -> list[str]:
    try:
        lines = file.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [text for line in lines if (text := line.strip()) and not text.startswith("#")]
