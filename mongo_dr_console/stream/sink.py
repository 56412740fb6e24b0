"""What a sink of oplog entries can do: a Kafka topic, segments in a store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mongo_dr_console.model.link import Link
from mongo_dr_console.model.trouble import Refused


class Leave(Protocol):
    """Whether this process may write just now: several agents may run, and one leads."""

    @property
    def fence(self) -> int:
        """Greater than that of every leader before; 0 where there is but one agent."""
        ...

    def holds(self) -> bool: ...


class Alone:
    """Nobody else writes."""

    fence = 0

    def holds(self) -> bool:
        return True


def require(leave: Leave) -> None:
    """Asked right before each write.

    Raises:
        Refused: ``agent-superseded``.
    """
    if not leave.holds():
        raise Refused(
            "agent-superseded",
            "This agent does not lead any more, so it writes nothing: another one goes on from what is safe.",
            "See who leads: mdr status",
        )


class StreamSink(Protocol):
    """Takes majority-committed raw entries in order, and says what of them is safe.

    One thread uses a sink. Any method may raise a ``Trouble``: ``Unreachable`` where trying again may help;
    the entries since ``durable`` must then be given again, after ``open``.

    Args:
        name: ``kafka``, or ``segments:STORE``.
        durable: The newest entry that survives this process and this host; None while there is none.
    """

    name: str
    durable: Link | None

    def open(self) -> Link | None:
        """Connects, cleans up what a killed writer left, and reads from the sink's own tail where to go on,
        never from a note of ours that could be ahead of it; also sets ``durable``."""
        ...

    def earlier(self) -> Iterator[Link]:
        """Older entries that the sink has, newest first, as far as it can tell cheaply; may be none. The
        newest of them on the deployment's history is where a sink goes on whose tail is on another one."""
        ...

    def begin(self, after: Link) -> None:
        """Says which entry lies before the next one that is given: called once after ``open``. Where that is
        not the tail, what follows does not continue it: after a gap, or on another history."""
        ...

    def append(self, batch: bytes) -> None:
        """Takes whole raw entries that follow the last ones; bounded memory: waits where the sink is slow."""
        ...

    def tick(self) -> None:
        """Called at least once a second, also when nothing was written: closes what is due, takes
        acknowledgements in, moves ``durable``."""
        ...

    def flush(self) -> None:
        """After this, all that was appended is ``durable``."""
        ...

    def close(self) -> None:
        """Flushes and lets go."""
        ...
