"""``mdr`` and ``mdr console`` as they are started: with a terminal, without one, and when it goes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.terminal import Terminal

from mongo_dr_console.mongo import processes

MDR = [sys.executable, "-m", "mongo_dr_console"]
DEAD = """
[profiles.dead]
uri = "mongodb://u:s3cr3t-pass@127.0.0.1:1,127.0.0.1:2/?replicaSet=rs0"
environment = "production"
access = "operate"
[profiles.dead.stores.local]
type = "local"
path = "store"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(DEAD, encoding="utf-8")
    path.chmod(0o600)
    (tmp_path / "store").mkdir()
    return path


@contextmanager
def opened(*words: str, size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    with Terminal([*MDR, *words], size=size) as terminal:
        yield terminal


def without_terminal(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MDR, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=180
    )


def test_without_a_terminal_the_console_says_what_to_use_instead(config: Path) -> None:
    done = without_terminal("console")
    assert done.returncode == 2
    assert "The console needs a terminal" in done.stderr and "mdr status" in done.stderr
    assert done.stdout == ""


def test_mdr_alone_without_a_terminal_shows_its_help(config: Path) -> None:
    done = without_terminal()
    assert done.returncode == 0
    assert "Usage: mdr" in done.stdout and "Without a command: the console." in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--operate", "--allow-restore"),
        ("--record", "a", "--replay", "b"),
        ("--all", "--replay", "b"),
        ("--nonsense",),
    ],
)
def test_what_does_not_go_together_is_wrong_use(config: Path, words: tuple[str, ...]) -> None:
    done = without_terminal("console", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("console",)])
def test_with_everything_dead_it_opens_and_is_left_by_a_key(config: Path, words: tuple[str, ...]) -> None:
    with opened(*words) as terminal:
        terminal.wait_for("RPO now")
        text = terminal.wait_for("PRODUCTION")
        assert "WATCH" in text
        assert "s3cr3t" not in text
        terminal.press("Q")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text


def test_a_lost_terminal_ends_it_quietly(config: Path) -> None:
    with opened("console", "--operate") as terminal:
        terminal.wait_for("RPO now")
        assert terminal.kill(180) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_kill_leaves_the_console_and_gives_the_terminal_back(config: Path, number: int) -> None:
    with opened("console") as terminal:
        terminal.wait_for("RPO now")
        os.kill(terminal.pid, number)
        assert terminal.wait() == 0
        assert "RPO now" not in terminal.text


def test_more_than_the_profile_allows_is_said_and_not_given(config: Path) -> None:
    with opened("console", "--allow-restore") as terminal:
        text = terminal.wait_for("RPO now")
        assert "OPERATE" in text.splitlines()[0]
        terminal.press("Q")
        terminal.wait()
        said = " ".join(terminal.text.split())
        assert "profile 'dead' allows 'operate', so the console does not get 'restore'" in said


def test_no_such_profile_is_said_before_anything_is_drawn(config: Path) -> None:
    with opened("-p", "nobody", "console") as terminal:
        assert terminal.wait() == 2
        assert "There is no profile 'nobody'" in terminal.text


def test_ascii_is_plain_to_the_last_frame(config: Path) -> None:
    with opened("console", "--operate", "--ascii", "--theme", "none-such") as terminal:
        terminal.wait_for("RPO now")
        shown = [terminal.wait_for("There is no theme 'none-such'")]
        terminal.press("?")
        shown.append(terminal.wait_for("This screen"))
        terminal.press("escape")
        terminal.wait_gone("This screen")
        terminal.press(":")
        shown.append(terminal.wait_for("a few letters"))
        terminal.press("escape")
        terminal.wait_gone("a few letters")
        terminal.press("A")
        shown.append(terminal.wait_for("Arm this console?"))
        for text in shown:
            assert text.isascii(), [c for c in text if not c.isascii()]


