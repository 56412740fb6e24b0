"""Mistakes and failures to practise on. Each happens to the practice deployment only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from bson.raw_bson import RawBSONDocument
from pydantic import BaseModel, ConfigDict, Field
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from mongo_dr_console.config import PRACTICE
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.oplog import ends, primary_term, raw_entries
from mongo_dr_console.sandbox.place import HELD_BACK, Lag, Place, PracticeFacts, look, write_private

LAG_SECONDS = 90
_WAIT_SECONDS = 30
_MAJORITY = WriteConcern("majority", wtimeout=30_000)


class Before(BaseModel):
    """``documents`` of the namespace right before the position; None where no namespace is concerned."""

    documents: int | None


class Incident(BaseModel):
    """``mdr sandbox incident --json``.

    Args:
        name: Which incident.
        position: Of the incident's first oplog entry.
        namespace: What it happened to; None: no namespace.
        before: What there was.
        note: What happened, in words.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: Literal["mdr.sandbox-incident"] = Field("mdr.sandbox-incident", alias="schema")
    name: str
    position: Position
    namespace: str | None
    before: Before
    note: str


class Scene:
    """The deployment that an incident happens to, and where its oplog ended before."""

    def __init__(self, place: Place, client: Client) -> None:
        self.place = place
        self.client = client
        self.since = ends(client)[1]

    def first_entry(self, belongs: Callable[[RawBSONDocument], bool]) -> RawBSONDocument:
        """The first entry since then that belongs to the incident; waits for it.

        Raises:
            Failed: There is none in half a minute.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            for entry in raw_entries(self.client, self.since):
                if Position.of(entry["ts"]) > self.since and belongs(entry):
                    return entry
            time.sleep(0.05)
        raise Failed(
            "incident-not-found", "The oplog has no entry of the incident.", "Try: mdr find --since -5m"
        )

    def count_before(self, database: str, collection: str, position: Position) -> int:
        """Exact number of documents at the last moment before a position, while others write on."""
        before = (
            Position(position.t, position.i - 1) if position.i > 1 else Position(position.t - 1, 2**31 - 1)
        )
        concern = {"level": "snapshot", "atClusterTime": before.timestamp}
        answer = self.client[database].command(
            "aggregate", collection, pipeline=[{"$count": "n"}], cursor={}, readConcern=concern
        )
        return next((int(row["n"]) for row in answer["cursor"]["firstBatch"]), 0)


def drop_collection(scene: Scene) -> Incident:
    """Somebody drops the orders."""
    _require_documents(scene, "shop", "orders")
    scene.client.get_database("shop", write_concern=_MAJORITY).drop_collection("orders")
    entry = scene.first_entry(lambda e: e["ns"] == "shop.$cmd" and e["o"].get("drop") == "orders")
    return _incident(
        "drop-collection", entry, "shop.orders", int(entry["o2"]["numRecords"]), "shop.orders is gone"
    )


def drop_database(scene: Scene) -> Incident:
    """Somebody drops the customer database."""
    _require_documents(scene, "crm", "customers")
    scene.client.get_database("crm", write_concern=_MAJORITY).command(
        "dropDatabase", writeConcern=_MAJORITY.document
    )
    drops: list[RawBSONDocument] = []

    def is_last(entry: RawBSONDocument) -> bool:
        if entry["ns"] != "crm.$cmd" or entry["op"] != "c":
            return False
        if "drop" in entry["o"]:
            drops.append(entry)
        return "dropDatabase" in entry["o"]

    scene.first_entry(is_last)
    documents = sum(int(e["o2"]["numRecords"]) for e in drops)
    return _incident("drop-database", drops[0], "crm", documents, "the database crm is gone")


def bad_update(scene: Scene) -> Incident:
    """An update whose filter was forgotten takes every product off the shelves."""
    _require_documents(scene, "shop", "products")
    products = scene.client.shop.get_collection("products", write_concern=_MAJORITY)
    done = products.update_many({}, {"$set": {"active": False}})
    entry = scene.first_entry(_is_multi("u", "shop.products"))
    return _changed(scene, "bad-update", entry, f"{done.modified_count:,} products were switched off")


def mass_delete(scene: Scene) -> Incident:
    """A clean-up deletes far more than was meant."""
    _require_documents(scene, "shop", "reviews")
    reviews = scene.client.shop.get_collection("reviews", write_concern=_MAJORITY)
    done = reviews.delete_many({"stars": {"$lt": 5}})
    entry = scene.first_entry(_is_multi("d", "shop.reviews"))
    return _changed(scene, "mass-delete", entry, f"{done.deleted_count:,} reviews were deleted")


def kill_primary(scene: Scene) -> Incident:
    """The primary's process is killed; the others elect a new one."""
    term = primary_term(scene.client)
    primary = scene.client.primary
    if primary is None:
        raise Failed("no-primary", "The practice deployment has no primary to kill.")
    victims = [p for p in scene.place.processes() if p.is_mongod and str(primary[1]) in p.words]
    if not [p for p in victims if processes.kill(p)]:
        raise Failed("not-killed", "The primary's process could not be killed.")
    with connect(scene.place.uri, seconds=_WAIT_SECONDS) as scene.client:
        scene.client.admin.command("ping")
        entry = scene.first_entry(
            lambda e: e["op"] == "n" and e["o"].get("msg") == "new primary" and e["t"] > term
        )
    note = f"the member on port {primary[1]} was killed; it is started again after half a minute"
    return _incident("kill-primary", entry, None, None, note)


