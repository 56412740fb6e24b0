"""Whether anybody would be told: what ``mdr doctor`` finds of the ways of alerts. Not asked by the console,
where loading Apprise would be felt."""

from __future__ import annotations

from collections.abc import Iterator

from mongo_dr_console.config import Profile
from mongo_dr_console.model.finding import Finding, file_mode, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.notify import ways_of


def examine_alerts(profile: Profile) -> Iterator[Finding]:
    """Nothing where the profile names no way; nothing is sent."""
    file = profile.alerts.urls_file
    if file is None and profile.alerts.command is None:
        return
    path = None if file is None else file.expanduser()
    if path is not None and path.exists():
        yield file_mode("alerts.urls_file", str(path), path.stat().st_mode)
    try:
        names = [way.name for way in ways_of(profile, None)]
    except WrongUse as wrong:
        yield Finding(Level.CRITICAL, wrong.code, "alerts", wrong.message, wrong.hint)
        return
    yield fine("alerts", "alerts", f"Alerts go by {', '.join(names)}; whether they arrive: mdr alerts test")
