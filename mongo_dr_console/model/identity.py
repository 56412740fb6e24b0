"""Which deployment something belongs to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Identity(BaseModel):
    """Environment, set name and replica-set id: two sets of the same name are told apart by the last.

    Args:
        replica_set_id: The 24 hex digits of ``settings.replicaSetId`` in the set's configuration.
    """

    model_config = ConfigDict(frozen=True)

    environment: str
    set_name: str
    replica_set_id: str

    def same_deployment(self, other: Identity) -> bool:
        return (self.set_name, self.replica_set_id) == (other.set_name, other.replica_set_id)

    def __str__(self) -> str:
        return f"{self.environment}/{self.set_name} ({self.replica_set_id})"
