"""The work of an accept: what a swap (or its undo) set aside is dropped."""

from __future__ import annotations

import re

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.cutover import names_by_uuid
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Checkpoint, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.words import counted
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.placed import PlacedRestore, placed_restore
from mongo_dr_console.workers.run_restore import owner_of, target_profile
from mongo_dr_console.workers.run_undo import check_deployment


def run(context: JobContext) -> JobOutcome:
    """Request: ``job``, the restore to settle. Dropping what is gone already is no error.

    Raises:
        Refused: Another deployment, or another job is at work on it.
    """
    restore = placed_restore(context.folder.parent, str(context.request["job"]))
    profile = target_profile(context, restore.plan)
    client = connect(profile.connection_uri())
    check_deployment(client, profile.environment, restore)
    with DeploymentLock(client, context.job, "accept", owner_of(context)) as lock:
        report = lock.following(context.report)
        found = collections_set_aside(client, restore)
        report(StepStarted("drop", len(found), "collections"))
        for done, (database, name) in enumerate(found, start=1):
            context.stop.check()
            lock.check()
            report(Checkpoint("dropping", {"namespace": f"{database}.{name}"}))
            try:
                client[database].drop_collection(name)
            except PyMongoError as error:
                raise told(error) from None
            report(StepProgress("drop", done, len(found), "collections", detail=f"{database}.{name}"))
        report(StepDone("drop", f"{counted(len(found), 'collection')} set aside before"))
    dropped = [f"{database}.{name}" for database, name in found]
    return JobOutcome({"schema": "mdr.accept", "accepted": restore.job, "dropped": dropped})


def collections_set_aside(client: Client, restore: PlacedRestore) -> list[tuple[str, str]]:
    """What this restore, or its undo, has set aside and that is still there."""
    ours = re.compile(rf"mdr_aside_{restore.job}_\w+")
    try:
        return [
            (database, name)
            for database in sorted({Namespace.parse(n.target).database for n in restore.plan.namespaces})
            for name in sorted(names_by_uuid(client, database).values())
            if ours.fullmatch(name)
        ]
    except PyMongoError as error:
        raise told(error) from None
