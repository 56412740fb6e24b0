"""``mdr config``: make, check, find and show the config file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from mongo_dr_console import config as configuration
from mongo_dr_console.cli.output import print_json
from mongo_dr_console.config import Config
from mongo_dr_console.model.documents import ConfigCheckDocument, ConfigDocument, ConfigPathDocument
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

_STARTER = """\
# mongo-dr-console. Every key has a default except how to reach the deployment.
# All keys: docs/configuration.md. After a change: mdr config check

# default_profile = "NAME"

[profiles.NAME]
# One of uri_file (a file with mode 0600), uri_env and uri.
uri_file = "URI_FILE"
environment = "production"        # paints the banner; typed to confirm a restore
access = "watch"                  # watch | operate | restore
# engine = "builtin"              # builtin | mongo_tools
# ignore_events = ["tmp_*.*"]     # drops that are nobody's mistake

# Where snapshots lie; backups need one.
# [profiles.NAME.stores.local]
# type = "local"
# path = "/backups/mongodb"
# retention_days = 7

# [profiles.NAME.targets]
# rpo = "60s"
# rto = "1h"

# [profiles.NAME.thresholds]      # each also as { warning = "…", critical = "…" }
# backup_age = "24h"
# size_delta = "50%"
# restore_test_age = "30d"
# oplog_lag = "60s"
# margin = "12h"
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(no_args_is_help=True, help="Make, check, find and show the config file.")
    app.add_typer(group, name="config")

    @group.command("init", help="Write a commented config file, readable by you alone.")
    def init(
        name: Annotated[str, typer.Option("--name", help="Name of its profile.")] = "main",
        uri_file: Annotated[
            str, typer.Option("--uri-file", help="File with the connection URI.")
        ] = "~/.secrets/mongodb.uri",
        as_json: AsJson = False,
    ) -> None:
        path = configuration.config_path()
        write_starter(path, name, uri_file)
        if as_json:
            print_json(ConfigPathDocument(path=str(path), exists=True))
            return
        typer.echo(f"Written: {path}")
        typer.echo(f"Next: put the connection URI into {uri_file} (chmod 600), then: mdr config check")

    @group.command("check", help="Check every key and value, and who may read the files.")
    def check(as_json: AsJson = False) -> None:
        path = configuration.config_path()
        config = configuration.load_config(path)
        warnings = warnings_of(path, config)
        for profile in config.profiles.values():
            profile.connection_uri()
        if as_json:
            names = sorted(config.profiles)
            print_json(ConfigCheckDocument(path=str(path), profiles=names, warnings=warnings))
            return
        for warning in warnings:
            typer.echo(clean(f"! warning: {warning}"))
        count = len(config.profiles)
        typer.echo(clean(f"{path}: {count} profile{'' if count == 1 else 's'}, nothing wrong in it."))

    @group.command("path", help="Where the config file is, or would be.")
    def show_path(as_json: AsJson = False) -> None:
        path = configuration.config_path()
        if as_json:
            print_json(ConfigPathDocument(path=str(path), exists=path.exists()))
        else:
            typer.echo(str(path))

    @group.command("show", help="What is in force, with defaults; secrets are masked.")
    def show(context: typer.Context, as_json: AsJson = False) -> None:
        from mongo_dr_console.model.tomltext import to_toml
        from mongo_dr_console.workers.shownconfig import shown

        path = configuration.config_path()
        data = shown(configuration.load_config(path))
        if context.obj is not None:
            if context.obj not in data["profiles"]:
                known = ", ".join(sorted(data["profiles"])) or "none"
                raise WrongUse("profile-unknown", f"There is no profile {context.obj!r}.", f"Known: {known}")
            data["profiles"] = {context.obj: data["profiles"][context.obj]}
        if as_json:
            print_json(ConfigDocument(path=str(path), config=data))
        else:
            typer.echo(clean(f"# {path}\n{to_toml(data)}"), nl=False)


def write_starter(path: Path, name: str, uri_file: str) -> None:
    """Writes the commented file with mode 0600.

    Raises:
        Refused: There is one already; it is left as it is.
        WrongUse: A name that cannot be one.
        Failed: It cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise WrongUse("profile-name", f"Not a name for a profile: {name!r}.", "Letters, digits, - and _.")
    escaped = uri_file.replace("\\", "\\\\").replace('"', '\\"')
    text = _STARTER.replace("NAME", name).replace("URI_FILE", escaped)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(
            "config-exists",
            f"There is a config file already, and it was left as it is: {path}.",
            "Edit it, or write another: MDR_CONFIG=FILE mdr config init",
        ) from None
    except OSError as error:
        raise Failed("config-unwritten", f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def warnings_of(path: Path, config: Config) -> list[str]:
    """Files with secrets that others can read, or that are not there."""
    from mongo_dr_console.model.finding import file_mode
    from mongo_dr_console.model.level import Level

    found = []
    files = [path, *(file for profile in config.profiles.values() for file in profile.secret_files())]
    for file in dict.fromkeys(files):
        try:
            finding = file_mode("config", str(file), file.stat().st_mode)
        except OSError as error:
            found.append(f"{file}: {error.strerror}.")
            continue
        if finding.level is not Level.FINE:
            found.append(f"{finding.text} {finding.fix}".strip())
    return found
