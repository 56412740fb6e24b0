"""Commands start without what they do not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_SCRIPT = """
import json, sys
from mongo_dr_console.cli.main import run
try:
    run({words})
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)), file=sys.stderr)
"""


def loaded(*words: str) -> set[str]:
    """The top-level packages that are imported once a command has run in a process of its own."""
    script = _SCRIPT.format(words=list(words))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", ["status", "doctor", "coverage"])
def test_help_loads_nothing_heavy(command: str) -> None:
    assert not loaded(command, "--help") & {"boto3", "botocore", "kafka", "textual"}


@pytest.mark.parametrize("words", [["jobs", "--help"], ["snapshots", "--help"], ["status", "--help"]])
def test_what_asks_no_deployment_loads_no_driver(words: list[str]) -> None:
    assert not loaded(*words) & {"pymongo", "asyncio"}


def test_the_version_is_told_without_anything() -> None:
    assert not loaded("--version") & {"pymongo", "pydantic"}


def test_reading_loads_nothing_of_other_stores_or_the_console() -> None:
    script = "mongo_dr_console.workers.pollers"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {script}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "pymongo" in packages
    assert not packages & {"boto3", "botocore", "kafka", "textual"}