def test_a_recording_is_shown_where_nobody_knows_its_deployment(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tmp_path / "run.jsonl"
    with opened("console", "--record", str(recording)) as terminal:
        terminal.wait_for(lambda _: recording.exists() and recording.stat().st_size > 0)
        terminal.press("Q")
        assert terminal.wait() == 0
    assert "s3cr3t" not in recording.read_text(encoding="utf-8")
    monkeypatch.setenv("MDR_CONFIG", str(tmp_path / "none.toml"))
    with opened("console", "--allow-restore", "--replay", str(recording)) as terminal:
        text = terminal.wait_for("RPO now")
        assert "PRODUCTION" in text and "RECORDING" in text.splitlines()[0]
        terminal.press("A")
        terminal.wait_for("This is a recording")
        assert "ARMED" not in terminal.text
        terminal.press("Q")
        assert terminal.wait() == 0


def kept(folder: Path) -> str:
    return "".join(f.read_text(encoding="utf-8") for f in sorted(folder.rglob("*.jsonl")))


def test_the_last_console_is_there_to_be_gone_through_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = tmp_path / "state" / "recordings"
    with opened("console") as terminal:
        terminal.wait_for(lambda _: '"source":"store:local"' in kept(recordings))
        terminal.press("Q")
        assert terminal.wait() == 0
    assert "s3cr3t" not in kept(recordings)
    (file,) = recordings.rglob("*.jsonl")
    with file.open("ab") as damaged:
        damaged.write(b"{torn\n")
    for named in (True, False):  # with its config, and where nobody knows it
        with opened("console", "--replay", "last") as terminal:
            terminal.wait_for("1 line of this recording cannot be read")
            terminal.press("space")
            text = terminal.wait_for(re.compile(r"reading \d+ of .*paused"))
            here = re.search(r"reading (\d+) of", text)
            terminal.press(*"b" * (int(here[1]) - 1 if here else 0))
            text = terminal.wait_for("reading 1 of ")
            assert "RECORDING" in text and "PRODUCTION" in text and "paused" in text
            terminal.press("f")
            terminal.wait_for("reading 2 of ")
            terminal.press("Q")
            assert terminal.wait() == 0
        assert list(recordings.rglob("*.jsonl")) == [file]
        if named:
            monkeypatch.setenv("MDR_CONFIG", str(tmp_path / "none.toml"))


def test_nothing_is_kept_where_that_is_not_wanted(config: Path, tmp_path: Path) -> None:
    with opened("console", "--no-record") as terminal:
        terminal.wait_for("RPO now")
        terminal.press("Q")
        assert terminal.wait() == 0
    assert not (tmp_path / "state" / "recordings").exists()
    with opened("console", "--replay", "last") as terminal:
        assert terminal.wait() == 2
        assert "There is no recording of a console" in " ".join(terminal.text.split())


def test_a_state_folder_that_cannot_be_written_is_said_once_and_it_stays_open(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    with opened("console", size=(120, 36)) as terminal:
        terminal.wait_for("What is seen cannot be recorded")
        terminal.press("v")
        terminal.wait_for("All facts")
        terminal.press("escape")
        terminal.wait_gone("All facts")
        terminal.press("Q")
        assert terminal.wait() == 0


def test_what_is_no_recording_is_refused(config: Path, tmp_path: Path) -> None:
    with opened("console", "--replay", str(config)) as terminal:
        assert terminal.wait() == 2
        assert "is not a recording" in " ".join(terminal.text.split())
    with opened("console", "--record", str(tmp_path / "no" / "such" / "folder")) as terminal:
        assert terminal.wait() == 1
        assert "cannot be written" in " ".join(terminal.text.split())


def test_a_wrong_key_and_a_bad_theme_are_reported_and_it_opens(config: Path) -> None:
    config.write_text('theme = "dark"\n[keys]\nnonsense = "x"\n' + DEAD, encoding="utf-8")
    folder = config.parent / "themes"
    folder.mkdir()
    (folder / "mine.toml").write_text("name = 3", encoding="utf-8")
    with opened("console", size=(120, 36)) as terminal:
        terminal.wait_for("Key for 'nonsense' was left out")
        terminal.wait_for("Theme mine.toml was left out")


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_the_demo_opens_the_console_and_leaves_nothing_behind(
    tmp_path: Path, mongod: Path, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("MDR_STATE_DIR", str(state))
    with opened("demo") as terminal:
        terminal.wait_for("RPO now", 180)
        text = terminal.wait_for("practice │ RESTORE")
        assert "ARMED" not in text
        if lost:
            assert terminal.kill(180) == 0
        else:
            terminal.press(":")
            terminal.wait_for("a few letters")
            terminal.write("lag")
            terminal.wait_for("incident lag")
            terminal.press("enter")
            terminal.wait_gone("Enter: ")
            terminal.press("Q")
            assert terminal.wait(180) == 0
    assert processes.below(state) == []
    assert not state.exists()
