"""Commands start without what they do not use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal

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


_UP_TO_THE_FIRST_FRAME = """
import json, os, signal, sys
from pathlib import Path
from mongo_dr_console.cli.main import run
from mongo_dr_console.workers.latepollers import LatePollers

async def asked(pollers):
    Path({file!r}).write_text(json.dumps(sorted(sys.modules)))
    os.kill(os.getpid(), signal.SIGTERM)

LatePollers.run = asked
run({words})
"""

_LOADED_LATER = {
    "pymongo",
    "cryptography",
    "mongo_dr_console.engines",
    "mongo_dr_console.mongo",
    "mongo_dr_console.sandbox",
    "mongo_dr_console.stores",
    "mongo_dr_console.stream",
    "mongo_dr_console.model.alert",
    "mongo_dr_console.model.alertfacts",
    "mongo_dr_console.model.bundledoc",
    "mongo_dr_console.model.drill",
    "mongo_dr_console.model.failoverdoc",
    "mongo_dr_console.model.jobview",
    "mongo_dr_console.model.plan",
    "mongo_dr_console.model.scheduleview",
    "mongo_dr_console.model.segment",
    "mongo_dr_console.workers.jobs",
    "mongo_dr_console.workers.pollers",
    "mongo_dr_console.workers.sources",
}


@pytest.mark.parametrize("words", [["-p", "one", "console"], ["console", "--all"]])
def test_the_first_frame_waits_for_nothing_that_only_asking_needs(tmp_path: Path, words: list[str]) -> None:
    """All of it together takes longer to load than the frame to be drawn."""
    config, found = tmp_path / "config.toml", tmp_path / "loaded.json"
    config.write_text("[profiles.one]\nuri = 'mongodb://127.0.0.1:1/'\n")
    config.chmod(0o600)
    script = _UP_TO_THE_FIRST_FRAME.format(file=str(found), words=words)
    environment = {**os.environ, "MDR_CONFIG": str(config), "MDR_STATE_DIR": str(tmp_path / "state")}
    with Terminal([sys.executable, "-c", script], env=environment) as terminal:
        assert terminal.wait() == 0
        assert terminal.frames
    names = json.loads(found.read_text())
    assert "mongo_dr_console.ui.widgets.lines_view" in names
    assert not [n for n in names if any(n == late or n.startswith(f"{late}.") for late in _LOADED_LATER)]
