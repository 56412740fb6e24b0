"""Proof that writes of ours are majority-committed, before a journal calls them done (server-rules 11)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import AutoReconnect, NotPrimaryError, OperationFailure, WTimeoutError
from pymongo.write_concern import WriteConcern

from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.oplog import primary_term

_WAIT_MS = 5000
_PROGRESS = "progress"

NOT_PRIMARY_CODES = frozenset({10107, 13435, 13436, 11600, 11602, 189, 91, 10058, 6, 7, 89, 9001})
"""Codes of a server that is no (more) primary, or is shutting down: what it was sent may be lost."""


class TermChanged(Exception):
    """Another primary, or another term: what was sent since the last confirmation may be gone."""


def is_lost_primary(error: Exception) -> bool:
    """Whether an error means that the primary was lost, so that everything unconfirmed must be sent again."""
    if isinstance(error, OperationFailure) and error.code in NOT_PRIMARY_CODES:
        return True
    return isinstance(error, AutoReconnect | NotPrimaryError)


@dataclass(slots=True)
class Confirmation:
    """Writes between two confirmations that saw one term went to one primary; a majority write after them in
    that term proves that they are committed.

    Args:
        client: To the deployment that is written to.
        job: Names the document that is written.
        wait: Called while the majority lags, with a text for the log; may raise to stop.
        term: The term in which the writes since the last confirmation went out.
    """

    client: Client
    job: str
    wait: Callable[[str], None]
    term: int

    @classmethod
    def begin(cls, client: Client, job: str, wait: Callable[[str], None]) -> Confirmation:
        return cls(client, job, wait, _known_term(client))

    def confirm(self) -> None:
        """Waits until everything sent so far is majority-committed.

        Raises:
            TermChanged: It may not be; go back to the last confirmed position. ``term`` is the new one then.
        """
        progress = self.client[OWN_DATABASE].get_collection(
            _PROGRESS, write_concern=WriteConcern("majority", wtimeout=_WAIT_MS)
        )
        while True:
            try:
                progress.update_one({"_id": self.job}, {"$inc": {"n": 1}}, upsert=True)
                break
            except WTimeoutError:
                self.wait("waiting for a majority of the members to catch up")
            except Exception as error:
                if is_lost_primary(error):
                    raise TermChanged from error
                raise
        term = _known_term(self.client)
        if term != self.term:
            self.term = term
            raise TermChanged


def forget(client: Client, job: str) -> None:
    """Removes the document that confirmations wrote."""
    client[OWN_DATABASE][_PROGRESS].delete_one({"_id": job})


def wait_for_primary(client: Client, seconds: float, check: Callable[[], None]) -> None:
    """Waits for a writable primary.

    Raises:
        Failed: There was none within that time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        try:
            if client.admin.command("hello").get("isWritablePrimary"):
                return
        except Exception:
            time.sleep(0.2)
            continue
        time.sleep(0.2)
    raise Failed(
        "no-primary",
        f"The deployment had no primary for {seconds:.0f} s. Nothing live was changed by waiting.",
        "When it has one again: mdr jobs resume",
    )


def _known_term(client: Client) -> int:
    try:
        return primary_term(client)
    except Exception as error:
        raise TermChanged from error
