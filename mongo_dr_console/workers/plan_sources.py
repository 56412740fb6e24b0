"""The deployments that a plan is about, and what is gathered while it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mongo_dr_console.config import Profile
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.plan import Hazard, Intent
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble, Unreachable
from mongo_dr_console.mongo.client import Client, connect, nobody_listens
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stream.history import History
from mongo_dr_console.workers.kept import kept_oplog


@dataclass(slots=True)
class Deployments:
    """The deployment that the oplog comes from (None where it does not answer), and the one written to.

    Args:
        source_profile: Of the first; its stores hold what the stream left.
        mixed: Whether the oplog that is needed comes not from the live one alone.
        branch: The history that is wanted, by its name in coverage; None: the deployment's own.
        histories: What was gathered of all sources, by branch.
    """

    source: Client | None
    source_identity: Identity | None
    source_trouble: Trouble | None
    target: Client
    target_identity: Identity
    target_name: str
    target_profile: Profile
    source_profile: Profile
    mixed: bool = False
    branch: str | None = None
    histories: dict[str | None, History] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        return self.source_identity is not None and self.source_identity.same_deployment(self.target_identity)


@dataclass(slots=True)
class Look:
    """What was found while planning, piece by piece. ``by_event``: the limit is an event; ``counts``: the
    operations are counted, which takes a while where the oplog is long."""

    intent: Intent
    now: datetime
    by_event: bool = False
    counts: bool = True
    events: list[Event] | None = None
    skipped: list[Event] = field(default_factory=list)
    hazards: list[Hazard] = field(default_factory=list)


def open_deployments(name: str, profile: Profile, to: tuple[str, Profile] | None) -> Deployments:
    """Connects. The source may be down when another deployment is written to.

    Raises:
        Unreachable, Refused: The deployment that is to be written to does not answer or is no replica set.
    """
    source: Client | None = None
    identity: Identity | None = None
    trouble: Trouble | None = None
    try:
        source = connect(profile.connection_uri())
        if to is not None and nobody_listens(source):
            raise Unreachable("deployment-unreachable", "No member of the deployment runs.")
        identity = read_identity(source, profile.environment)
    except Trouble as error:
        if to is None:
            raise
        source, trouble = None, error
    if to is None:
        assert source is not None and identity is not None
        return Deployments(source, identity, None, source, identity, name, profile, profile)
    target_name, target_profile = to
    target = connect(target_profile.connection_uri())
    target_identity = read_identity(target, target_profile.environment)
    return Deployments(
        source, identity, trouble, target, target_identity, target_name, target_profile, profile
    )


def history(deployments: Deployments) -> History:
    """The oplog from every source: the live one, and what the stream left in the profile's stores.

    Raises:
        WrongUse: There is no such branch.
    """
    branch = deployments.branch
    if branch not in deployments.histories:
        deployments.histories[branch] = kept_oplog(
            deployments.source_profile, deployments.source, deployments.source_identity, branch
        )
    return deployments.histories[branch]


def history_between(deployments: Deployments, position: Position, through: Position) -> History:
    """The same, gathered once more where it ends before that: while the deployment lives, it goes on."""
    if deployments.source is not None and history(deployments).reaches(position, through) < through:
        del deployments.histories[deployments.branch]
    return history(deployments)


def source(deployments: Deployments) -> Client:
    if deployments.source is None:
        why = deployments.source_trouble
        raise Unreachable(
            "source-unreachable",
            f"The deployment whose oplog is needed does not answer: {why.message if why else 'unknown'}",
            "Restore a snapshot as it is (without --before, --through and --skip).",
        )
    return deployments.source
