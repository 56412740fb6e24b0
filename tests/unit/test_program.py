"""Programs of the user's: what they get, and how they end."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mongo_dr_console.model.trouble import Failed, Unreachable
from mongo_dr_console.workers.program import run_program


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_it_gets_the_document_and_its_last_words_are_told() -> None:
    said = run_program(python("import sys; print('x'); print(sys.stdin.read().upper())"), "to here", 30)
    assert said == "TO HERE"


def test_one_that_fails_is_quoted_without_a_uri() -> None:
    code = "import sys; print('cannot reach mongodb://u:hunter2@h/'); sys.exit(3)"
    with pytest.raises(Failed) as caught:
        run_program(python(code), "", 30)
    assert caught.value.code == "program-failed"
    assert "ended with exit code 3. It said: cannot reach mongodb://***" in caught.value.message


def test_one_that_is_not_there() -> None:
    with pytest.raises(Failed) as caught:
        run_program(("/nowhere/at-all",), "", 30)
    assert caught.value.code == "program-missing"


def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid_file)!r} + '.new', 'w').write(str(child.pid))\n"
        f"os.rename({str(pid_file)!r} + '.new', {str(pid_file)!r})\n"
        "print('waiting', flush=True)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(Unreachable) as caught:
        run_program(python(code), "x" * 1_000_000, 3)
    assert caught.value.code == "program-hangs"
    assert "It said: waiting" in caught.value.message
    child = int(pid_file.read_text())
    for _ in range(500):
        if not alive(child):
            return
        time.sleep(0.01)
    pytest.fail("the child lives on")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().split(")")[1].split()[0] in "ZX")


def test_one_that_does_not_read_is_no_error() -> None:
    assert run_program(("true",), "x" * 1_000_000, 30) == ""


def test_what_it_leaves_behind_holds_nothing_up() -> None:
    began = time.monotonic()
    run_program(("sh", "-c", "sleep 600 & echo done"), "", 30)
    assert time.monotonic() - began < 20, signal.SIGKILL
