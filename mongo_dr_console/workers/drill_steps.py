"""What every kind of drill is: timed steps, what they find, and a record of it, well or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from pymongo.errors import PyMongoError

from mongo_dr_console.model.drill import DrillRecord, DrillStep
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.progress import Note, StepDone, StepStarted
from mongo_dr_console.model.trouble import Interrupted, Trouble, Unreachable
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.workers.context import JobContext


class Drill:
    """One drill; a kind says what is rehearsed, and what is removed after it.

    Args:
        client: Of the deployment.
    """

    kind: Literal["small", "full"]
    no_stream: Literal["live", "none"]

    def __init__(self, context: JobContext, client: Client, identity: Identity, store: str) -> None:
        self.context, self.client, self.identity = context, client, identity
        self.report = context.report
        self.streamed = context.profile.oplog.kafka is not None or context.profile.oplog.segments is not None
        self.steps: list[DrillStep] = []
        self.problems: list[str] = []
        self.facts: dict[str, Any] = {"store": store}
        self.started = datetime.now(UTC)

    def no_deployment(self) -> Unreachable:
        """Why the deployment's own oplog is not read where there is a stream: in a disaster it would not be
        there."""
        return Unreachable(
            "source-unreachable", "a drill takes the oplog from the stream alone, and that does not have it"
        )

    def rehearse(self) -> None:
        """Everything that is measured. What is not as it should be goes into ``problems``, or is raised."""
        raise NotImplementedError

    def remove(self) -> None:
        """All that this drill, or one before it that was killed, has made."""
        raise NotImplementedError

    def run(self) -> DrillRecord:
        """The record, of a success or a failure. Nothing of the drill is left, or that is a problem too.

        Raises:
            Interrupted: Stopped; nothing is left.
            Exception: One that nobody foresaw; nothing is left.
        """
        try:
            with self.step("clean"):
                self.remove()
            self.rehearse()
        except Interrupted:
            self._clean_up()
            raise
        except (Trouble, PyMongoError, OSError) as error:
            self.problems.append(_message(error))
        except Exception:
            self._clean_up()
            raise
        self._clean_up()
        for problem in self.problems:
            self.report(Note(problem, "error"))
        return self._record()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times and journals what is within."""
        began, good = time.monotonic(), False
        self.report(StepStarted(name))
        try:
            yield
            good = True
            self.report(StepDone(name))
        finally:
            seconds = round(time.monotonic() - began, 3)
            self.steps.append(DrillStep(step=name, seconds=seconds, good=good))

    def _clean_up(self) -> None:
        try:
            with self.step("clean-up"):
                self.remove()
        except (Trouble, PyMongoError, OSError) as error:
            text = f"the drill's data was not removed, the next drill tries again: {_message(error)}"
            self.problems.append(text)

    def _record(self) -> DrillRecord:
        targets = self.context.profile.targets
        return DrillRecord(
            job=self.context.job,
            kind=self.kind,
            success=not self.problems,
            timestamp=self.started.replace(microsecond=0),
            profile=self.context.profile_name,
            identity=self.identity,
            oplog="stream" if self.streamed else self.no_stream,
            rto_target_seconds=targets.rto.total_seconds(),
            rpo_target_seconds=targets.rpo.total_seconds(),
            problems=self.problems,
            steps=self.steps,
            **self.facts,
        )


def _message(error: Trouble | PyMongoError | OSError) -> str:
    if isinstance(error, OSError) and not isinstance(error, PyMongoError):
        where = f"{error.filename}: " if error.filename else ""
        return f"the system refused: {where}{error.strerror or type(error).__name__}"
    return (told(error) if isinstance(error, PyMongoError) else error).message
