"""A config as it may be shown: what is in force, with defaults, secrets masked."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.config import Config, Profile
from mongo_dr_console.model.maskeduri import MASK, mask_uri

_PROGRAMS = (("alerts", "command"), ("endpoint", "command"), ("broadcast", "command"))
_URLS = (("endpoint", "endpoint"),)


def shown(config: Config) -> dict[str, Any]:
    """As plain data."""
    data = config.model_dump(mode="json")
    for name, profile in config.profiles.items():
        data["profiles"][name]["uri"] = _masked(profile)
    return data


def for_others(name: str, profile: Profile) -> dict[str, Any]:
    """One profile, for people who are not its owner: what programs are called with is masked too, since a
    token may be among it."""
    data: dict[str, Any] = shown(Config(profiles={name: profile}))["profiles"][name]
    for section, key in _PROGRAMS:
        part = data.get(section) or {}
        if part.get(key):
            part[key] = [part[key][0], *([MASK] if len(part[key]) > 1 else [])]
    for section, key in _URLS:
        part = data.get(section) or {}
        if part.get(key):
            part[key] = mask_uri(part[key])
    return data


def _masked(profile: Profile) -> str | None:
    return mask_uri(profile.uri.get_secret_value()) if profile.uri is not None else None
