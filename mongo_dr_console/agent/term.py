"""One term of an agent that leads: the lease is kept, and the duties run, until either must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mongo_dr_console.agent.duties import duties_of
from mongo_dr_console.agent.duty import Duty, Post, Term
from mongo_dr_console.agent.streaming import Streaming
from mongo_dr_console.model.lease import RENEW_SECONDS
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stores.lease import Grip

END_SECONDS = 30.0
"""How long duties are waited for at the end."""
_RETRY_SECONDS = 0.5


class Keeping:
    """Renews a lease in a thread of its own; nothing else is done there that could hold that up.

    Args:
        grip: The lease; None where nothing is shared with others: then there is nothing to renew.
        tell: A line for whoever looks after the process.
        lost: Called once the term has ended without being asked to.
    """

    def __init__(self, grip: Grip | None, tell: Callable[[str], None], lost: Callable[[], None]) -> None:
        self._grip, self._tell, self._lost = grip, tell, lost
        self.term = Term() if grip is None else Term(grip.fence, runs=grip.holds)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mdr-lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Gives the lease back: the others need not wait until it is over. All duties have ended."""
        self.term.ended.set()
        self._over.set()
        if self._grip is not None:
            self._thread.join(END_SECONDS)
            self._grip.release()

    def _run(self) -> None:
        grip, pause = self._grip, RENEW_SECONDS
        while grip is not None and not self._over.wait(pause):
            try:
                kept = grip.renew()
            except Trouble as trouble:
                if self.term.holds():
                    self._tell(f"the lease cannot be renewed just now: {trouble.message}")
                    pause = _RETRY_SECONDS
                    continue
                kept = False
            if not kept:
                self.term.ended.set()
                self._lost()
                return
            pause = RENEW_SECONDS


class Watchkeeping:
    """The duties of one post, begun and ended together.

    Raises:
        WrongUse: The profile asks for something that cannot be had.
    """

    def __init__(self, post: Post) -> None:
        self.duties: Sequence[Duty] = duties_of(post)
        self._begun: list[Duty] = []

    @property
    def streaming(self) -> Streaming | None:
        return next((d for d in self.duties if isinstance(d, Streaming)), None)

    def start(self) -> None:
        for duty in self.duties:
            self._begun.append(duty)
            duty.start()

    def end(self) -> bool:
        """Whether everything that was begun was finished."""
        for duty in reversed(self._begun):
            duty.stop()
        deadline = time.monotonic() + END_SECONDS
        ended = [duty.join(max(0.0, deadline - time.monotonic())) for duty in reversed(self._begun)]
        self._begun.clear()
        return all(ended)
