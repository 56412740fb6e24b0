"""What a fact means for data, and which command of the console answers it. Pure.

A table by rank, and one by code for those that want other words.
"""

from __future__ import annotations

from dataclasses import dataclass

from mongo_dr_console.model.rank import Rank


@dataclass(frozen=True, slots=True)
class Remedy:
    """What follows.

    Args:
        means: What it means for data or for those who write, in a sentence; empty: nothing.
        command: The console's command or binding that answers it, by its name in docs/keys.md; empty: none.
    """

    means: str = ""
    command: str = ""


_SET, _OPLOG, _BACKUPS, _RANGE, _EVENTS = (f"dashboard.panel-{number}" for number in range(1, 6))

BY_RANK: dict[Rank, Remedy] = {
    Rank.LOST_RESTORABLE: Remedy(
        "It can be brought back; the longer that takes, the more is written on top of the loss.", "restore"
    ),
    Rank.LOST: Remedy("An older state can still be had: that of the nearest restore point.", "restore"),
    Rank.NO_PRIMARY: Remedy("Applications cannot write.", _SET),
    Rank.UNDER_WAY: Remedy("Data changes under you: let it end before anything else is begun.", "jobs"),
    Rank.RPO: Remedy("If the deployment were lost now, more would be gone than was promised.", "backup"),
    Rank.CONTINUITY: Remedy("Soon, or already, not every moment can be restored to.", "backup"),
    Rank.UNREACHABLE: Remedy("What it would say is not known: it may be anything.", "refresh"),
    Rank.BACKUP: Remedy("A restore would begin from a snapshot that is old or not proved.", "backup"),
    Rank.MEMBER: Remedy("There is less to fall back on if another one fails.", _SET),
    Rank.RTO: Remedy("Applications would be without their data for longer than was promised.", "drills"),
    Rank.DRILL: Remedy("Nobody knows whether a restore would work, or how long it takes.", "drills"),
    Rank.FINE: Remedy(),
}

BY_CODE: dict[str, Remedy] = {
    "deployment-down": Remedy("If it stays so: restore into another deployment.", "restore"),
    "write-blocked": Remedy("Writes of all users fail until it is taken back.", "jobs"),
    "failover-writes-lost": Remedy(
        "The former primary rolls them back once it returns: save its data first.", "failover"
    ),
    "failover-by-hand": Remedy("Applications are led to the wrong member until somebody acts.", "failover"),
    "failover-running": Remedy("Applications are led to the new primary once it takes writes.", "failover"),
    "primary-hidden": Remedy("This host alone cannot see it: nothing is switched.", "failover"),
    "failover-paused": Remedy(
        "If the primary is lost, applications are not led to the next one.", "failover"
    ),
    "failover-unknown": Remedy("If the primary is lost, perhaps nobody acts.", "failover"),
    "failover-monitor-gone": Remedy("If the primary is lost, nobody acts.", "failover"),
    "endpoint-unread": Remedy("Where applications are led is not known.", "failover"),
    "no-backup": Remedy("If the deployment were lost now, everything would be gone.", "backup"),
    "rpo-streamed": Remedy("If the deployment were lost now, more would be gone than was promised.", _RANGE),
    "gap": Remedy(
        "What lies in it cannot be restored to; a new snapshot makes what follows whole.", "backup"
    ),
    "branch": Remedy("It may be the only copy of writes that were rolled back.", _RANGE),
    "stream-lag": Remedy("What is not safe yet would be lost with the deployment.", _OPLOG),
    "stream-trouble": Remedy("What is not safe yet would be lost with the deployment.", _OPLOG),
    "agent-gone": Remedy("What is written from now on is safe in no sink.", _OPLOG),
    "agent-waits": Remedy("What is written from now on may be safe in no sink.", _OPLOG),
    "agent-watch-gone": Remedy("What goes wrong is told to nobody from this host.", _OPLOG),
    "agent-standby-gone": Remedy("If the leading agent fails, none takes over here.", _OPLOG),
    "restore-failed": Remedy("It may stand half done: see what it did, resume it or take it back.", "jobs"),
    "restore-partial": Remedy("Something was not put in place: see what.", "jobs"),
    "undo-failed": Remedy("It may stand half done: see what it did, and resume it.", "jobs"),
    "undo-partial": Remedy("Something was not taken back: see what.", "jobs"),
    "accept-failed": Remedy("What was set aside still takes room: see why.", "jobs"),
    "accept-partial": Remedy("Some of what was set aside still takes room: see why.", "jobs"),
    "backup-failed": Remedy("There is no newer snapshot than the one before it.", "jobs"),
    "backup-partial": Remedy("Not every store has the newest snapshot.", "jobs"),
    "backup-bad": Remedy("A restore must begin at an older snapshot, or another copy.", "verify"),
    "backup-unverified": Remedy("Nobody knows whether any snapshot can be read back.", "verify"),
    "backup-size": Remedy("Something may be missing in it, or have been deleted before it.", _BACKUPS),
    "snapshot-unreadable": Remedy("That copy cannot be restored from.", _BACKUPS),
    "member-lag": Remedy("If it becomes the primary, what it lacks is rolled back.", _OPLOG),
    "member-off-oplog": Remedy("It does not come back by itself, and counts for nothing until then.", _OPLOG),
    "drill-failed": Remedy("A restore may fail in the same way: see why it did.", "drills"),
    "alerts-unwatched": Remedy("If something breaks, nobody is told.", "alerts"),
    "alerts-not-sent": Remedy("If something breaks, nobody may be told.", "alerts"),
    "alerts-unknown": Remedy("Whether anybody would be told is not known.", "alerts"),
    "events-unknown": Remedy("Whether data was dropped is not known.", _EVENTS),
    "event-empty": Remedy("No document was lost by it.", _EVENTS),
}


def remedy(code: str, rank: Rank) -> Remedy:
    """That of the code, else that of the rank."""
    return BY_CODE.get(code, BY_RANK[rank])
