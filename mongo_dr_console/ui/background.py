"""Calls that block, made away from the console's loop; their troubles come back as data."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.workers.threads import DaemonThreads

R = TypeVar("R")

_THREADS = DaemonThreads()


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, what it means, what to do next."""

    code: str
    message: str
    hint: str = ""


async def in_thread(call: Callable[[], R]) -> R | Problem:
    """The call's value, or why there is none. Never raises what the call raised; the thread is a daemon."""
    try:
        return await asyncio.get_running_loop().run_in_executor(_THREADS, call)
    except Exception as error:  # whatever it is, the console stays and says it
        return problem_of(error)


def problem_of(error: Exception) -> Problem:
    """An error in words; a secret in it is scrubbed."""
    # Only where the driver is in use: it takes longer to load than the first frame to be drawn.
    if "pymongo" in sys.modules:
        from pymongo.errors import PyMongoError

        from mongo_dr_console.mongo.client import told

        if isinstance(error, PyMongoError):
            error = told(error)
    if isinstance(error, Trouble):
        return Problem(error.code, error.message, error.hint)
    return Problem(
        "unexpected",
        scrub(f"The console met an error that it does not know: {type(error).__name__}: {error}"),
        "Jobs go on without the console: mdr jobs list",
    )
