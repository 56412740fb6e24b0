"""How long a store over the network is waited for: seconds where a person looks on, minutes in a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one request and of all its tries.

    Args:
        connect_seconds: For a connection, and for sending one piece into it.
        read_seconds: For the next bytes of an answer.
        total_seconds: No further try begins after this.
    """

    connect_seconds: float
    read_seconds: float
    total_seconds: float

    def persist(
        self, work: Callable[[], T], passes: Callable[[BaseException], bool], check: Callable[[], None] | None
    ) -> T:
        """Does the work, again where its error may pass, with growing pauses; the last error is raised.

        Args:
            passes: Whether the same request may well succeed in a moment.
            check: Asked before every further try; raises to stop.
        """
        import tenacity

        retrying = tenacity.Retrying(
            stop=tenacity.stop_before_delay(self.total_seconds),
            wait=tenacity.wait_random_exponential(
                multiplier=_FIRST_PAUSE_SECONDS, max=min(_LONGEST_PAUSE_SECONDS, self.total_seconds / 4)
            ),
            retry=tenacity.retry_if_exception(passes),
            before_sleep=None if check is None else lambda _: check(),
            sleep=time.sleep,
            reraise=True,
        )
        return retrying(work)


QUICK = Patience(connect_seconds=1.5, read_seconds=2, total_seconds=2.2)
"""The console, status, and every command that answers at once: an error within the five seconds of a
reading."""

LASTING = Patience(connect_seconds=10, read_seconds=45, total_seconds=180)
"""A job, which nobody waits for: an error within minutes."""

STREAMING = Patience(connect_seconds=5, read_seconds=15, total_seconds=20)
"""What the oplog is streamed to: whoever streams tries again by itself, and tells meanwhile how far behind
it is."""

LOOKING = Patience(connect_seconds=3, read_seconds=5, total_seconds=8)
"""Whether a store is there at all, also in a job: what others have is not held up by a dead one."""

LEASING = Patience(connect_seconds=1.5, read_seconds=2, total_seconds=1.5)
"""The agents' lease: a try that takes longer leaves no time for the next one before the term ends."""

_default = QUICK


def of_this_process() -> Patience:
    """What stores that are opened from now on have."""
    return _default


def of_a_look() -> Patience:
    """How long this process waits to see whether a store is there."""
    return QUICK if _default is QUICK else LOOKING


def be_lasting() -> None:
    """Called once by a process that is a job."""
    global _default  # noqa: PLW0603
    _default = LASTING
