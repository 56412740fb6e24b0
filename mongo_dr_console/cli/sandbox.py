"""``mdr sandbox`` and ``mdr demo``."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The practice deployment.")
    app.add_typer(group, name="sandbox")

    @group.callback()
    def sandbox() -> None: ...
