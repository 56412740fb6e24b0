"""``mdr status``."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("status")
    def status(context: typer.Context) -> None:
        raise NotImplementedError
