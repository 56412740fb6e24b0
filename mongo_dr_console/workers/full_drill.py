"""The full drill: the newest real snapshot, and what the stream has after it, into a mongod of its own.

As if the deployment were lost: nothing is read of it but how far it is, to tell what would be missing.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import replace

from mongo_dr_console.engines.builtin.on_paper import outcome_of
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Progress
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import list_collections
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.workers.drill_steps import Drill
from mongo_dr_console.workers.jobs import JobFolder, is_alive
from mongo_dr_console.workers.kept import kept_oplog
from mongo_dr_console.workers.plan_sources import Deployments
from mongo_dr_console.workers.planning import make_plan
from mongo_dr_console.workers.run_restore import owner_of, restore_under, what_is_missing
from mongo_dr_console.workers.verify_deeper import differences

SCRATCH = "drilled"
"""The mongod's folder in that of the job, and its environment and profile as a plan names them."""


class FullDrill(Drill):
    """A real snapshot, restored elsewhere."""

    kind, no_stream = "full", "none"

    def remove(self) -> None:
        """Also what is left of full drills that were killed. Their mongod died with them."""
        for folder in self.context.folder.parent.glob(f"*/{SCRATCH}"):
            if folder.parent == self.context.folder or not is_alive(JobFolder(folder.parent)):
                shutil.rmtree(folder, ignore_errors=True)

    def rehearse(self) -> None:
        with self.step("launch"):
            folder = self.context.folder / SCRATCH
            folder.mkdir(mode=0o700)
            # What comes back is old: it must not expire before it is looked at.
            quiet = {"ttlMonitorEnabled": "false"}
            options = Options(nodes=1, auth=False, set_name=SCRATCH, parameters=quiet)
            scratch = ReplicaSet.launch(folder / "set", options)
        try:
            with closing(scratch.client()) as client:
                # Here the drill loses the deployment: what the stream takes in later does not count.
                newest, began = majority_position(self.client)[0], time.monotonic()
                with self.step("plan"):
                    deployments = self._deployments(client, scratch.uri)
                    plan = self._plan(deployments)
                self.facts |= {"store": plan.snapshot.store, "snapshot": plan.snapshot.name}
                self._bring_back(plan, deployments, client)
                self.facts["rto_seconds"] = round(time.monotonic() - began, 3)
                reached = plan.limit.position.time
                self.facts["rpo_seconds"] = max(0.0, (newest.time - reached).total_seconds())
        finally:
            scratch.close()

    def _deployments(self, client: Client, uri: str) -> Deployments:
        profile = self.context.profile
        target = profile.model_copy(
            update={"uri": uri, "uri_file": None, "uri_env": None, "environment": SCRATCH}
        )
        identity = read_identity(client, SCRATCH)
        why = self.no_deployment()
        return Deployments(None, self.identity, why, client, identity, SCRATCH, target, profile)

    def _plan(self, deployments: Deployments) -> Plan:
        """To the newest position that the stream has; without one the newest snapshot as it is."""
        profile = self.context.profile
        latest = self._latest() if self.streamed else None
        intent = Intent(
            store=self.context.request.get("store"),
            through=None if latest is None else str(latest),
            to_profile=SCRATCH,
            engine="builtin",
            users=False,
        )
        return make_plan(self.context.profile_name, profile, intent, deployments, counts=False)

    def _latest(self) -> Position | None:
        """Where the stream ends. That it gives nothing is what a disaster would find too."""
        kept = kept_oplog(self.context.profile, None, self.identity)
        if kept.latest is None:
            nothing = "nothing came back of what was written since the snapshot: the stream has none of it."
            self.problems.append(nothing + kept.missing())
        return kept.latest

    def _bring_back(self, plan: Plan, deployments: Deployments, client: Client) -> None:
        def report(event: Progress) -> None:
            # A resumed drill starts over: nothing of this one is left.
            if not isinstance(event, Checkpoint):
                self.report(event)

        folder = self.context.folder / SCRATCH / "work"
        folder.mkdir(mode=0o700)
        shutil.copy(self.context.folder / "plan.json", folder / "plan.json")
        part = replace(self.context, report=report, checkpoints=(), attempt=1, folder=folder)
        with self.step("restore"), DeploymentLock(client, part.job, "drill", owner_of(part)) as lock:
            missing = what_is_missing(part, restore_under(lock, part, plan, deployments))
        if missing is not None:
            self.problems.append(missing)
        with self.step("compare"):
            self._compare(plan, client)

    def _compare(self, plan: Plan, client: Client) -> None:
        """Counts, options and indexes are compared by the restore itself. Here: whether all that was planned
        is there, and with no oplog after the snapshot every document, byte for byte."""
        there = {
            Namespace(d, c.name): c
            for d in sorted({Namespace.parse(n.target).database for n in plan.namespaces})
            for c in list_collections(client, d)
        }
        wanted = [Namespace.parse(n.target) for n in plan.namespaces]
        self.problems += [f"{name} is not there" for name in wanted if name not in there]
        found = [there[name] for name in wanted if name in there]
        self.facts["indexes"] = sum(len(c.indexes) for c in found)
        self.facts["documents"] = sum(
            client[c.database][c.name].count_documents({}) for c in found if c.kind == "collection"
        )
        if plan.limit.position == plan.snapshot.end:
            name = plan.snapshot.store
            reader = open_snapshot(open_store(name, self.context.profile.stores[name]), plan.snapshot.name)
            expected = outcome_of(StoredSnapshot(reader), plan.snapshot.end)
            self.problems += differences(client, reader, expected)
