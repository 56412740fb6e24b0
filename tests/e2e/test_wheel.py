"""A wheel, made of the sdist, alone in an empty environment away from the checkout: commands, themes,
completion, console."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "recording" / "run.jsonl"


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    for name in ("builds", "venv"):
        run([sys.executable, "-m", "venv", folder / name], folder)
    builder, python = (folder / name / "bin" / "python" for name in ("builds", "venv"))
    run([builder, *pip, "install", "hatchling"], folder)
    run([builder, "-c", f"from hatchling.build import build_sdist; build_sdist({str(folder)!r})"], ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    run([builder, *pip, "wheel", "--no-deps", "--wheel-dir", folder, sdist], folder)
    (wheel,) = folder.glob("*.whl")
    run([python, *pip, "install", "-c", ROOT / "constraints.txt", wheel], folder)
    return python.with_name("mdr")


@pytest.mark.slow
@pytest.mark.skipif(
    "MDR_WHEEL" not in os.environ, reason="downloads all that the wheel needs: MDR_WHEEL=1 runs it"
)
@pytest.mark.timeout(400)
def test_it_stands_alone(mdr: Path, tmp_path: Path) -> None:
    assert "0.1.0" in run([mdr, "--version"], tmp_path)
    asked = {"COMP_WORDS": "mdr snap", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "mdr snap"}
    asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    for shell in ("bash", "zsh", "fish"):
        assert "snapshots" in run([mdr], tmp_path, _MDR_COMPLETE=f"complete_{shell}", **asked)
        assert "_MDR_COMPLETE" in run([mdr], tmp_path, _MDR_COMPLETE=f"source_{shell}")
    env = {**os.environ, "MDR_STATE_DIR": str(tmp_path), "MDR_CONFIG": str(tmp_path / "config.toml")}
    command = [str(mdr), "console", "--theme", "high-contrast", "--replay", str(RECORDING)]
    with Terminal(command, env=env) as terminal:
        terminal.wait_for("RECORDING")
        assert "left out" not in terminal.text, "the theme is not there"
        terminal.write("?")
        terminal.wait_for("This screen")
