"""The option that leaves values of documents out, before a command as well as after it."""

from __future__ import annotations

from typing import Annotated

import typer

from mongo_dr_console.model.hiding import hide

Redact = Annotated[
    bool,
    typer.Option("--redact", callback=hide, help="Leave values of documents out; names of fields stay."),
]
