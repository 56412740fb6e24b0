"""Status for ears: whole sentences, no sign alone, and afterwards only what changed."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.readingkit import (
    DOWN,
    LIMITS,
    NOW,
    coverage,
    event,
    event_facts,
    member,
    reading,
    readings,
    set_status,
    snapshot,
)
from support.states import STATES

from mongo_dr_console.cli.watch import Spoken
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.plainspeech import changes, everything, heard
from mongo_dr_console.model.readings import Readings, with_reading
from mongo_dr_console.model.verdict import verdict

SIGNS = re.compile(r"[^\x20-\x7e]|(?<!\S)[?~|-](?!\S)| {2}")


def whole(found: Readings) -> list[str]:
    return everything(found, verdict(found, LIMITS, NOW), LIMITS, NOW)


def said(before: Readings, after: Readings, seconds: float = 2) -> list[str]:
    """What is said of one look after another, without the time."""
    later = NOW + timedelta(seconds=seconds)
    first = heard(before, verdict(before, LIMITS, NOW), NOW)
    lines, _ = changes(first, after, verdict(after, LIMITS, later), LIMITS, later)
    assert all(re.match(r"\d\d:\d\d:\d\dZ: ", line) for line in lines)
    return [line.partition(": ")[2] for line in lines]


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_said_in_sentences_without_a_sign_that_only_the_eye_reads(state: str) -> None:
    lines = whole(STATES[state]())
    assert lines[0].startswith("Verdict: ") and "RPO now" in lines[1] and "RTO now" in lines[1]
    assert all(line.endswith((".", "!")) and line[0] != " " for line in lines)
    if state != "odd":  # names of others are said as they are
        assert not [line for line in lines if SIGNS.search(line)]


def test_a_row_says_what_each_number_is_and_how_bad_it_is() -> None:
    lines = whole(
        readings(set=reading("set", set_status(member("a:1"), member("b:1", "DOWN", healthy=False))))
    )
    assert any(re.search(r"member a:1, state \w+", line) for line in lines)
    assert any(re.match(r"(Warning|Critical): member b:1, state DOWN", line) for line in lines)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    lines = whole(Readings("p", "test"))
    assert lines[0].startswith("Verdict: unknown.") and "RPO now unknown" in lines[1]
    stale = whole(readings(set=reading("set", set_status(), error=DOWN)))
    assert any("last known as PRIMARY" in line for line in stale)


def test_time_that_passes_is_no_change() -> None:
    old = readings(snapshot(30))
    later = NOW + timedelta(seconds=5)
    again = replace(old, set=reading("set", set_status(), taken_at=later, tried_at=later))
    assert said(old, again, 5) == []


def test_the_primary_that_went_is_said_with_the_verdict() -> None:
    before = readings(snapshot(30))
    lost = reading(
        "set", set_status(member("a:1", "SECONDARY"), member("b:1", "DOWN", healthy=False), primary=None)
    )
    lines = said(before, with_reading(before, lost))
    assert lines[0].startswith("Verdict: critical, was ")
    assert any("has no primary" in line for line in lines)
    back = said(with_reading(before, lost), before)
    assert any(line.startswith("Over: ") for line in back)
    assert any("is the primary now" in line for line in back)


def test_an_event_and_a_job_are_said_once() -> None:
    before = readings(snapshot(30))
    job = JobFacts("0badcafe", "restore", "running", started_at=NOW)
    after = with_reading(before, reading("events", event_facts(event(1))))
    after = with_reading(after, reading("jobs", (job,)))
    lines = said(before, after)
    assert sum("drop shop.orders" in line for line in lines) == 1
    assert "job 0badcafe restore began." in lines
    assert said(after, after) == []


def test_numbers_are_said_when_they_moved_and_not_while_they_tick() -> None:
    before = readings(snapshot(30))

    def with_rpo(seconds: float) -> Readings:
        known = replace(coverage(snapshot(30)), rpo_seconds=seconds)
        return with_reading(before, reading("coverage", known))

    def numbers(old: float, new: float) -> list[str]:
        return [line for line in said(with_rpo(old), with_rpo(new), 0) if line.startswith("RPO")]

    assert numbers(30, 31) == [] and numbers(300, 340) == []
    assert numbers(59, 61) == ["RPO now 1m1s, over its target of 1m, was 59s."]
    assert numbers(300, 30) == ["RPO now 30s, within its target of 1m, was 5m."]
    assert len(numbers(300, 400)) == 1


def test_a_slow_drift_is_said_in_the_end() -> None:
    before = readings(snapshot(30))
    known = heard(before, verdict(before, LIMITS, NOW), NOW)
    lines: list[str] = []
    for seconds in range(30, 200, 5):
        drifted = replace(coverage(snapshot(30)), rpo_seconds=float(seconds))
        now = with_reading(before, reading("coverage", drifted))
        more, known = changes(known, now, verdict(now, LIMITS, NOW), LIMITS, NOW)
        lines += [line for line in more if ": RPO now" in line]
    assert 3 <= len(lines) <= 6


def test_names_of_others_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    evil = readings(set=reading("set", set_status(member("a\x1b[2J\nb:1", "PRIMARY"))))
    spoken = Spoken()
    spoken.tell(evil, verdict(evil, LIMITS, NOW), LIMITS, NOW)
    spoken.tell(evil, verdict(evil, LIMITS, NOW), LIMITS, NOW)
    out = capsys.readouterr().out
    assert "\x1b" not in out and out.count("Verdict: ") == 1


def test_on_a_terminal_too_no_cursor_is_moved_and_ctrl_c_is_the_end(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[profiles.dead]\nuri = "mongodb://127.0.0.1:1/"\n', encoding="utf-8")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mongo_dr_console", "status", "--watch", "--plain"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "MDR_CONFIG": str(config), "MDR_STATE_DIR": str(tmp_path)},
        text=True,
    ) as process:
        os.close(theirs)
        seen = ""
        while "RTO now" not in seen:
            seen += os.read(ours, 65536).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    os.close(ours)
    assert seen.startswith("Verdict: ") and "\x1b" not in seen
