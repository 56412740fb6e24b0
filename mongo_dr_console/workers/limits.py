"""What a profile's readings are held against."""

from __future__ import annotations

from mongo_dr_console.config import DurationThreshold, Profile
from mongo_dr_console.model.readings import Limits, Threshold


def limits_of(profile: Profile) -> Limits:
    """A profile's targets and thresholds as the model wants them."""
    thresholds, targets = profile.thresholds, profile.targets

    def seconds(threshold: DurationThreshold) -> Threshold:
        warning = threshold.warning
        return Threshold(
            threshold.critical.total_seconds(), None if warning is None else warning.total_seconds()
        )

    return Limits(
        rpo=targets.rpo.total_seconds(),
        rto=targets.rto.total_seconds(),
        backup_age=seconds(thresholds.backup_age),
        size_delta=Threshold(thresholds.size_delta.critical, thresholds.size_delta.warning),
        restore_test_age=seconds(thresholds.restore_test_age),
        oplog_lag=seconds(thresholds.oplog_lag),
        margin=seconds(thresholds.margin),
        stored=bool(profile.stores),
        streamed=profile.oplog.kafka is not None or profile.oplog.segments is not None,
        canary=seconds(thresholds.canary),
        oplog_window=Threshold(thresholds.oplog_window.critical, thresholds.oplog_window.warning),
    )
