"""``mdr restore``: plan, run, undo, accept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mongo_dr_console.cli.complete import jobs
from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.cli.restore_options import Wanted, takes_wanted
from mongo_dr_console.model.trouble import Refused, WrongUse

if TYPE_CHECKING:
    from mongo_dr_console.config import Profile
    from mongo_dr_console.model.plan import Intent, Plan

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Job = Annotated[
    str, typer.Argument(metavar="JOB", help="The restore job's id, or how it begins.", autocompletion=jobs)
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Bring a snapshot or an exact moment back."
    )
    group.command("plan")(plan_command)
    group.command("run")(run_command)
    group.command("undo")(undo_command)
    group.command("accept")(accept_command)
    app.add_typer(group, name="restore")


@takes_wanted
def plan_command(context: typer.Context, wanted: Wanted, as_json: AsJson = False) -> None:
    """Show exactly what a restore would do; changes nothing."""
    chosen = choose(context.obj)
    _show(_make(chosen, wanted.intent()), as_json=as_json)


@takes_wanted
def run_command(
    context: typer.Context,
    wanted: Wanted,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="A plan made with `mdr restore plan --json`.")
    ] = None,
    confirm: Annotated[str | None, typer.Option("--confirm", help="The plan's confirmation text.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore as planned, in a job that outlives the terminal.

    Asks for the plan's own text where anything live is replaced.
    """
    chosen = choose(context.obj)
    chosen.require("restore")
    if plan_file is not None:
        if wanted != Wanted():
            raise WrongUse("plan-and-options", "--plan says all; other options cannot change it.")
        plan = _read_plan(plan_file)
        if plan.profile != chosen.name:
            raise Refused(
                "other-profile",
                f"The plan is for profile {plan.profile!r}, not {chosen.name!r}. Nothing was changed.",
                f"Say: --profile {plan.profile}",
            )
        _check(chosen, plan)
    else:
        plan = _make(chosen, wanted.intent())
    _require_target(chosen, plan)
    if plan_file is None and not as_json:
        _show(plan, as_json=False, on_stderr=True)
    _confirm(plan, confirm, from_file=plan_file is not None)
    _start(chosen, "restore", {"plan": plan.to_json()}, detach=detach, as_json=as_json)


def undo_command(context: typer.Context, job: Job, as_json: AsJson = False) -> None:
    """Take a swap back: what was set aside gets its name again.

    Writes made since the restore stay in the restored collections, which are set aside until accept.
    """
    chosen = choose(context.obj)
    chosen.require("restore")
    restore = _placed(chosen, job)
    _start(chosen, "undo", {"job": restore}, detach=False, as_json=as_json)


def accept_command(
    context: typer.Context,
    job: Job,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Settle a swap: what was set aside is dropped. There is no undo after that."""
    chosen = choose(context.obj)
    chosen.require("restore")
    restore = _placed(chosen, job)
    if not yes and _on_terminal():
        say(f"The collections that job {restore} set aside will be dropped; there is no undo after that.")
        if _ask(f"Type {restore} to go on: ") != restore:
            raise Refused("not-confirmed", "That was something else. Nothing was changed.")
    _start(chosen, "accept", {"job": restore}, detach=False, as_json=as_json)


# Pieces


def _make(chosen: Chosen, intent: Intent) -> Plan:
    from mongo_dr_console.workers.plan_sources import open_deployments
    from mongo_dr_console.workers.planning import make_plan

    deployments = open_deployments(chosen.name, chosen.profile, _other(chosen, intent.to_profile))
    return make_plan(chosen.name, chosen.profile, intent, deployments)


def _check(chosen: Chosen, plan: Plan) -> None:
    from mongo_dr_console.workers.plan_sources import open_deployments
    from mongo_dr_console.workers.run_restore import check_unchanged

    deployments = open_deployments(chosen.name, chosen.profile, _other(chosen, plan.intent.to_profile))
    check_unchanged(chosen.name, chosen.profile, plan, deployments)


def _other(chosen: Chosen, name: str | None) -> tuple[str, Profile] | None:
    from mongo_dr_console.config import load_config

    if name is None:
        return None
    profiles = load_config(chosen.config_file).profiles
    if name not in profiles:
        raise WrongUse(
            "profile-unknown",
            f"There is no profile {name!r} in {chosen.config_file}.",
            f"Known: {', '.join(sorted(profiles))}",
        )
    return name, profiles[name]


def _require_target(chosen: Chosen, plan: Plan) -> None:
    other = _other(chosen, plan.intent.to_profile)
    if other is not None and other[1].access != "restore":
        raise Refused(
            "access",
            f"Profile {other[0]!r} allows {other[1].access!r}; a restore into it needs 'restore'. "
            "Nothing was changed.",
        )


def _read_plan(path: Path) -> Plan:
    from pydantic import ValidationError

    from mongo_dr_console.model.plan import Plan

    try:
        return Plan.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise WrongUse("plan-unreadable", f"The plan cannot be read: {path}: {error.strerror}.") from None
    except (ValueError, ValidationError):
        raise WrongUse(
            "plan-unreadable",
            f"{path} is not a plan.",
            "Make one: mdr restore plan --json … > FILE",
        ) from None


def _show(plan: Plan, *, as_json: bool, on_stderr: bool = False) -> None:
    from mongo_dr_console.model.plantext import plan_lines

    if as_json:
        print_json(plan.to_json())
        return
    write_lines(plan_lines(plan), sys.stderr if on_stderr else sys.stdout)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _confirm(plan: Plan, given: str | None, *, from_file: bool) -> None:
    """The typed text, where anything is destroyed."""
    if not plan.destroys:
        return
    if given is not None and from_file:
        if given != plan.confirm:
            raise Refused(
                "not-confirmed",
                f"The confirmation is not the plan's ({plan.confirm}). Nothing was changed.",
            )
        return
    if not _on_terminal():
        raise Refused(
            "no-terminal",
            "This replaces live collections, and there is no terminal to confirm it on. Nothing was changed.",
            "Make a plan and confirm it: mdr restore plan --json … > FILE; "
            "mdr restore run --plan FILE --confirm TEXT",
        )
    if _ask(f"Type {plan.confirm} to go on: ") != plan.confirm:
        raise Refused("not-confirmed", "That was something else. Nothing was changed.")


def _placed(chosen: Chosen, job: str) -> str:
    from mongo_dr_console.workers.folders import jobs_folder
    from mongo_dr_console.workers.placed import placed_restore

    return placed_restore(jobs_folder(chosen.profile), job).job


def _start(chosen: Chosen, kind: str, request: dict[str, Any], *, detach: bool, as_json: bool) -> None:
    from mongo_dr_console.cli.attach import finish
    from mongo_dr_console.cli.jobrun import run_job

    view = run_job(chosen, kind, request, detach=detach, as_json=as_json)
    if view is not None:
        finish(view, as_json=as_json)
