"""``mdr agent``: the daemon that streams the oplog."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("agent")
    def agent(context: typer.Context) -> None:
        """Stream the oplog into the profile's sinks until SIGTERM or Ctrl-C; progress goes to stderr."""
        import signal
        import threading

        from mongo_dr_console.agent.run import run_agent
        from mongo_dr_console.cli.context import choose
        from mongo_dr_console.model.trouble import Failed

        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        chosen = choose(context.obj)
        if not run_agent(chosen.name, chosen.profile, stop, lambda text: typer.echo(text, err=True)):
            raise Failed(
                "agent-cut-short",
                "A sink did not end in time: its last entries are not safe in it. Nothing is lost: the next "
                "agent goes on from what is.",
            )
