"""The sessions in which merges, and what took them back, have written: kept in the deployment.

What they wrote is known to lie between the state before an event and the one after it, so for another merge
of the same event it is no write that something must be kept of. One that is not found here is taken for
somebody's.
"""

from __future__ import annotations

from bson import Binary
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


def end_open(client: Client, job: str) -> None:
    """Ends what a killed process of this job has left open: the server would keep its last transaction for a
    minute, and with it the documents that the job comes to again. To be called before the first session.

    Raises:
        PyMongoError: The deployment does not answer.
    """
    kept = client[OWN_DATABASE][_SESSIONS].find({"job": job}, {"_id": 1})
    sessions = [{"id": Binary(bytes.fromhex(str(found["_id"])), 4)} for found in kept]
    if sessions:
        client.admin.command({"killSessions": sessions})
