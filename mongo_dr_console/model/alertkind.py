"""The kinds of alerts, by the names that they have in a config."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What an alert is about."""

    BACKUP_AGE = "backup-age"
    BACKUP_SIZE = "backup-size"
    RESTORE_TEST = "restore-test"
    OPLOG_LAG = "oplog-lag"
    STREAM_LAG = "stream-lag"
    STREAM_GAP = "stream-gap"
    CANARY = "canary"
    NO_PRIMARY = "no-primary"
    FAILOVER = "failover"
    MEMBER_DOWN = "member-down"
    MARGIN = "margin"
    OPLOG_WINDOW = "oplog-window"
    JOB_FAILED = "job-failed"
    STORE_UNREACHABLE = "store-unreachable"
    RPO = "rpo"
    RTO = "rto"
    SOURCE_SILENT = "source-silent"
