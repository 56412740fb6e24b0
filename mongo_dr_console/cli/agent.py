"""``mdr agent``: the daemon."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class LogForm(StrEnum):
    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    @app.command("agent")
    def agent(
        context: typer.Context,
        log: Annotated[
            LogForm, typer.Option(help="Lines for people, or one JSON object a line, on stderr.")
        ] = LogForm.TEXT,
    ) -> None:
        """Stream the oplog, watch, alert, do what the schedule says.

        For --profile or all profiles of the config, until SIGTERM or Ctrl-C. Several may run, also on other
        hosts: one leads, the others stand by. SIGHUP reads the config again.
        """
        from mongo_dr_console.agent.log import Log
        from mongo_dr_console.agent.run import run_agent
        from mongo_dr_console.cli.context import config_of
        from mongo_dr_console.config import load_config
        from mongo_dr_console.model.trouble import Failed

        file = config_of(context.obj)
        names = [context.obj] if context.obj else sorted(load_config(file).profiles)
        said = Log("json" if log is LogForm.JSON else "text", name_profiles=len(names) > 1)
        said.take_warnings()
        if not run_agent(file, [context.obj] if context.obj else [], said):
            raise Failed(
                "agent-cut-short",
                "A duty did not end in time: the last entries of a sink may not be safe in it. Nothing is "
                "lost: the next agent goes on from what is.",
            )
