"""``mdr coverage``."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("coverage")
    def coverage(context: typer.Context) -> None:
        raise NotImplementedError
