"""Threads for calls that may hang: file systems, name resolution. They never hold up an exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class DaemonThreads(ThreadPoolExecutor):
    """An executor with one daemon thread a call.

    The standard one joins its threads at exit, so that one call into a dead network file system would keep
    the process; and its threads are few, so that hanging calls would starve those of others. Whoever uses
    this one keeps to one call in flight a source, which bounds the threads.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        threading.Thread(target=_run, args=(future, fn, args, kwargs), name="mdr-reader", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to wait for: the threads end with the process."""


def _run(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class OneCall:
    """Calls that block, one in flight: a hanging one is waited for, never joined by a second."""

    def __init__(self, threads: DaemonThreads) -> None:
        self._threads = threads
        self._pending: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[[], R]) -> R:
        if self._pending is not None and not self._pending.done():
            await asyncio.shield(self._pending)
        future = asyncio.get_running_loop().run_in_executor(self._threads, function)
        # Whoever gave up waiting does not ask for the error any more.
        future.add_done_callback(settle)
        self._pending = future
        return await asyncio.shield(future)


def settle(future: asyncio.Future[Any]) -> None:
    """Takes the error of a call that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def run_bounded(main: Coroutine[Any, Any, R]) -> R:
    """Runs a coroutine in a loop whose threads (name resolution among them) never hold up the end."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(DaemonThreads())
        return runner.run(main)
