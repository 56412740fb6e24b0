"""Reading the set's status: through whichever member answers, and from each of them without a primary."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.read_preferences import PrimaryPreferred

from mongo_dr_console.model.setstatus import SetStatus, merge_views, parse_set_status
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import AsyncClient

_ANY = PrimaryPreferred()
_LEFT_OUT = (
    "asserts",
    "connections",
    "extra_info",
    "flowControl",
    "globalLock",
    "locks",
    "metrics",
    "network",
    "opcounters",
    "opcountersRepl",
    "opLatencies",
    "security",
    "storageEngine",
    "tcmalloc",
    "transactions",
    "wiredTiger",
)
"""Sections of ``serverStatus`` that nobody here looks at and that cost the server time."""


async def read_set_status(client: AsyncClient, *, limit_ms: int = 2000) -> SetStatus:
    """The view of the primary, or of another member where there is none.

    Needs the role clusterMonitor.

    Raises:
        Refused: A standalone server or a mongos.
        PyMongoError: As the driver says.

    Args:
        client: For the set, or for one member (``directConnection``).
        limit_ms: Server-side time limit of each command.
    """
    hello = await command(client, {"hello": 1}, limit_ms)
    if "setName" not in hello:
        raise Refused(
            "not-a-replica-set",
            "This server is not a member of a replica set; without an oplog there is no point in time.",
            "Point the profile at a replica set.",
        )
    # The first command may have opened the connection; the second is a round trip and nothing else.
    started = perf_counter()
    status = await command(client, {"replSetGetStatus": 1}, limit_ms)
    round_trip = (perf_counter() - started) * 1000
    return parse_set_status(
        status,
        hello,
        await _config(client, limit_ms),
        round_trip_ms=round_trip,
        **await _server(client, limit_ms),
    )


async def ask_members(
    clients: dict[str, AsyncClient], *, seconds: float, known: Sequence[str] = ()
) -> SetStatus:
    """Every member asked directly and at once; those that do not answer in time are silent.

    Raises:
        PyMongoError, TimeoutError: No member answered; the first one's error.
    """
    names = tuple(clients)
    answers = await asyncio.gather(
        *(asyncio.wait_for(read_set_status(clients[n]), seconds) for n in names), return_exceptions=True
    )
    views = [a for a in answers if isinstance(a, SetStatus)]
    silent = [n for n, a in zip(names, answers, strict=True) if isinstance(a, BaseException)]
    merged = merge_views(views, silent)
    if merged is not None:
        return merged
    first = next((a for a in answers if isinstance(a, PyMongoError)), None)
    raise first if first is not None else TimeoutError("no member answered in time")


async def command(client: AsyncClient, request: dict[str, Any], limit_ms: int) -> dict[str, Any]:
    """A command on ``admin``, of any member that answers, bounded on the server."""
    # Commands do not take the client's codec options by themselves, and times without a zone are no times.
    answer: dict[str, Any] = await client.admin.command(
        request | {"maxTimeMS": limit_ms}, read_preference=_ANY, codec_options=client.codec_options
    )
    return answer


async def _config(client: AsyncClient, limit_ms: int) -> dict[str, Any] | None:
    """Votes and priorities; a user that may not read them still gets everything else."""
    try:
        config: dict[str, Any] = (await command(client, {"replSetGetConfig": 1}, limit_ms))["config"]
    except PyMongoError:
        return None
    return config


async def _server(client: AsyncClient, limit_ms: int) -> dict[str, Any]:
    """Version and write block of the member that answers; left out where they cannot be had."""
    try:
        status = await command(client, {"serverStatus": 1, **dict.fromkeys(_LEFT_OUT, 0)}, limit_ms)
    except PyMongoError:
        return {}
    return {
        "server_version": str(status.get("version", "")),
        "write_block_mode": (status.get("repl") or {}).get("userWriteBlockMode"),
    }
