"""What a shell completes besides commands and options. It says nothing where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.model.trouble import Trouble

if TYPE_CHECKING:
    from mongo_dr_console.config import Config


def profiles(incomplete: str) -> list[str]:
    """Names of profiles."""
    return [name for config in _configs() for name in config.profiles if name.startswith(incomplete)]


def jobs(incomplete: str) -> list[tuple[str, str]]:
    """Ids of this host's jobs, the newest first, each with what it is."""
    from mongo_dr_console.workers.folders import jobs_folder
    from mongo_dr_console.workers.jobs import list_jobs

    folders = {jobs_folder(profile) for config in _configs() for profile in config.profiles.values()}
    known = sorted((v for f in folders for v in list_jobs(f)), key=lambda v: v.created_at, reverse=True)
    return [(v.job, f"{v.kind}, {v.state}") for v in known if v.job.startswith(incomplete)]


def _configs() -> list[Config]:
    from mongo_dr_console.config import config_path, load_config, practice_folder

    found = []
    for path in (config_path(), practice_folder() / "config.toml"):
        try:
            found.append(load_config(path))
        except Trouble:
            continue
    return found
