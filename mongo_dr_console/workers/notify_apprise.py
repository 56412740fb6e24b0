"""Messages through Apprise: mail, chat, paging, webhooks. Its URLs hold secrets and are never shown."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.trouble import Failed, WrongUse

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9]{0,15})://\S")


class AppriseWay:
    """One URL.

    Args:
        name: Its service and line: ``mailto-2``.
        url: With its secrets.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url

    def send(self, message: Message, seconds: float) -> None:
        apprise = _apprise()
        sender = apprise.Apprise(asset=_asset(apprise))
        sender.add(self._url)
        kind = {"end": apprise.NotifyType.SUCCESS, "test": apprise.NotifyType.INFO}.get(message.event)
        if kind is None:
            critical = message.level is Level.CRITICAL
            kind = apprise.NotifyType.FAILURE if critical else apprise.NotifyType.WARNING
        if not sender.notify(title=message.title, body=message.text, notify_type=kind):
            raise Failed(
                "alert-not-sent",
                f"{self.name} did not take the message: the service refused it, or does not answer.",
                "It is tried again. See whether URL and service are right: mdr alerts test",
            )


def apprise_ways(file: Path) -> list[AppriseWay]:
    """One for each URL of the file; empty lines and those that begin with ``#`` are none.

    Raises:
        WrongUse: The file cannot be read, or holds what Apprise does not know; the line is named, not shown.
    """
    path = file.expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WrongUse(
            "alert-urls-missing",
            f"The file with the URLs for alerts cannot be read: {path}: {why}.",
            "Correct alerts.urls_file in the profile.",
        ) from None
    ways = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            ways.append(AppriseWay(f"{_checked(line, number, path)}-{number}", line))
    return ways


def _checked(url: str, number: int, path: Path) -> str:
    """The service of a URL that Apprise understands."""
    match = _SCHEME.match(url)
    if match is None:
        raise _wrong(path, number, "is no URL, as in mailto://…")
    apprise, scheme = _apprise(), match[1].lower()
    if scheme not in apprise.manager_plugins.NotificationManager().schemas():
        raise _wrong(path, number, f"names the service {scheme!r}, which Apprise does not know")
    if apprise.Apprise.instantiate(url, asset=_asset(apprise), suppress_exceptions=True) is None:
        raise _wrong(path, number, f"is not what Apprise wants of a {scheme}:// URL")
    return scheme


def _wrong(path: Path, number: int, what: str) -> WrongUse:
    return WrongUse(
        "alert-url-wrong",
        f"{path}, line {number}: it {what}. Nobody would be told through it.",
        "The services and their URLs: https://github.com/caronc/apprise/wiki",
    )


def _apprise() -> Any:
    """Imported where it is used: it loads more than a hundred services."""
    import apprise
    import apprise.manager_plugins

    # Its log would name hosts and users of the URLs.
    logging.getLogger("apprise").disabled = True
    return apprise


def _asset(apprise: Any) -> Any:
    return apprise.AppriseAsset(
        app_id="mongo-dr-console", app_desc="mongo-dr-console", async_mode=False, secure_logging=True
    )
