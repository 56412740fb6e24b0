"""Proof that a member is the primary of its term: a write that a majority takes, in that very term."""

from __future__ import annotations

from contextlib import closing

from pymongo.errors import PyMongoError, WTimeoutError
from pymongo.write_concern import WriteConcern

from mongo_dr_console.model.failover import Leader
from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.mongo.oplog import primary_term
from mongo_dr_console.mongo.probing import APPNAME

COLLECTION = "failovers"
_ANSWER_SECONDS = 4.0
_WAIT_MS = 3000


def prove_primary(uri: str, leader: Leader, name: str, *, write: bool = True) -> None:
    """Writes one small document to this member alone; its term is looked at before and after.

    Args:
        uri: Of the profile.
        name: Id of the document, ``mongo_dr.failovers``.
        write: False: only the term is looked at, for whoever may write nothing.

    Raises:
        Unreachable: It does not answer, is not the primary of that term, or no majority took the write.
        Refused, Failed: As the server says.
    """
    target = member_uri(uri, leader.member)
    with closing(
        connect(target, direct=True, seconds=2, answer_seconds=_ANSWER_SECONDS, appname=APPNAME)
    ) as client:
        _check_term(client, leader)
        if write:
            _write(client, leader, name)
            _check_term(client, leader)


def _write(client: Client, leader: Leader, name: str) -> None:
    proofs = client[OWN_DATABASE].get_collection(
        COLLECTION, write_concern=WriteConcern("majority", wtimeout=_WAIT_MS)
    )
    try:
        proofs.update_one(
            {"_id": name}, {"$set": {"term": leader.term}, "$currentDate": {"at": True}}, upsert=True
        )
    except WTimeoutError:
        raise Unreachable(
            "primary-unproved",
            f"{leader.member} takes writes, and no majority has them after {_WAIT_MS / 1000:g} s: a stale "
            "primary, or members that are far behind.",
            "See the members' states and lag: mdr status",
        ) from None
    except PyMongoError as error:
        raise told(error) from None


def _check_term(client: Client, leader: Leader) -> None:
    term = primary_term(client)
    if term != leader.term:
        raise Unreachable(
            "primary-unproved",
            f"{leader.member} is not the primary of term {leader.term} any more.",
            "The members elect another one by themselves: mdr status",
        )
