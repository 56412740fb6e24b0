"""Starting a job and staying with it, for the commands that are jobs."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.cli.attach import attach
from mongo_dr_console.cli.context import Chosen
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.jobview import JobView, document
from mongo_dr_console.workers import jobs


def run_job(
    chosen: Chosen, kind: str, request: dict[str, Any], *, detach: bool, as_json: bool
) -> JobView | None:
    """Makes and starts a job and waits for its end; None where it was only started, which was told.

    Raises:
        Failed: It cannot be made or started.
        Interrupted: Ctrl-C: detached; the job goes on.
    """
    folder = jobs.create(chosen.name, chosen.profile, chosen.config_file, kind, request)
    warning = jobs.launch(folder)
    if warning:
        say(f"warning: {warning}")
    if detach:
        if as_json:
            print_json(document(jobs.load(folder)))
        else:
            write_lines([f"Job {folder.id} ({kind}) is at work."])
        say(f"Watch it: mdr jobs attach {folder.id}")
        return None
    return attach(folder, as_json=as_json)
