"""A restore by the builtin engine: load, replay, index, verify, cut over.

All work happens in staging collections; nothing live is touched before the cut-over, except that in-place
mode drops the live collections first, when the plan said so. Every step can be done again: what is confirmed
is journalled, and a resumed job goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin import cutover, logins, views
from mongo_dr_console.engines.builtin.cutover import CutOver, Placement, names_by_uuid
from mongo_dr_console.engines.builtin.dump_memory import return_large_buffers
from mongo_dr_console.engines.builtin.late import carry_over_late_writes
from mongo_dr_console.engines.builtin.restore_request import RestoreRequest
from mongo_dr_console.engines.builtin.restore_series import FillingSeries
from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.namespace import Namespace, aside_name, is_of_logins
from mongo_dr_console.model.oplogentry import TransactionAssembler
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepStarted
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.words import counted
from mongo_dr_console.mongo.durability import TermChanged, forget

__all__ = ["BuiltinRestore", "RestoreRequest"]


@dataclass(slots=True)
class BuiltinRestore(FillingSeries):
    """One restore: the order of its steps, the cut-over, and what comes after it."""

    def restore(self) -> dict[str, Any]:
        """Does it; returns the facts for the report.

        Raises:
                Failed, Unreachable, Interrupted: Not placed; ``jobs resume`` goes on where that is possible.
        """
        return_large_buffers()
        self._release_block()
        if self.state.placed is None:
            self._persist(self._prepare)
            self._persist(self._place)
        else:
            self._persist(self._look_again)
        self._persist(self._place_views)
        self._persist(self._add_logins)
        self._persist(self._clean_up)
        return self._result()

    def abandon(self) -> None:
        """Removes what was staged, when nothing of it can be used; a resumed job starts over.

        That it does is journalled first: it must not look for what was removed.
        """
        if self.state.placements is not None:
            return
        self._note(Checkpoint("reset"))
        try:
            self._clean_up()
        except (TermChanged, PyMongoError):
            text = f"staging collections named mdr_{self.request.job}_… may be left; mdr doctor lists them"
            self.report(Note(text, "warning"))

    def _prepare(self) -> None:
        """Everything up to the cut-over; called again from its start when the primary was lost."""
        if self.state.placements is not None and not self.request.plan.limit.follow:
            self._look_again()
            return
        self.run = self._new_run()
        self._drop_live()
        self._load()
        self._replay()
        placed = self._placed()
        self._index(placed)
        self._verify(placed)
        self._index_ttl(placed)
        self._stale = False

    def _place(self) -> None:
        """The cut-over. Where the primary is lost in it, everything is looked at again: what was sent to the
        old one may be gone, and the pass over the oplog is beyond it already."""
        if self._stale:
            self._prepare()
        self._stale = True
        self.report(StepStarted("cut-over", len(self._placed()), "collections"))
        self._catch_up()
        placements = self._placements()
        block = cutover.can_block_writes(self.client)
        self._note(Checkpoint("ready", {"placements": [_as_facts(p) for p in placements], "block": block}))
        result = cutover.cut_over(
            self.client, placements, self.request.job, self._note, drain=self._drain, block=block
        )
        self.run.confirmation.confirm()
        late = self._late_writes(placements)
        self._place_series()
        self._note(Checkpoint("placed", _placed_facts(placements, result, self.run.position, late)))
        self._stale = False
        self.report(
            StepDone("cut-over", f"{counted(len(placements), 'collection')} in place by {result.way}")
        )

    def _place_views(self) -> None:
        """Compares with what is there each time: what a lost primary had may be gone again."""
        journalled = {v["name"] for v in self.state.views}
        wanted = self._wanted_views()
        confirmation = self._confirmation()
        for target, definition in wanted.items():
            before = views.live_definition(self.client, target)
            if before is not None and before.raw == definition.raw:
                continue
            if str(target) not in journalled:
                text = extjson.dumps(bytes(before.raw)) if before else None
                self._note(Checkpoint("view", {"name": str(target), "before": text}))
            views.put(self.client, target, definition)
        if wanted:
            confirmation.confirm()
            self.report(StepDone("views", f"{len(wanted)} views"))

    def _add_logins(self) -> None:
        """Users and roles; the same when it is done again."""
        if not self.request.plan.users or self.state.logins is not None:
            return
        staged = {n: s for n, s in self.run.timeline.collections.items() if is_of_logins(n)}
        found = logins.merge(self.client, staged, self.request.plan.intent.users_of)
        self._note(Checkpoint("logins", found))
        users, roles = len(found["users"]), len(found["roles"])
        self.report(StepDone("users", f"{users} users and {roles} roles", found))

    def _clean_up(self) -> None:
        """Removes the staging collections that stand for nothing (any more)."""
        ours = re.compile(rf"mdr_{self.request.job}_\d+")
        placed = {p["incoming"] for p in (self.state.placed or {}).get("placements", [])}
        confirmation = self._confirmation()
        for database in {Namespace.parse(n.target).database for n in self.request.plan.namespaces}:
            for uuid, name in names_by_uuid(self.client, database).items():
                if ours.fullmatch(name) and uuid not in placed:
                    self.client[database].drop_collection(name)
        confirmation.confirm()
        forget(self.client, self.request.job)

    def _wanted_views(self) -> dict[Namespace, RawBSONDocument]:
        planned = {n.source for n in self.request.plan.namespaces if n.kind == "view"}
        found = self.run.timeline.views.items()
        return {self._targets[n]: views.normal_definition(v) for n, v in found if str(n) in planned}

    def _placements(self) -> list[Placement]:
        if self.state.placements is not None and not self.request.plan.limit.follow:
            return [_from_facts(f) for f in self.state.placements]
        planned = {n.source: n for n in self.request.plan.namespaces}
        places = []
        listed: dict[str, dict[str, str]] = {}
        for number, (namespace, staged) in enumerate(self._placed().items(), start=1):
            target = self._targets[namespace]
            if target.database not in listed:
                there = names_by_uuid(self.client, target.database)
                listed[target.database] = {name: uuid for uuid, name in there.items()}
            incoming = listed[target.database].get(staged.name) or self._placed_before(staged)
            if incoming is None:
                raise Failed("staging-lost", f"The collection that was to become {target} is gone.")
            known = planned.get(str(namespace))
            places.append(
                Placement(
                    database=target.database,
                    name=target.collection,
                    incoming=incoming,
                    outgoing=known.live_uuid if known and known.mode != "in-place" else None,
                    aside=aside_name(self.request.job, str(number)),
                    staging=staged.name,
                )
            )
        return places

    def _placed_before(self, staged: Staged) -> str | None:
        for facts in self.state.placements or []:
            if facts["staging"] == staged.name:
                return str(facts["incoming"])
        return None

    def _late_writes(self, placements: list[Placement]) -> dict[str, Any]:
        """Writes that reached the old collections between the last look and the renames."""
        after = self.state.drained
        if self.request.follower is None or after is None:
            return {}
        self._wait_for_now()
        planned = {n.target: Namespace.parse(n.source) for n in self.request.plan.namespaces}
        homes = {planned[p.namespace]: Namespace(p.database, p.name) for p in placements}
        # The assembler holds what was open at the last position only while it has not seen more than that.
        same = self.run.position == after
        assembler = self.run.assembler if same else TransactionAssembler()
        end = self.request.follower.position
        batches = self.request.saved.read(Position(after.t, after.i + 1), end)
        entries = (raw for batch in batches for raw in rawbson.split(batch))
        return carry_over_late_writes(self.client, entries, assembler, homes, self.request.job, after)

    def _release_block(self) -> None:
        if self.state.blocked:
            self._persist(lambda: cutover.release_write_block(self.client))
            self._note(Checkpoint("write-block", {"on": False}))
            self.report(Note("a write block that the last run left behind was released", "warning"))

    def _result(self) -> dict[str, Any]:
        placed = self.state.placed or {}
        found = [*self.run.timeline.conflicts, *self.run.replayer.conflicts]
        return {
            **placed,
            "applied": self.run.replayer.applied,
            "skipped_operations": self.run.timeline.skipped_operations,
            "conflicts": [
                {"position": str(c.position), "namespace": c.namespace, "text": c.text} for c in found[:1000]
            ],
            "views": [v["name"] for v in self.state.views],
            "time_series": list(self.state.series_done),
            "logins": self.state.logins,
            "rejected": self._rejected(),
            "unbuilt_indexes": [{k: u[k] for k in ("namespace", "index", "why")} for u in self.state.unbuilt],
        }

    def _rejected(self) -> list[dict[str, Any]]:
        """Where documents were not taken, and how many."""
        names = {s.number: n for n, s in self.run.timeline.collections.items()}
        counted = self.state.rejected.items()
        found = {str(names[number]): count for number, count in counted if count and number in names}
        found |= {name: count for name, count in self.state.series_done.items() if count}
        return [{"namespace": name, "documents": count} for name, count in found.items()]


def _as_facts(placement: Placement) -> dict[str, Any]:
    return {
        "database": placement.database,
        "name": placement.name,
        "incoming": placement.incoming,
        "outgoing": placement.outgoing,
        "aside": placement.aside,
        "staging": placement.staging,
    }


def _from_facts(facts: dict[str, Any]) -> Placement:
    return Placement(**facts)


def _placed_facts(
    placements: Iterable[Placement], result: CutOver, last: Position, late: dict[str, Any]
) -> dict[str, Any]:
    return {
        "placements": [_as_facts(p) for p in placements],
        "position": str(result.position) if result.position else None,
        "way": result.way,
        "last_applied": str(last),
        "set_aside": [
            {
                "namespace": f"{a.database}.{a.original}",
                "kept_as": f"{a.database}.{a.name}",
                "uuid": a.uuid,
                "expected": a.expected,
            }
            for a in result.set_aside
        ],
        **late,
    }
