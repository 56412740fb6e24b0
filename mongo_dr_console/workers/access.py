"""What may be done now: the profile's bound, what a console was started with, and whether it is armed.

Everything that writes asks here right before it does (``workers.desk``, ``workers.jobs``), so that no key,
palette entry or typed command can go around it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from mongo_dr_console.config import ACCESS_ORDER, Access, LocalStoreConfig, Profile
from mongo_dr_console.model.trouble import Refused

ARM_SECONDS = 600.0
"""How long a console stays armed."""

NEEDED: dict[str, Access] = {
    "backup": "operate",
    "verify": "operate",
    "prune": "restore",
    "copy": "operate",
    "restore": "restore",
    "undo": "restore",
    "accept": "restore",
    "drill": "restore",
}
"""Which access a kind of job needs; what is not listed needs the highest."""


def needed_for(kind: str) -> Access:
    return NEEDED.get(kind, "restore")


def reaches(granted: Access, needed: Access) -> bool:
    """
    >>> reaches("operate", "watch"), reaches("operate", "restore")
    (True, False)
    """
    return ACCESS_ORDER.index(granted) >= ACCESS_ORDER.index(needed)


def require(name: str, profile: Profile, needed: Access) -> None:
    """Raises Refused where the profile's access does not reach."""
    if not reaches(profile.access, needed):
        raise Refused(
            "access",
            f"Profile {name!r} allows {profile.access!r}; this needs {needed!r}. Nothing was changed.",
            f'Set access = "{needed}" in the profile if that is meant.',
        )


def require_outside_stores(profile: Profile, path: Path) -> None:
    """Raises Refused where a file that anybody may have written would lie in a store of the profile."""
    # A store that hangs must not be asked for this.
    wanted = Path(os.path.normpath(path.expanduser().absolute()))
    local = {n: c.path for n, c in profile.stores.items() if isinstance(c, LocalStoreConfig)}
    for name, root in local.items():
        if wanted.is_relative_to(root.expanduser().absolute()):
            raise Refused(
                "inside-store",
                f"{path} lies in store {name}, which is for snapshots and what belongs to them. Nothing was "
                "written.",
                "Name another file.",
            )


class ConsoleAccess:
    """The access of one console: what it was started with, within the profile's bound; unarmed at first.

    Args:
        name, profile: Whose bound holds.
        started_with: What the console was started with (``--operate``, ``--allow-restore``).
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        profile: Profile,
        started_with: Access,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._profile = name, profile
        self.granted: Access = min(started_with, profile.access, key=ACCESS_ORDER.index)
        self._clock = clock
        self._until: float | None = None

    @property
    def armed_seconds(self) -> float | None:
        """How long it is still armed; None where it is not."""
        left = None if self._until is None else self._until - self._clock()
        return left if left is not None and left > 0 else None

    def arm(self) -> None:
        """Arms for ten minutes.

        Raises:
            Refused: The console only watches.
        """
        if self.granted == "watch":
            require(self._name, self._profile, "operate")
            raise Refused(
                "read-only",
                "This console only watches. Nothing was changed.",
                "Start it with --operate or --allow-restore.",
            )
        self._until = self._clock() + ARM_SECONDS

    def disarm(self) -> None:
        self._until = None

    def require(self, needed: Access) -> None:
        """Raises Refused where the console may not do this now: its access, or it is not armed."""
        require(self._name, self._profile, needed)
        if not reaches(self.granted, needed):
            option = {"operate": "--operate", "restore": "--allow-restore"}.get(needed, "")
            raise Refused(
                "read-only",
                f"This console was started for {self.granted!r}; this needs {needed!r}. Nothing was changed.",
                f"Start it with {option}.",
            )
        if needed != "watch" and self.armed_seconds is None:
            raise Refused(
                "not-armed", "The console is not armed. Nothing was changed.", "Arm it for ten minutes: A"
            )
