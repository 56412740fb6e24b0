"""Two consoles and the command line on one deployment see the same job at the same step."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.engineer import Engineer
from support.practice import Practice, held_at_its_first_step

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
