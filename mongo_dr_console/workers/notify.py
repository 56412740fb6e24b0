"""The ways to people: the log, a command, Apprise. A way takes a message in time, or says why it did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.alertfacts import WayTested
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.workers.bounded import OneAtATime

_GRACE_SECONDS = 2.0


class Way(Protocol):
    """One way to people.

    Args:
        name: Never a secret.
    """

    name: str

    def send(self, message: Message, seconds: float) -> None:
        """Hands a message over within a time.

        Raises:
            Trouble: It did not go. No part of a secret is in it.
        """
        ...


class LogWay:
    """A line in what the agent prints."""

    name = "log"

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def send(self, message: Message, seconds: float) -> None:
        self._tell(f"alert {message.event}: {message.title}: {message.text}")


class BoundedWay:
    """Any way, given up after a time, whatever it does."""

    def __init__(self, way: Way) -> None:
        self.name = way.name
        self._way, self._calls = way, OneAtATime()

    def send(self, message: Message, seconds: float) -> None:
        try:
            self._calls.call(lambda: self._way.send(message, seconds), seconds + _GRACE_SECONDS)
        except TimeoutError:
            raise Failed(
                "alert-timed-out",
                f"{self.name} did not take the message within {seconds:g} s.",
                "It is tried again. See whether the service answers: mdr alerts test",
            ) from None
        except Trouble:
            raise
        except Exception as error:  # a service's client may raise anything; its text may hold the URL
            raise Failed(
                "alert-not-sent",
                f"{self.name} failed: {type(error).__name__}.",
                "It is tried again. See: mdr alerts test",
            ) from None


def ways_of(profile: Profile, tell: Callable[[str], None] | None) -> list[Way]:
    """The ways that the profile names.

    Args:
        tell: What the log is; None: there is none here.

    Raises:
        WrongUse: The file with the URLs cannot be read, or a line of it is wrong.
    """
    found: list[Way] = []
    if profile.alerts.log and tell is not None:
        found.append(LogWay(tell))
    if profile.alerts.command is not None:
        from mongo_dr_console.workers.notify_command import CommandWay

        found.append(BoundedWay(CommandWay(profile.alerts.command)))
    if profile.alerts.urls_file is not None:
        from mongo_dr_console.workers.notify_apprise import apprise_ways

        found += [BoundedWay(way) for way in apprise_ways(profile.alerts.urls_file)]
    return found


def tested(way: Way, message: Message, seconds: float) -> WayTested:
    """Sends one message, and says how that went."""
    began = time.monotonic()
    try:
        way.send(message, seconds)
        trouble = None
    except Trouble as why:
        trouble = SourceError(why.code, why.message, why.hint)
    took = round(time.monotonic() - began, 3)
    return WayTested(name=way.name, worked=trouble is None, trouble=trouble, seconds=took)
