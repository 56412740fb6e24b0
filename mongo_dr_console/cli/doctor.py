"""``mdr doctor``."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("doctor")
    def doctor(context: typer.Context) -> None:
        raise NotImplementedError
