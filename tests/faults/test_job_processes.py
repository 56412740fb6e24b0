"""Jobs as processes: kill -9, lost terminals, stopping, resuming, two at once. No server is needed."""

from __future__ import annotations

import codecs
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import selftest_job

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.model.journal import JobEnded, JobStarted, Line
from mongo_dr_console.model.progress import Checkpoint, Note
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.jobs import JobFolder

SECRET = "correct-horse"
URI = f"mongodb://root:{SECRET}@127.0.0.1:1/?authSource=admin"
MDR = (*selftest_job.COMMAND, "mdr")


@pytest.fixture(autouse=True)
def selftest_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "JOB_COMMAND", selftest_job.COMMAND)


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[profiles.one]\nuri = "{URI}"\naccess = "restore"\n\n'
        f'[profiles.watcher]\nuri = "{URI}"\naccess = "restore"\n'
    )
    monkeypatch.setenv("MDR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MDR_CONFIG", str(path))
    return path


@pytest.fixture
def make(config_file: Path) -> Iterator[Callable[..., JobFolder]]:
    made: list[JobFolder] = []

    def make_job(profile_name: str = "one", **request: Any) -> JobFolder:
        profile = load_config(config_file).profiles[profile_name]
        made.append(jobs.create(profile_name, profile, config_file, "selftest", request))
        return made[-1]

    yield make_job
    for folder in made:
        if jobs.is_alive(folder):
            os.kill(pid_of(folder), signal.SIGKILL)


def pid_of(folder: JobFolder) -> int:
    return int(json.loads((folder.path / "lock").read_text())["pid"])


def until(folder: JobFolder, wanted: Callable[[Line], bool]) -> Line:
    for line in jobs.follow(folder):
        if wanted(line):
            return line
    raise AssertionError(f"the job ended first: {jobs.load(folder)}")


def until_waiting(folder: JobFolder, attempt: int = 1) -> None:
    seen = 0
    for line in jobs.follow(folder):
        seen += isinstance(line.event, JobStarted)
        if seen == attempt and isinstance(line.event, Note) and line.event.text == "waiting":
            return
    raise AssertionError(f"the job ended first: {jobs.load(folder)}")


def to_the_end(folder: JobFolder) -> list[Line]:
    return list(jobs.follow(folder))


def kill(folder: JobFolder) -> None:
    os.kill(pid_of(folder), signal.SIGKILL)
    to_the_end(folder)


def counted(folder: JobFolder) -> list[int]:
    events = [line.event for line in jobs.read_lines(folder)]
    return [event.facts["done"] for event in events if isinstance(event, Checkpoint)]


def mdr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MDR, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=180
    )


def test_a_job_runs_to_its_end_and_says_what_came_of_it(make: Callable[..., JobFolder]) -> None:
    folder = make(total=3)
    jobs.launch(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert (view.state, view.attempt, view.exit_code, view.error) == ("done", 1, 0, None)
    assert view.result == {"counted": 3, "resumed_at": 0}
    assert [(s.step, s.state, s.done, s.total, s.unit) for s in view.steps] == [
        ("count", "done", 3, 3, "documents")
    ]


def test_only_the_owner_can_read_a_job(make: Callable[..., JobFolder]) -> None:
    folder = make()
    jobs.launch(folder)
    to_the_end(folder)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.path.iterdir()}
    assert modes == {"plan.json": 0o600, "journal.jsonl": 0o600, "lock": 0o600, "stderr.log": 0o600}


def test_its_process_has_a_session_of_its_own_and_no_secret_in_argv(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=1)
    jobs.launch(folder)
    until_waiting(folder)
    pid = pid_of(folder)
    assert os.getsid(pid) == pid
    arguments = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    assert folder.id in arguments.stdout
    assert SECRET not in arguments.stdout


