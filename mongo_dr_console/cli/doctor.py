"""``mdr doctor``: what is wrong around the deployment, each with the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mongo_dr_console.cli.context import Chosen
    from mongo_dr_console.model.finding import DoctorDocument


def register(app: typer.Typer) -> None:
    @app.command("doctor")
    def doctor(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
        print_roles: Annotated[
            bool, typer.Option("--print-roles", help="Print the commands that make users, and nothing else.")
        ] = False,
        fix: Annotated[
            bool, typer.Option("--fix", help="Release a write block that a dead job left (access: restore).")
        ] = False,
    ) -> None:
        """Check config, roles, oplog, stores, and what was left over.

        Exit 0 ok, 1 warning, 2 critical, 3 unknown.
        """
        from mongo_dr_console.cli.context import choose

        if print_roles:
            _print_roles(as_json=as_json)
            return
        chosen = choose(context.obj)
        fixed = _fix(chosen) if fix else ()
        document = _examine(chosen, fixed)
        if as_json:
            from mongo_dr_console.cli.output import print_json

            print_json(document)
        else:
            _print(document)
        raise SystemExit(document.level.exit_code)


def _examine(chosen: Chosen, fixed: tuple[str, ...]) -> DoctorDocument:
    from mongo_dr_console.model.finding import DoctorDocument, overall
    from mongo_dr_console.workers.examine import examine
    from mongo_dr_console.workers.examine_alerts import examine_alerts
    from mongo_dr_console.workers.pollers import gather_once

    readings = gather_once(chosen.name, chosen.profile)
    probe = chosen.profile.access != "watch"
    found = examine(chosen.profile, chosen.config_file, readings, probe=probe)
    findings = (*found, *examine_alerts(chosen.profile))
    return DoctorDocument(profile=chosen.name, level=overall(findings), findings=findings, fixed=fixed)


def _fix(chosen: Chosen) -> tuple[str, ...]:
    from mongo_dr_console.cli.output import say
    from mongo_dr_console.workers.examine import release_write_block

    chosen.require("restore")
    done = release_write_block(chosen.name, chosen.profile)
    if not done:
        return ()
    say(f"mdr: {done}")
    return (done,)


def _print(document: DoctorDocument) -> None:
    from mongo_dr_console.cli.output import write_lines
    from mongo_dr_console.cli.statustext import mark

    text = []
    for found in sorted(document.findings, key=lambda f: -f.level.rank):
        text.append(f"{mark(found.level)}  {found.subject}: {found.text}")
        if found.fix:
            text.append(f"      fix: {found.fix}")
    write_lines(text)


def _print_roles(*, as_json: bool) -> None:
    import sys

    from mongo_dr_console.cli.output import print_json
    from mongo_dr_console.config import ACCESS_ORDER
    from mongo_dr_console.model.documents import AccessRoles, RolesDocument
    from mongo_dr_console.mongo.roles import ROLES, commands

    if as_json:
        roles = [AccessRoles(access=a, roles=list(ROLES[a]), commands=commands(a)) for a in ACCESS_ORDER]
        print_json(RolesDocument(roles=roles))
    else:
        sys.stdout.write("\n".join(commands(access) for access in ACCESS_ORDER))