def lag(scene: Scene, seconds: int) -> Incident:
    """One secondary stops applying for a while."""
    if scene.place.lag() is not None:
        raise Refused("lag-already", "A member is being held back already; nothing was changed.")
    port = min((port for _, port in scene.client.secondaries if port is not None), default=None)
    if port is None:
        raise Failed("no-secondary", "The practice deployment has no secondary to hold back.")
    # Written first, so that whoever ends it knows of it even if this process dies in the next line.
    write_private(scene.place.lag_file, Lag(port=port, until=time.time() + seconds).model_dump_json())
    with connect(scene.place.member_uri(port), direct=True) as client:
        entered = client.admin.command("configureFailPoint", HELD_BACK, mode="alwaysOn")["count"] + 1
        # Until its applier stands still, one more batch may go in.
        client.admin.command(
            "waitForFailPoint", HELD_BACK, timesEntered=entered, maxTimeMS=_WAIT_SECONDS * 1000
        )
        status = client.admin.command("replSetGetStatus")
    applied = Position.of(status["optimes"]["appliedOpTime"]["ts"])
    entry = scene.first_entry(lambda e: Position.of(e["ts"]) > applied)
    note = f"the member on port {port} applies nothing for {seconds} s; it goes on by itself"
    return _incident("lag", entry, None, None, note)


_DATA: dict[str, Callable[[Scene], Incident]] = {
    "drop-collection": drop_collection,
    "drop-database": drop_database,
    "bad-update": bad_update,
    "mass-delete": mass_delete,
    "kill-primary": kill_primary,
}
NAMES = (*_DATA, "lag")


def happen(place: Place, name: str, *, profile: str | None, lag_seconds: int = LAG_SECONDS) -> Incident:
    """Makes one incident happen to the practice deployment.

    Args:
        profile: The profile that was named on the command line or in the environment, if any.
        lag_seconds: How long ``lag`` holds a member back.

    Raises:
        WrongUse: No incident of that name.
        Refused: Another profile was named, or what answers is not the practice deployment.
    """
    if name not in NAMES:
        raise WrongUse("incident-unknown", f"There is no incident {name!r}.", f"One of: {', '.join(NAMES)}")
    if profile not in (None, PRACTICE):
        raise Refused(
            "not-practice",
            f"Incidents happen to the practice deployment only, not to {profile!r}. Nothing was changed.",
            f"Leave --profile and MDR_PROFILE out, or say: --profile {PRACTICE}",
        )
    with _scene(place) as scene:
        try:
            return lag(scene, lag_seconds) if name == "lag" else _DATA[name](scene)
        except PyMongoError as error:
            raise told(error) from None


@contextmanager
def _scene(place: Place) -> Iterator[Scene]:
    facts = place.facts()
    if facts is None or look(place).state != "up":
        raise Refused(
            "no-practice",
            "The practice deployment is not up. Nothing was changed.",
            "Put it up: mdr sandbox up",
        )
    with connect(place.uri, seconds=_WAIT_SECONDS) as client:
        _require_practice(client, facts)
        yield Scene(place, client)


def _require_practice(client: Client, facts: PracticeFacts) -> None:
    try:
        config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
    except PyMongoError as error:
        raise told(error) from None
    found = (config["_id"], str(config["settings"]["replicaSetId"]))
    if found != (facts.set_name, facts.replica_set_id):
        raise Refused(
            "not-practice",
            "What answers at the practice deployment's address is another deployment. Nothing was changed.",
            "Clear the old one away: mdr sandbox down",
        )


def _require_documents(scene: Scene, database: str, collection: str) -> None:
    if scene.client[database][collection].find_one({}, {"_id": 1}) is None:
        raise Refused(
            "nothing-to-lose",
            f"{database}.{collection} is empty or not there: that has happened already. Nothing was changed.",
            "Restore it first, or start afresh: mdr sandbox down, then mdr sandbox up",
        )


def _is_multi(op: str, namespace: str) -> Callable[[RawBSONDocument], bool]:
    # The workload's own writes carry a session; updateMany and deleteMany do not.
    return lambda e: e["op"] == op and e["ns"] == namespace and "lsid" not in e


def _changed(scene: Scene, name: str, entry: RawBSONDocument, note: str) -> Incident:
    database, _, collection = str(entry["ns"]).partition(".")
    documents = scene.count_before(database, collection, Position.of(entry["ts"]))
    return _incident(name, entry, str(entry["ns"]), documents, note)


def _incident(
    name: str, entry: RawBSONDocument, namespace: str | None, documents: int | None, note: str
) -> Incident:
    position = Position.of(entry["ts"])
    return Incident(
        name=name, position=position, namespace=namespace, before=Before(documents=documents), note=note
    )
