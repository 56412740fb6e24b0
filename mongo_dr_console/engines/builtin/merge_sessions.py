"""The sessions in which merges, and what took them back, have written: kept in the deployment.

What they wrote is known to lie between the state before an event and the one after it, so for another merge
of the same event it is no write that something must be kept of. One that is not found here is taken for
somebody's.
"""

from __future__ import annotations

from pymongo.write_concern import WriteConcern

from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.mongo.client import Client

_SESSIONS = "merges"


def remember(client: Client, session: str, job: str) -> None:
    """``session``: its id, hex."""
    kept = client[OWN_DATABASE].get_collection(
        _SESSIONS, write_concern=WriteConcern("majority", wtimeout=60_000)
    )
    kept.update_one({"_id": session}, {"$set": {"job": job}}, upsert=True)


def known(client: Client) -> set[str]:
    return {str(found["_id"]) for found in client[OWN_DATABASE][_SESSIONS].find({}, {"_id": 1})}
