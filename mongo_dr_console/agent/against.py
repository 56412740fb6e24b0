"""What stands against starting a job just now: another one, or a deployment that is not well."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.agent.duty import Post
from mongo_dr_console.model.schedule import Kind
from mongo_dr_console.model.setstatus import SetStatus, parse_set_status
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.locks import read_lock
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.folders import jobs_folder

_STORES_ALONE: tuple[Kind, ...] = ("verify",)
"""Kinds that need no deployment."""


class Against:
    """Asks when something is due.

    Args:
        post: Of the agent.
    """

    def __init__(self, post: Post) -> None:
        self._profile = post.profile
        self._name = post.name

    def why_not(self, kind: Kind) -> str:
        """In words; empty: nothing stands against it."""
        for view in jobs.list_jobs(jobs_folder(self._profile)):
            if view.kind == kind and view.state == "running" and view.profile == self._name:
                return f"job {view.job} ({kind}) of {view.owner} is at work"
        if kind in _STORES_ALONE:
            return ""
        try:
            uri = self._profile.connection_uri()
            with closing(
                connect(uri, any_member=True, seconds=3, answer_seconds=5, appname="mdr-schedule")
            ) as client:
                return unwell(_status(client)) or _locked(client)
        except Trouble as trouble:
            return trouble.message
        except PyMongoError as error:
            return told(error).message


def unwell(status: SetStatus) -> str:
    """Why nothing should be asked of a deployment now; empty: it is well."""
    if status.primary is None:
        return "the deployment has no primary"
    if not status.has_majority:
        needed = status.majority_needed
        return f"only {status.majority_available} of the {needed} votes that a majority needs are there"
    return ""


def _status(client: Client) -> SetStatus:
    hello: dict[str, Any] = client.admin.command("hello")
    return parse_set_status(client.admin.command("replSetGetStatus"), hello)


def _locked(client: Client) -> str:
    lock = read_lock(client)
    if lock is None or not lock.fresh:
        return ""
    return f"job {lock.job} ({lock.kind}) of {lock.owner} has the deployment's lock"
