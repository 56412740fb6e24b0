"""``mdr jobs``: what is at work, what ended how, and taking a hand in it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mongo_dr_console.cli.attach import attach, finish
from mongo_dr_console.cli.complete import jobs as known_jobs
from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.cli.redact import Redact
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.jobview import JobsDocument, JobView, document
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.progresstext import done_text, progress_text, seconds_text
from mongo_dr_console.model.resulttext import result_lines
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.jobs import JobFolder

Job = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's id, or how it begins.", autocompletion=known_jobs)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Backups, restores and their like at work."
    )
    group.command("list")(list_command)
    group.command("show")(show_command)
    group.command("attach")(attach_command)
    group.command("stop")(stop_command)
    group.command("resume")(resume_command)
    group.command("unlock")(unlock_command)
    app.add_typer(group, name="jobs")


def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """The jobs, newest first."""
    chosen = choose(context.obj)
    views = jobs.list_jobs(jobs_folder(chosen.profile))
    if chosen.named:
        views = [view for view in views if view.profile == chosen.name]
    if as_json:
        print_json(JobsDocument(jobs=[document(view) for view in views]))
        return
    if not views:
        say("There are no jobs.")
    for view in views:
        sys.stdout.write(_row(view) + "\n")


def show_command(context: typer.Context, job: Job, redact: Redact = False, as_json: AsJson = False) -> None:
    """One job: its steps, its notes, how it ended."""
    view = jobs.load(_find(context, job))
    if as_json:
        print_json(document(view))
        return
    write_lines(_page(view))


def attach_command(context: typer.Context, job: Job, as_json: AsJson = False) -> None:
    """Watches a job until it ends; Ctrl-C lets go of it."""
    finish(attach(_find(context, job), as_json=as_json), as_json=as_json)


def stop_command(context: typer.Context, job: Job, as_json: AsJson = False) -> None:
    """Asks a job to stop at its next safe point."""
    folder = _find(context, job)
    view = jobs.request_stop(folder)
    say(f"Job {folder.id} will stop at its next safe point. Watch it: mdr jobs attach {folder.id}")
    if as_json:
        print_json(document(view))


def resume_command(
    context: typer.Context,
    job: Job,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Goes on with a job that failed, was stopped, or died."""
    folder = _find(context, job)
    warning = jobs.resume(folder)
    if warning:
        say(f"warning: {warning}")
    if detach:
        say(f"Job {folder.id} goes on. Watch it: mdr jobs attach {folder.id}")
        if as_json:
            print_json(document(jobs.load(folder)))
        return
    finish(attach(folder, as_json=as_json), as_json=as_json)


def unlock_command(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask; only ever removes a dead owner's lock.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Takes a dead owner's lock off the deployment. Another restore can begin then."""
    from mongo_dr_console.model.documents import RemovedLock, UnlockDocument
    from mongo_dr_console.mongo.client import connect
    from mongo_dr_console.workers.unlocking import dead_lock, remove_dead_lock

    chosen = choose(context.obj)
    chosen.require("restore")
    client = connect(chosen.profile.connection_uri())
    try:
        lock = dead_lock(chosen.profile, client)
        if lock is None:
            say("The deployment is not locked.")
            if as_json:
                print_json(UnlockDocument(unlocked=False, lock=None))
            return
        _show_lock(lock)
        if not yes:
            _confirm(lock)
        remove_dead_lock(chosen.name, chosen.profile, client, lock)
    finally:
        client.close()
    say(f"The lock of job {lock.job} was removed.")
    if as_json:
        taken = RemovedLock(job=lock.job, kind=lock.kind, owner=lock.owner, host=lock.host, step=lock.step)
        print_json(UnlockDocument(unlocked=True, lock=taken))


def _find(context: typer.Context, job: str) -> JobFolder:
    return jobs.find_job(jobs_folder(choose(context.obj).profile), job)


def _show_lock(lock: LockInfo) -> None:
    say(
        f"Lock of job {lock.job} ({lock.kind}) of {lock.owner}, process {lock.pid} on {lock.host}, "
        f"{lock.where}, heartbeat {seconds_text(lock.age_seconds)} ago.\n"
        "What that job left half-done stays as it is; only its resume can finish or revert it."
    )


def _confirm(lock: LockInfo) -> None:
    if not sys.stdin.isatty():
        raise Refused(
            "no-terminal",
            "There is no terminal to confirm on. The lock was not removed.",
            "With --yes it is not asked for.",
        )
    sys.stderr.write(f"Type the job's id ({lock.job}) to remove its lock: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != lock.job:
        raise Refused("not-confirmed", "That is not the job's id. The lock was not removed.")


def _row(view: JobView) -> str:
    begun = view.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    if view.current is not None:
        more = progress_text(view.current)
    elif view.error is not None:
        more = view.error.code
    else:
        more = "" if view.seconds is None else seconds_text(view.seconds)
    state = "stopping" if view.stop_requested and view.state == "running" else view.state
    return clean(f"{view.job}  {begun}  {view.kind:<8} {state:<8} {view.profile:<10} {more}").rstrip()


def _page(view: JobView) -> list[str]:
    state = view.state + (", asked to stop" if view.stop_requested and view.state == "running" else "")
    lines = [
        f"job       {view.job} ({view.kind}), profile {view.profile}",
        f"state     {state}, attempt {view.attempt}",
        f"owner     {view.owner}"
        + (f", process {view.pid} on {view.host}" if view.state == "running" else ""),
        f"made      {view.created_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if view.ended_at is not None and view.seconds is not None:
        lines.append(f"ended     {view.ended_at:%Y-%m-%d %H:%M:%S} UTC, after {seconds_text(view.seconds)}")
    for step in view.steps:
        text = done_text(step) if step.state == "done" else f"{progress_text(step)}  ({step.state})"
        lines.append(f"step      {text}")
    lines += [f"{note.level:<9} {note.at:%H:%M:%S} UTC {note.text}" for note in view.notes]
    if results := result_lines(view):
        lines += ["result", *results]
    if view.error is not None:
        lines.append(f"error     {view.error.message}")
        if view.error.hint:
            lines.append(f"next      {view.error.hint}")
    return lines
