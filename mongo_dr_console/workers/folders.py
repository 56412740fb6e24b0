"""Where a profile's files on this host are."""

from __future__ import annotations

from pathlib import Path

from mongo_dr_console.config import Profile, state_path


def jobs_folder(profile: Profile) -> Path:
    """Where a profile's jobs are."""
    return (profile.state_dir.expanduser() if profile.state_dir else state_path()) / "jobs"
