"""The command ``mdr``: one file for a group of commands, each thin."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import traceback
from typing import Annotated, Any

import typer

from mongo_dr_console import __version__
from mongo_dr_console.cli.complete import profiles
from mongo_dr_console.cli.output import fail, has_terminal
from mongo_dr_console.cli.redact import Redact
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import ExitCode, Failed, Trouble, WrongUse

GROUPS = (
    "console",
    "status",
    "doctor",
    "backup",
    "snapshots",
    "hold",
    "store",
    "coverage",
    "find",
    "restore",
    "jobs",
    "drill",
    "agent",
    "schedule",
    "alerts",
    "failover",
    "endpoint",
    "bundle",
    "sandbox",
    "config",
)
"""Modules of this package; each has ``register(app)``."""

# Newer versions of typer carry click within themselves: these are the classes it raises, wherever they live.
_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickException: Any = typer.BadParameter.__mro__[2]
_NoVerb: Any = sys.modules[_UsageError.__module__].NoArgsIsHelpError

_MONITORED = ("status", "doctor")
_UNKNOWN = 3

app = typer.Typer(
    name="mdr",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "MongoDB disaster recovery: watch, back up, restore to the operation before the mistake. "
        "Without a command: the console."
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mdr {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", "-p", envvar="MDR_PROFILE", help="Which deployment.", autocompletion=profiles
        ),
    ] = None,
    redact: Redact = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = profile
    if context.invoked_subcommand is None:
        _console_or_help(context)


def _console_or_help(context: typer.Context) -> None:
    if has_terminal():
        from mongo_dr_console.cli.console import Wanted, open_console

        open_console(context.obj, Wanted())
    else:
        typer.echo(context.get_help())


def _build(names: tuple[str, ...] = GROUPS) -> Any:
    for name in names:
        importlib.import_module(f"mongo_dr_console.cli.{name}").register(app)
    return typer.main.get_command(app)


def _needed(words: list[str]) -> tuple[str, ...]:
    """The groups that these words can mean: a command that is said outright loads no other."""
    command = _command(words)
    if command in GROUPS:
        return (command,)
    if command is None and "--version" in words:
        return ()
    opens = command is None and "--help" not in words and has_terminal()
    return ("console",) if opens else GROUPS


def _trouble_of(error: Exception) -> Trouble:
    """The driver's errors in words. Only where the driver is in use: it takes longer to load than most
    commands to run."""
    if "pymongo" in sys.modules:
        from pymongo.errors import PyMongoError

        from mongo_dr_console.mongo.client import told

        if isinstance(error, PyMongoError):
            return told(error)
    return _unexpected(error)


def _unexpected(error: Exception) -> Trouble:
    """What nobody foresaw, for people; ``MDR_DEBUG`` shows where it happened."""
    if os.environ.get("MDR_DEBUG"):
        traceback.print_exc()
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failed("system-error", f"The system refuses: {where}{error.strerror or error}.")
    return Failed(
        "unexpected",
        scrub(f"mdr met an error that it does not know: {type(error).__name__}: {error}"),
        "Jobs go on without this command: mdr jobs list. MDR_DEBUG=1 shows where it happened.",
    )


def _command(words: list[str]) -> str | None:
    """The first word that is neither an option nor an option's value."""
    rest = iter(words)
    for word in rest:
        if word in ("--profile", "-p"):
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def spare_the_collector() -> None:
    """Most of what a command makes it needs to its end: looking through all of it again and again for what
    could go, at the end once more, takes a third of the time that a catalogue of thousands takes."""
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)


def run(arguments: list[str] | None = None) -> None:
    """Entry point: every error ends in a message and an exit code, never in a traceback."""
    spare_the_collector()
    words = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in words
    override = _UNKNOWN if _command(words) in _MONITORED else None
    try:
        code = _build(_needed(words)).main(args=words, prog_name="mdr", standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except typer.Abort:
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
    except KeyboardInterrupt:
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
    except _NoVerb as error:
        typer.echo(error.ctx.get_help())
        raise SystemExit(int(ExitCode.DONE)) from None
    except _UsageError as error:
        hint = f"See: {error.ctx.command_path} --help" if error.ctx else "See: mdr --help"
        # What pydantic, which reads typer's values, puts before every reason.
        said = error.format_message().replace(": Value error, ", ": ")
        fail(WrongUse("usage", said, hint), as_json=as_json, exit_code=override)
    except _ClickException as error:
        fail(Failed("usage", error.format_message()), as_json=as_json, exit_code=override)
    except Trouble as trouble:
        fail(trouble, as_json=as_json, exit_code=override)
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:
        fail(_trouble_of(error), as_json=as_json, exit_code=override)
