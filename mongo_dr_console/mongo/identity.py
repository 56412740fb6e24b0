"""Reading which deployment this is."""

from __future__ import annotations

from pymongo.errors import OperationFailure, PyMongoError

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import Client, told

_NO_REPLICATION = 76
_NOT_INITIATED = 94


def read_identity(client: Client, environment: str) -> Identity:
    """Set name and replica-set id, from any member that answers.

    Needs ``replSetGetConfig`` (role clusterMonitor, backup or restore do not carry it).

    Raises:
        Refused: A standalone server or a mongos.
        Unreachable, Refused: As the driver says.
    """
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code in (_NO_REPLICATION, _NOT_INITIATED, 59):
            raise Refused(
                "not-a-replica-set",
                "This server is not a member of a replica set; without an oplog there is no point in time.",
                "Point the profile at a replica set.",
            ) from None
        raise told(error) from None
    except PyMongoError as error:
        raise told(error) from None
    return Identity(
        environment=environment,
        set_name=str(config["_id"]),
        replica_set_id=str(config["settings"]["replicaSetId"]),
    )
