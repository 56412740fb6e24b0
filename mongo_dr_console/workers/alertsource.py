"""The source of what the agents remember of alerts, from this host or from the store that they share."""

from __future__ import annotations

from collections.abc import Callable

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.readings import ALERTS, Readings
from mongo_dr_console.workers.threads import DaemonThreads, OneCall


class AlertsSource:
    """None where no agent ever wrote anything."""

    name, interval, timeout = ALERTS, 10.0, 5.0

    def __init__(
        self, profile_name: str, profile: Profile, view: Callable[[], Readings], threads: DaemonThreads
    ) -> None:
        self._profile_name, self._profile, self._view = profile_name, profile, view
        self._thread = OneCall(threads)

    async def read(self) -> tuple[AlertFacts | None, str]:
        readings = self._view()
        facts = await self._thread.call(lambda: self._look(readings))
        return facts, "" if facts is None else facts.host

    def _look(self, readings: Readings) -> AlertFacts | None:
        from mongo_dr_console.workers.alerting import known_alerts

        return known_alerts(self._profile_name, self._profile, readings)
