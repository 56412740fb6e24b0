"""Each shell completes commands, options, and the names that only this host knows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobkit import LOADED, ended, make_job, restored

from mongo_dr_console.cli.complete import jobs, profiles

MDR = Path(sys.executable).with_name("mdr")
CONFIG = "[profiles.prod]\nuri = 'mongodb://h/'\n[profiles.practice-eu]\nuri = 'mongodb://h/'\n"


def asked(**environment: str) -> str:
    done = subprocess.run(
        [MDR], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("MDR_CONFIG", str(path))
    monkeypatch.setenv("MDR_STATE_DIR", str(tmp_path / "state"))
    return path


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "mdr restore plan --mo", "COMP_CWORD": "3"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "mdr restore plan --mo"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "mdr restore plan --mo", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_each_shell_is_answered(shell: str, words: dict[str, str]) -> None:
    assert "--mode" in asked(_MDR_COMPLETE=f"complete_{shell}", **words)
    script = asked(_MDR_COMPLETE=f"source_{shell}")
    assert f"_MDR_COMPLETE=complete_{shell}" in script and "mdr" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_in_a_real_bash(config: Path) -> None:
    words = 'COMP_WORDS=(mdr --profile pra); COMP_CWORD=2; _mdr_completion "$MDR"; echo "${COMPREPLY[@]}"'
    script = f"{asked(_MDR_COMPLETE='source_bash')}\n{words}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "MDR": str(MDR)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["practice-eu"], done.stderr


def test_profiles_and_jobs_by_how_they_begin(config: Path) -> None:
    make_job("restore", *LOADED, ended("done", restored("5eed0001")))
    assert (profiles("pr"), profiles("x")) == (["prod", "practice-eu"], [])
    assert jobs("5ee") == [("5eed0001", "restore, done")] and jobs("6") == []


def test_without_a_config_nothing_is_said(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config.write_text("nonsense", encoding="utf-8")
    assert (profiles(""), jobs("")) == ([], [])
    assert capfd.readouterr() == ("", "")
