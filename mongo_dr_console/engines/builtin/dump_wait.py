"""What a dump waits for: a primary, and a majority of the members."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pymongo.errors import PyMongoError

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StopSignal
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.durability import is_lost_primary, wait_for_primary
from mongo_dr_console.mongo.oplog import majority_position, primary_term

T = TypeVar("T")

MAJORITY_SECONDS = 60
_PRIMARY_SECONDS = 60
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits, and asks for a stop meanwhile."""

    client: Client
    stop: StopSignal

    def await_majority(self, position: Position) -> tuple[Position, int]:
        """The majority point once it has reached a position, and the primary's term.

        Raises:
            Failed: ``majority-behind``.
        """
        deadline = time.monotonic() + MAJORITY_SECONDS
        while True:
            self.stop.check()
            reached, _ = majority_position(self.client)
            if reached >= position:
                return reached, primary_term(self.client)
            if time.monotonic() > deadline:
                raise Failed(
                    "majority-behind",
                    f"A majority of the members is behind {position} for {MAJORITY_SECONDS} s, so that a "
                    "snapshot could hold writes that are lost in a failover. None was made.",
                    "See how far the members are: mdr status",
                )
            self.pause()

    def persist(self, work: Callable[[], T]) -> T:
        """Does it again when the primary was lost, once there is one."""
        for attempt in range(1, _TRIES + 1):
            try:
                return work()
            except PyMongoError as error:
                if attempt == _TRIES or not is_lost_primary(error):
                    raise told(error) from None
            except Trouble as trouble:
                if attempt == _TRIES or trouble.code != "deployment-unreachable":
                    raise
            wait_for_primary(self.client, _PRIMARY_SECONDS, self.stop.check)
        raise AssertionError("unreachable")

    def pause(self) -> None:
        self.stop.check()
        time.sleep(0.05)
