"""Putting time series in place.

A time series cannot be renamed: not by command, and an ``applyOps`` that tries kills the server (6.0). So its
buckets are restored and replayed in a staging collection like ordinary documents, and once that is ready the
series is made under its name and filled from there. What has to go for it is dropped right then, not sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from mongo_dr_console.engines.builtin import indexes
from mongo_dr_console.engines.builtin.cutover import RENAME_MS
from mongo_dr_console.engines.builtin.load import Refuse, insert_into
from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.namespace import BUCKETS, Namespace, aside_name
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client

_NAMESPACE_EXISTS = 48
_TRIES = 50


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """A time series to be put in place; everything that a resumed job must know of it.

    Args:
        database, name: Where.
        staging: The collection in the same database that holds its buckets.
        options: What ``create`` takes, canonical Extended JSON.
        indexes: Their specifications, canonical Extended JSON.
        bucket_indexes: Names of those that are specified over the buckets.
        outgoing: Hex UUID of the live buckets that are to be dropped; None if there are none.
    """

    database: str
    name: str
    staging: str
    options: str
    indexes: tuple[str, ...]
    bucket_indexes: tuple[str, ...]
    outgoing: str | None

    @classmethod
    def of(cls, target: Namespace, staged: Staged, outgoing: str | None) -> SeriesPlace:
        return cls(
            database=target.database,
            name=target.collection,
            staging=staged.name,
            options=extjson.dumps(bytes(staged.options.raw)),
            indexes=tuple(extjson.dumps(bytes(spec.raw)) for spec in staged.indexes.values()),
            bucket_indexes=tuple(sorted(staged.bucket_indexes)),
            outgoing=outgoing,
        )

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> SeriesPlace:
        lists = {key: tuple(facts[key]) for key in ("indexes", "bucket_indexes")}
        return cls(**{**facts, **lists})

    def as_facts(self) -> dict[str, Any]:
        facts = {key: getattr(self, key) for key in self.__slots__}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def buckets(self) -> str:
        return BUCKETS + self.name


def make(
    client: Client,
    place: SeriesPlace,
    job: str,
    made_before: str | None,
    *,
    block: Callable[[], AbstractContextManager[None]],
    drain: Callable[[], None],
    note: Callable[[str], None],
) -> str:
    """Drops the live series where one is to go, and makes the new one, empty; returns its buckets' UUID.

    Args:
        made_before: The UUID, if an earlier run has made it.
        block: Keeps the writes of others out, where that can be had.
        drain: Called within it, before the drop: brings the staging collection up to date.
        note: Told of a collection that was set aside.

    Raises:
        OperationFailure: The live series could not be locked in time (50); nothing was dropped.
        Failed: Somebody made a series of this name meanwhile.
    """
    here = _buckets_uuid(client, place)
    if here is not None and here == made_before:
        return here
    with block():
        drain()
        here = _buckets_uuid(client, place)
        if here is not None and (here == place.outgoing or _is_empty(client, place)):
            # A transaction that reads it would hold this up, and all writers with it.
            client[place.database].command({"drop": place.name, "maxTimeMS": RENAME_MS})
        elif here is not None:
            raise Failed(
                "time-series-in-the-way",
                f"Somebody has made a time series {place.namespace} since this was planned, and it cannot be "
                f"renamed. What was restored lies ready in {place.database}.{place.staging}.",
                "Drop it or copy it elsewhere, then: mdr jobs resume",
            )
        _create(client, place, job, note)
    made = _buckets_uuid(client, place)
    if made is None:
        raise Failed("time-series-lost", f"The time series {place.namespace} is gone again.")
    return made


def _create(client: Client, place: SeriesPlace, job: str, note: Callable[[str], None]) -> None:
    """Where an application's insert has made an ordinary collection of this name in between, that is set
    aside."""
    command = {"create": place.name, **_create_options(place)}
    for attempt in range(1, _TRIES + 1):
        try:
            client[place.database].command(command)
            return
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS or attempt == _TRIES:
                raise
        aside = aside_name(job, f"s{attempt}")
        if place.name in client[place.database].list_collection_names(filter={"type": "collection"}):
            source, target = place.namespace, f"{place.database}.{aside}"
            client.admin.command({"renameCollection": source, "to": target, "maxTimeMS": RENAME_MS})
            note(f"{source} was made by somebody in between; it is kept as {target}")


def fill(
    client: Client, place: SeriesPlace, refuse: Refuse, guard: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Copies the buckets; those that are there already stay. Yields (buckets, bytes) as they are taken."""
    source: Any = client[place.database].get_collection(place.staging)
    target = client[place.database].get_collection(place.buckets)
    chunks = source.find_raw_batches({}, hint=[("$natural", 1)], batch_size=1000)
    for count, size in insert_into(target, chunks, refuse, bypass=False):
        guard(size)
        yield count, size


def complete(client: Client, place: SeriesPlace) -> list[tuple[str, str]]:
    """Builds the indexes and, last, lets documents expire. Returns (index, why) of those refused."""
    specs = [RawBSONDocument(extjson.loads(text), rawbson.RAW) for text in place.indexes]
    wanted: list[tuple[str, RawBSONDocument]] = []
    for spec in specs:
        wanted.append((place.buckets if spec["name"] in place.bucket_indexes else place.name, spec))
    failures = []
    for collection, spec in wanted:
        fields = {k: v for k, v in spec.items() if k not in ("ns", "background", "v")}
        why = indexes.create(client, place.database, collection, [fields])
        if why is not None:
            failures.append((str(spec["name"]), why))
    seconds = _options(place).get("expireAfterSeconds")
    if seconds is not None:
        client[place.database].command({"collMod": place.name, "expireAfterSeconds": seconds})
    return failures


def missing(client: Client, place: SeriesPlace) -> int:
    """How many buckets of the staging collection the series does not have."""
    database = client[place.database]
    return max(0, database[place.staging].count_documents({}) - database[place.buckets].count_documents({}))


def _options(place: SeriesPlace) -> RawBSONDocument:
    return RawBSONDocument(extjson.loads(place.options), rawbson.RAW)


def _create_options(place: SeriesPlace) -> dict[str, Any]:
    """Without what makes documents expire, which comes last, and without the span that a granularity brings
    itself."""
    options: dict[str, Any] = {k: v for k, v in _options(place).items() if k != "expireAfterSeconds"}
    series = dict(options["timeseries"])
    if "granularity" in series:
        series.pop("bucketMaxSpanSeconds", None)
        series.pop("bucketRoundingSeconds", None)
    return {**options, "timeseries": series}


def _buckets_uuid(client: Client, place: SeriesPlace) -> str | None:
    for info in client[place.database].list_collections(filter={"name": place.buckets}):
        return str(info["info"]["uuid"].hex())
    return None


def _is_empty(client: Client, place: SeriesPlace) -> bool:
    return client[place.database][place.buckets].find_one({}, {"_id": 1}) is None
