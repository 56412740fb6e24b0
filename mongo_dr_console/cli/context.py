"""Which profile a command works on, and whether it may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mongo_dr_console import config as configuration
from mongo_dr_console.cli.output import say
from mongo_dr_console.config import PRACTICE, Access, Profile
from mongo_dr_console.model.hiding import hide
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.access import require


@dataclass(frozen=True, slots=True)
class Chosen:
    """The profile a command works on, and the config file that it stands in."""

    name: str
    profile: Profile
    config_file: Path
    named: bool
    alone: bool

    def require(self, needed: Access) -> None:
        """Raises Refused where the profile's access does not reach, WrongUse where one of several profiles
        must be named first."""
        require(self.name, self.profile, needed)
        if needed != "watch" and not (self.named or self.alone):
            raise WrongUse(
                "profile-unsaid",
                "There are several profiles, and this command changes data.",
                "Say which: --profile NAME",
            )


def choose(name: str | None) -> Chosen:
    """The named profile, else the config's default, else the only one; the practice deployment's where there
    is no config file of the user's and one is up.

    Raises:
        WrongUse: No config, an unknown profile, or several and no default.
    """
    path = config_of(name)
    config = configuration.load_config(path)
    known = sorted(config.profiles)
    wanted = name or config.default_profile or (known[0] if len(known) == 1 else None)
    if wanted is None:
        if not known:
            raise WrongUse(
                "profile-unsaid",
                f"There is no profile in {path}.",
                "Add one: [profiles.NAME] with uri_file; all keys: docs/configuration.md",
            )
        raise WrongUse(
            "profile-unsaid",
            "No profile is named and there is no default_profile.",
            f"Say which: --profile NAME, one of: {', '.join(known)}",
        )
    if wanted not in config.profiles:
        raise WrongUse(
            "profile-unknown",
            f"There is no profile {wanted!r} in {path}.",
            f"Known: {', '.join(known) or 'none'}",
        )
    profile = config.profiles[wanted]
    hide(profile.redacts)
    return Chosen(wanted, profile, path, named=name is not None, alone=len(known) == 1)


def config_of(name: str | None) -> Path:
    """The config file that the named profile, or every profile, is looked for in: the user's, or that of the
    practice deployment as in ``choose``."""
    path = configuration.config_path()
    practice = configuration.practice_folder() / "config.toml"
    if practice.exists() and (name == PRACTICE or not path.exists()) and name in (None, PRACTICE):
        if name is None:
            say("mdr: no config file of yours; using the practice deployment")
        return practice
    return path
