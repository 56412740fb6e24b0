"""Two consoles and the command line on one deployment see the same job at the same step."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.engineer import Engineer
from support.practice import Practice

from mongo_dr_console.model.journal import JobStarted
from mongo_dr_console.model.progress import StepStarted
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.jobs import JobFolder

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


def test_all_see_the_same_step(practice: Practice, sits_down: Callable[..., Engineer]) -> None:
    """Each time the command line has seen a job at a step, both consoles come to stand at it, or further. How
    soon is measured by bench/console.py.
    """
    first, second = sits_down((120, 36)), sits_down((80, 24))
    first.types_command("incident drop-collection")
    for engineer in (first, second):
        engineer.sees("DATA DROPPED: shop.orders")
    first.opens_the_drop()
    first.walks_to_the_plan()
    first.terminal.press("enter")
    first.sees("not armed")
    first.arms()
    with held_at_its_first_step(practice.state) as go_on:
        first.confirms("practice/practice/shop.orders", "Restore")
        job = first.job_on_screen("restore")
        second.attaches(job)

        looks = 0
        while True:
            told = practice.mdr("jobs", "show", job)
            for engineer in (first, second):
                engineer.terminal.wait_for(
                    lambda shown, told=told: stands_at(shown, told), 120, f"{steps_of(told)}"
                )
            looks += 1
            if told["state"] != "running":
                break
            go_on()
    assert looks > 1, "the job was over before anybody could look"
    assert told["state"] == "done"
    status = practice.mdr("--profile", "practice", "status", codes=(0, 1, 2))
    assert [j["state"] for j in status["readings"]["jobs"]["value"] if j["job"] == job] == ["done"]


@contextmanager
def held_at_its_first_step(state: Path) -> Iterator[Callable[[], None]]:
    """A restore that is begun meanwhile stands still once it is at a step, until what is yielded is called:
    on a busy machine it would be over before all have looked."""
    caught: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not caught and not over.wait(0.01):
            for journal in state.glob("practice/state/jobs/*/journal.jsonl"):
                folder = JobFolder(journal.parent)
                events = [line.event for line in jobs.read_lines(folder)]
                at_a_step = any(isinstance(event, StepStarted) for event in events)
                if at_a_step and jobs.read_plan(folder).kind == "restore":
                    caught.extend(event.pid for event in events if isinstance(event, JobStarted))
                    os.kill(caught[0], signal.SIGSTOP)

    def go_on() -> None:
        over.set()
        watcher.join()
        for pid in caught:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield go_on
    finally:
        go_on()


def steps_of(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(s["step"], s["state"]) for s in job["steps"]]


def stands_at(shown: str, told: dict[str, Any]) -> bool:
    """Whether a screen shows a job as far as it was told: what was done is done, what runs has begun."""
    head = shown.split("\n")[1]
    if told["job"] not in head or "● running" not in head:
        # At the end the small screen has its result and no room for all steps.
        return told["job"] in head and "✓ done" in head
    if told["state"] != "running":
        return False
    for step, state in steps_of(told):
        found = re.search(rf"^ . {step} +(\w+)", shown, re.MULTILINE)
        if found is None or (state == "done" and found[1] != "done"):
            return False
    return True