def test_after_kill_9_it_goes_on_from_its_last_checkpoint(make: Callable[..., JobFolder]) -> None:
    folder = make(total=6, wait_at=4)
    jobs.launch(folder)
    until_waiting(folder)
    kill(folder)
    died = jobs.load(folder)
    assert died.state == "failed"
    assert died.error is not None
    assert (died.error.code, died.error.hint) == (
        "job-died",
        f"Go on from there: mdr jobs resume {folder.id}",
    )
    (folder.path / "gate").touch()
    jobs.resume(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert (view.state, view.attempt) == ("done", 2)
    assert view.result == {"counted": 6, "resumed_at": 4}
    assert counted(folder) == [1, 2, 3, 4, 5, 6]


def test_a_line_that_kill_9_tore_off_spoils_nothing(make: Callable[..., JobFolder]) -> None:
    folder = make(total=6, wait_at=4)
    jobs.launch(folder)
    until_waiting(folder)
    kill(folder)
    with folder.journal.open("ab") as journal:
        journal.write(b'{"at":"2026-11-22T02:17:00Z","event":"checkpoint","data":{"kind":"coun')
    (folder.path / "gate").touch()
    jobs.resume(folder)
    to_the_end(folder)
    assert jobs.load(folder).result == {"counted": 6, "resumed_at": 4}


def test_killed_time_and_again_it_does_everything_once(make: Callable[..., JobFolder]) -> None:
    folder = make(total=40, wait_at=[7, 8, 31])
    jobs.launch(folder)
    for attempt in (1, 2, 3):
        until_waiting(folder, attempt)
        kill(folder)
        jobs.resume(folder)
    to_the_end(folder)
    assert (jobs.load(folder).state, jobs.load(folder).attempt) == ("done", 4)
    assert counted(folder) == list(range(1, 41))


def test_stop_ends_it_at_a_safe_point_and_resume_goes_on(make: Callable[..., JobFolder]) -> None:
    folder = make(total=5, wait_at=3)
    jobs.launch(folder)
    until_waiting(folder)
    assert jobs.request_stop(folder).stop_requested
    to_the_end(folder)
    view = jobs.load(folder)
    assert (view.state, view.exit_code, view.stop_requested) == ("stopped", 130, True)
    assert [s.state for s in view.steps] == ["stopped"]
    (folder.path / "gate").touch()
    jobs.resume(folder)
    to_the_end(folder)
    assert (jobs.load(folder).state, counted(folder)) == ("done", [1, 2, 3, 4, 5])
    with pytest.raises(Refused, match="not running"):
        jobs.request_stop(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_it_to_stop(make: Callable[..., JobFolder], number: signal.Signals) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    until_waiting(folder)
    os.kill(pid_of(folder), number)
    to_the_end(folder)
    view = jobs.load(folder)
    assert view.state == "stopped"
    assert view.error is not None
    assert number.name in view.error.message


def test_a_lost_terminal_does_not_end_it(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    until_waiting(folder)
    os.kill(pid_of(folder), signal.SIGHUP)
    (folder.path / "gate").touch()
    to_the_end(folder)
    assert jobs.load(folder).state == "done"


def test_a_second_process_of_the_same_job_is_refused(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    until_waiting(folder)
    for start in (jobs.launch, jobs.resume):
        with pytest.raises(Refused, match="at work already"):
            start(folder)
    second = subprocess.run(
        [*selftest_job.COMMAND, str(folder.path)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 4
    assert "at work already" in second.stderr
    assert jobs.load(folder).attempt == 1
    assert jobs.is_alive(folder)


def test_a_done_job_is_not_resumed(make: Callable[..., JobFolder]) -> None:
    folder = make()
    jobs.launch(folder)
    to_the_end(folder)
    with pytest.raises(Refused, match="is done"):
        jobs.resume(folder)


@pytest.mark.parametrize(
    ("error", "state", "code", "exit_code"),
    [
        ("unreachable", "failed", "gone", 3),
        ("partly", "partial", "some", 5),
        ("surprise", "failed", "unexpected", 1),
        ("exit", "failed", "unexpected", 1),
    ],
)
def test_errors_end_it_with_words_and_without_secrets(
    make: Callable[..., JobFolder], error: str, state: str, code: str, exit_code: int
) -> None:
    folder = make(raise_at=2, error=error)
    jobs.launch(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert view.error is not None
    assert (view.state, view.error.code, view.exit_code) == (state, code, exit_code)
    assert "Traceback" not in view.error.message
    assert ("Traceback" in (folder.path / "stderr.log").read_text()) == (code == "unexpected")
    for path in folder.path.iterdir():
        assert SECRET not in path.read_text()


def test_a_partial_outcome_ends_with_5(make: Callable[..., JobFolder]) -> None:
    folder = make(partial="Two views are missing.")
    jobs.launch(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert (view.state, view.exit_code) == ("partial", 5)
    assert view.error is not None
    assert view.error.message == "Two views are missing."
    assert view.result == {"counted": 5, "resumed_at": 0}


def test_a_profile_that_is_gone_ends_it_as_a_failed_job(
    make: Callable[..., JobFolder], config_file: Path
) -> None:
    folder = make()
    config_file.write_text(f'[profiles.other]\nuri = "{URI}"\naccess = "restore"\n')
    jobs.launch(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert view.error is not None
    assert (view.error.code, view.exit_code) == ("profile-unknown", 2)


def test_relative_places_are_the_same_for_the_job_as_for_whoever_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('[profiles.one]\nuri_file = "secret/uri"\naccess = "restore"\n')
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "uri").write_text("mongodb://beside-the-config")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDR_STATE_DIR", "state")
    config_file = Path("config.toml")
    profile = load_config(config_file).profiles["one"]
    folder = jobs.create("one", profile, config_file, "selftest", {"places": True})
    jobs.launch(folder)
    to_the_end(folder)
    result = jobs.load(folder).result
    assert result == {"uri": "mongodb://beside-the-config", "state": str(tmp_path / "state")}


def test_a_process_that_cannot_begin_says_why(
    make: Callable[..., JobFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "JOB_COMMAND", (sys.executable, "-c", "raise SystemExit('no such thing')"))
    with pytest.raises(Failed, match="no such thing"):
        jobs.launch(make())


def test_the_real_command_knows_its_kinds(
    make: Callable[..., JobFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "JOB_COMMAND", (sys.executable, "-m", "mongo_dr_console.workers.job"))
    folder = make()
    jobs.launch(folder)
    to_the_end(folder)
    view = jobs.load(folder)
    assert view.error is not None
    assert view.error.code == "job-kind-unknown"


def test_followers_in_several_threads_see_every_line(make: Callable[..., JobFolder]) -> None:
    folder = make(total=20, wait_at=10)
    jobs.launch(folder)
    seen: list[list[Line]] = [[], [], []]
    followers = [threading.Thread(target=lambda s=s: s.extend(jobs.follow(folder))) for s in seen]
    for follower in followers:
        follower.start()
    until_waiting(folder)
    (folder.path / "gate").touch()
    for follower in followers:
        follower.join(120)
    assert seen[0] == seen[1] == seen[2] == jobs.read_lines(folder)


def test_following_a_resumed_job_does_not_end_with_its_first_attempt(make: Callable[..., JobFolder]) -> None:
    folder = make(total=5, raise_at=2, error="surprise", wait_at=[0, 4])
    jobs.launch(folder)
    to_the_end(folder)
    jobs.resume(folder)
    until(folder, lambda line: line.event == Note("waiting"))
    (folder.path / "gate").touch()
    assert to_the_end(folder)[-1].event == JobEnded("done", {"counted": 5, "resumed_at": 2})


def test_jobs_are_found_by_how_their_id_begins(make: Callable[..., JobFolder], config_file: Path) -> None:
    first, second = make(), make()
    root = jobs.jobs_folder(load_config(config_file).profiles["one"])
    assert jobs.find_job(root, first.id[:7]) == first
    assert [view.job for view in jobs.list_jobs(root)] == [second.id, first.id]
    for wrong in ("", "zz", "../" + first.id):
        with pytest.raises(WrongUse):
            jobs.find_job(root, wrong)
    assert jobs.list_jobs(root / "nowhere") == []


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "file").touch()
    profile = Profile(uri="mongodb://x", access="restore", state_dir=tmp_path / "file")
    with pytest.raises(Failed, match="cannot be made"):
        jobs.create("one", profile, config_file, "selftest", {})


class Terminal:
    """A command on a terminal of its own, which becomes its controlling one."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execv(MDR[0], [*MDR, *arguments])
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""

    def read_until(self, wanted: str) -> None:
        while wanted not in self.text:
            self.text += self._decoder.decode(os.read(self._master, 4096))

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def hang_up(self) -> None:
        os.close(self._master)

    def rest(self) -> str:
        try:
            while chunk := os.read(self._master, 4096):
                self.text += self._decoder.decode(chunk)
        except OSError:
            pass
        return self.text

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_ctrl_c_lets_go_of_a_job_that_goes_on(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    terminal = Terminal("-p", "one", "jobs", "attach", folder.id)
    terminal.read_until("waiting")
    terminal.read_until("2 of 5 documents")
    terminal.press(b"\x03")
    assert f"mdr jobs attach {folder.id}" in terminal.rest()
    assert terminal.exit_code() == 130
    assert jobs.is_alive(folder)
    (folder.path / "gate").touch()
    to_the_end(folder)
    assert jobs.load(folder).state == "done"


def test_a_job_outlives_the_terminal_that_resumed_it(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=[2, 4])
    jobs.launch(folder)
    until_waiting(folder)
    kill(folder)
    terminal = Terminal("-p", "one", "jobs", "resume", folder.id)
    terminal.read_until("waiting")
    terminal.hang_up()
    assert terminal.exit_code() != 0
    assert jobs.is_alive(folder)
    (folder.path / "gate").touch()
    to_the_end(folder)
    assert jobs.load(folder).state == "done"


def test_attach_on_a_terminal_ends_with_the_summary(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    terminal = Terminal("-p", "one", "jobs", "attach", folder.id)
    terminal.read_until("waiting")
    (folder.path / "gate").touch()
    assert "count: done, 5 documents" in terminal.rest()
    assert f"Job {folder.id} (selftest): done" in terminal.text
    assert terminal.exit_code() == 0


def test_the_command_line_lists_shows_stops_and_resumes(make: Callable[..., JobFolder]) -> None:
    folder = make(wait_at=2)
    jobs.launch(folder)
    until_waiting(folder)
    listed = json.loads(mdr("-p", "one", "jobs", "list", "--json").stdout)
    assert (listed["schema"], [job["state"] for job in listed["jobs"]]) == ("mdr.jobs", ["running"])
    stopped = mdr("-p", "one", "jobs", "stop", folder.id, "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["stop_requested"]) == (0, True)
    to_the_end(folder)
    shown = json.loads(mdr("-p", "one", "jobs", "show", folder.id[:7], "--json").stdout)
    assert (shown["schema"], shown["state"], shown["error"]["code"]) == ("mdr.job", "stopped", "stopped")
    (folder.path / "gate").touch()
    resumed = mdr("-p", "one", "jobs", "resume", folder.id, "--json")
    assert (resumed.returncode, json.loads(resumed.stdout)["state"]) == (0, "done")
    assert json.loads(resumed.stdout)["error"] is None


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [("unreachable", 3), ("partly", 5), ("surprise", 1)],
)
def test_attach_ends_with_the_jobs_exit_code(
    make: Callable[..., JobFolder], error: str, exit_code: int
) -> None:
    folder = make(raise_at=1, error=error)
    jobs.launch(folder)
    done = mdr("-p", "one", "jobs", "attach", folder.id)
    assert done.returncode == exit_code
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr + done.stdout


def test_a_watcher_may_look_and_not_touch(make: Callable[..., JobFolder], config_file: Path) -> None:
    folder = make("watcher", wait_at=2)
    jobs.launch(folder)
    until_waiting(folder)
    # The job began while its profile still allowed it.
    config_file.write_text(config_file.read_text().replace('"restore"', '"watch"'))
    for verb in ("stop", "resume"):
        refused = mdr("-p", "watcher", "jobs", verb, folder.id, "--json")
        assert refused.returncode == 4
        assert json.loads(refused.stdout)["error"]["code"] == "access"
    assert mdr("-p", "watcher", "jobs", "show", folder.id).returncode == 0
    assert not jobs.load(folder).stop_requested


def test_an_unknown_job_is_wrong_use(config_file: Path) -> None:
    done = mdr("-p", "one", "jobs", "show", "0000")
    assert done.returncode == 2
    assert "mdr jobs list" in done.stderr
