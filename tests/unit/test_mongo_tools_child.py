"""Running a tool: what it is told and how, how it is stopped, what its end means. The tool is a script."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.config import load_config
from mongo_dr_console.engines.mongo_tools import tools
from mongo_dr_console.engines.mongo_tools.child import ToolRun
from mongo_dr_console.engines.mongo_tools.output import Other, Said, Totals
from mongo_dr_console.engines.mongo_tools.tools import Tool, find_tool
from mongo_dr_console.engines.mongo_tools.uri import DUMP_OPTIONS, RESTORE_OPTIONS, tool_uri
from mongo_dr_console.model.trouble import Failed, Interrupted, Unreachable
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.workers import examine

RECORDED = Path(__file__).parent.parent / "data" / "mongo-tools"
URI = "mongodb://us%40er:p%3Ass\"w'ord@h1:27017,h2/?authSource=admin"
PASSWORD = "p:ss\"w'ord"

MakeTool = Callable[[str], Tool]


@pytest.fixture
def make_tool(tmp_path: Path) -> MakeTool:
    """A tool that runs these lines of Python."""

    def make(code: str, name: str = "mongorestore") -> Tool:
        path = tmp_path / name
        start = (
            f"#!{sys.executable} -S\nimport json, os, signal, sys, time\nout = {str(tmp_path / 'out')!r}\n"
        )
        path.write_text(start + textwrap.dedent(code), encoding="utf-8")
        path.chmod(0o755)
        return Tool(path, "100.18.0")

    return make


def nothing() -> None:
    return


def run(tool: Tool, check: Callable[[], None] = nothing, stop_seconds: float = 5) -> tuple[int, list[Said]]:
    heard: list[Said] = []
    return ToolRun(tool, ["--gzip"], URI, heard.append, check, stop_seconds).run(), heard


def test_the_uri_goes_through_a_descriptor_and_nowhere_else(
    make_tool: MakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_URI", URI)
    monkeypatch.setenv("PROD_PASSWORD", PASSWORD)
    monkeypatch.setenv("HARMLESS", "kept")
    tool = make_tool("""
        config = sys.argv[1].removeprefix("--config=")
        facts = {"config": open(config).read(), "argv": sys.argv, "env": dict(os.environ)}
        facts["cmdline"] = open("/proc/self/cmdline").read()
        facts["group"] = [os.getpgid(0), os.getpid()]
        facts["stdin"] = sys.stdin.read()
        json.dump(facts, open(out, "w"))
    """)
    assert run(tool)[0] == 0
    told: dict[str, Any] = json.loads((tmp_path / "out").read_text())
    key, _, value = told["config"].partition(": ")
    assert key == "uri" and json.loads(value) == URI
    assert told["argv"][1].startswith("--config=/dev/fd/") and told["argv"][2:] == ["--gzip"]
    elsewhere = json.dumps([told["argv"], told["env"], told["cmdline"]])
    assert "ord@" not in elsewhere and json.dumps(PASSWORD)[1:-1] not in elsewhere
    assert told["env"]["HARMLESS"] == "kept"
    assert told["group"][0] == told["group"][1] != os.getpgid(0), "a process group of its own"
    assert told["stdin"] == "", "nobody can be asked for a password"


def test_lines_are_heard_while_it_works_and_the_last_without_a_line_end(make_tool: MakeTool) -> None:
    tool = make_tool("""
        sys.stderr.write("2026-11-22T16:44:59.877+0000\\tfirst\\n")
        sys.stderr.flush()
        while not os.path.exists(out):
            time.sleep(0.01)
        sys.stderr.write("3 document(s) restored successfully. 0 document(s) failed to restore.")
    """)
    heard: list[Said] = []

    def hear(said: Said) -> None:
        heard.append(said)
        tool.path.with_name("out").touch()

    assert ToolRun(tool, [], URI, hear, nothing).run() == 0
    assert heard == [Other("first"), Totals(3, 0)]


class Stop:
    """Asks to stop once a file is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> None:
        if self.path.exists():
            raise Interrupted("stopped", "Stopped.")


DEAF = """
    count = 0
    def heard(number, frame):
        global count
        count += 1
        open(out + str(count), "w").close()
        if count == {deaf}:
            os._exit(1)
    signal.signal(signal.SIGINT, heard)
    open(out, "w").close()
    while True:
        sys.stderr.write("x" * 8192 + "\\n")
        time.sleep(0.001)
"""


@pytest.mark.parametrize(("deaf", "signals"), [(1, 1), (2, 2), (9, 2)])
def test_it_is_asked_once_then_again_and_then_killed(
    make_tool: MakeTool, tmp_path: Path, deaf: int, signals: int
) -> None:
    tool = make_tool(DEAF.format(deaf=deaf))
    with pytest.raises(Interrupted):
        run(tool, Stop(tmp_path / "out"), stop_seconds=5 if deaf == 1 else 0.3)
    assert sorted(p.name for p in tmp_path.glob("out?")) == [f"out{n + 1}" for n in range(signals)]


def test_nothing_of_a_stopped_tool_lives_on(make_tool: MakeTool, tmp_path: Path) -> None:
    tool = make_tool("""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        open(out, "w").write(str(os.getpid()))
        os.rename(out, out + "-pid")
        time.sleep(600)
    """)
    with pytest.raises(Interrupted):
        run(tool, Stop(tmp_path / "out-pid"), stop_seconds=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "out-pid").read_text()), 0)


@pytest.mark.parametrize(
    ("recording", "kind", "code"),
    [
        ("dump-bad-password", Unreachable, "authentication-failed"),
        ("dump-unreachable", Unreachable, "deployment-unreachable"),
        ("restore-unreachable", Unreachable, "deployment-unreachable"),
        ("restore-truncated-bson", Failed, "tool-failed"),
        ("restore-bad-limit", Failed, "tool-failed"),
    ],
)
def test_its_end_is_told_without_the_uri(
    make_tool: MakeTool, recording: str, kind: type[Exception], code: str
) -> None:
    tool = make_tool(f"""
        sys.stderr.write(open({str(RECORDED / recording)!r} + ".stderr").read().rpartition("rc=")[0])
        sys.exit(1)
    """)
    work = ToolRun(tool, [], "mongodb://nope:bad@127.0.0.1:27100/", lambda said: None, nothing)
    trouble = work.trouble(work.run())
    assert type(trouble) is kind and trouble.code == code
    assert "bad@" not in str(trouble) and "nope" not in str(trouble)
    if recording == "restore-truncated-bson":
        assert "reading bson input: unexpected EOF" in trouble.message


def test_a_tool_that_dies_without_a_word(make_tool: MakeTool) -> None:
    tool = make_tool("os.kill(os.getpid(), signal.SIGKILL)")
    work = ToolRun(tool, [], URI, lambda said: None, nothing)
    code = work.run()
    assert code == -signal.SIGKILL and "said nothing" in work.trouble(code).message


def test_a_line_without_an_end_is_heard_in_pieces(make_tool: MakeTool) -> None:
    tool = make_tool('sys.stderr.write("y" * 1_000_000)')
    code, heard = run(tool)
    assert code == 0
    assert sum(len(s.text.replace("\n", "")) for s in heard if isinstance(s, Other)) == 1_000_000


# Finding it


def fake(folder: Path, name: str, says: str, code: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_configured_folder_goes_before_the_variable_and_that_before_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        fake(tmp_path / name, "mongodump", f"mongodump version: 100.{name}.0\ngit version: x")
    monkeypatch.setenv("PATH", f"{tmp_path / 'c'}:{os.environ['PATH']}")
    monkeypatch.delenv(tools.VARIABLE, raising=False)
    assert find_tool("mongodump").version == "100.c.0"
    monkeypatch.setenv(tools.VARIABLE, str(tmp_path / "b"))
    assert find_tool("mongodump").version == "100.b.0"
    assert find_tool("mongodump", tmp_path / "a") == Tool(tmp_path / "a" / "mongodump", "100.a.0")
    with pytest.raises(Failed) as caught:
        find_tool("mongorestore", tmp_path / "a")
    assert caught.value.code == "tool-missing" and "--engine builtin" in caught.value.hint


def test_versions_that_are_none(tmp_path: Path) -> None:
    said = (RECORDED / "version.stdout").read_text(encoding="utf-8")
    fake(tmp_path / "a", "mongodump", said)
    assert find_tool("mongodump", tmp_path / "a").version == "built-without-version-string"
    fake(tmp_path / "b", "mongodump", "something else")
    assert find_tool("mongodump", tmp_path / "b").version == "unknown"
    fake(tmp_path / "c", "mongodump", "", 127)
    with pytest.raises(Failed) as caught:
        find_tool("mongodump", tmp_path / "c")
    assert caught.value.code == "tool-broken"


# The URI


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("mongodb://h", "mongodb://h/?replicaSet=rs0&w=majority&readPreference=primary"),
        (
            "mongodb://u:p%3F%2F@h/crm",
            "mongodb://u:p%3F%2F@h/?authSource=crm&replicaSet=rs0&w=majority&readPreference=primary",
        ),
        (
            "mongodb://u:p@h/crm?authsource=admin&W=1&replicaset=x",
            "mongodb://u:p@h/?authsource=admin&replicaset=x&w=majority&readPreference=primary",
        ),
        (
            "mongodb://h/crm?tls=true",
            "mongodb://h/?tls=true&replicaSet=rs0&w=majority&readPreference=primary",
        ),
        (
            "mongodb://h/?directConnection=true",
            "mongodb://h/?directConnection=true&w=majority&readPreference=primary",
        ),
        (
            "mongodb+srv://u:p@x.example.com/?authSource=a",
            "mongodb+srv://u:p@x.example.com/?authSource=a&w=majority&readPreference=primary",
        ),
    ],
)
def test_a_database_in_the_path_does_not_become_db(uri: str, wanted: str) -> None:
    assert tool_uri(uri, "rs0", RESTORE_OPTIONS) == wanted


def test_a_dump_reads_what_no_failover_takes_back() -> None:
    uri = tool_uri("mongodb://h/?readConcernLevel=local&readPreference=secondary", "rs0", DUMP_OPTIONS)
    assert uri == "mongodb://h/?replicaSet=rs0&readConcernLevel=majority&readPreference=primary"


# What doctor says of it


@pytest.mark.parametrize(
    ("engine", "folder", "level"),
    [
        ("builtin", "none", Level.FINE),
        ("builtin", "configured", Level.WARNING),
        ("mongo_tools", "none", Level.CRITICAL),
        ("mongo_tools", "whole", Level.FINE),
    ],
)
def test_doctor_asks_for_the_tools_where_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, folder: str, level: Level
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv(tools.VARIABLE, raising=False)
    lines = ["[profiles.test]", "uri = 'mongodb://h'", f"engine = '{engine}'"]
    if folder != "none":
        lines += ["[profiles.test.mongo_tools]", "path = 'tools'"]
    if folder == "whole":
        monkeypatch.setenv("PATH", os.defpath)
        for name in ("mongodump", "mongorestore"):
            fake(tmp_path / "tools", name, f"{name} version: 100.18.0")
    config = tmp_path / "config.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    found = list(examine._tools(load_config(config).profiles["test"]))
    assert {f.level for f in found} == {level}
    if level is Level.FINE and folder == "whole":
        assert "mongodump 100.18.0" in found[0].text and "mongorestore 100.18.0" in found[0].text
    if level is not Level.FINE:
        assert {f.code for f in found} == {"tool-missing"} and len(found) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_job_takes_its_tool_with_it(make_tool: MakeTool, tmp_path: Path) -> None:
    """Else it would write beside the job's next run."""
    tool = make_tool("""
        sys.stderr.write(f"{os.getpid()}\\n")
        sys.stderr.flush()
        time.sleep(600)
    """)
    job = textwrap.dedent(f"""
        from pathlib import Path
        from mongo_dr_console.engines.mongo_tools.child import ToolRun
        from mongo_dr_console.engines.mongo_tools.tools import Tool
        tool = Tool(Path({str(tool.path)!r}), "")
        ToolRun(tool, [], "mongodb://h", lambda said: print(said.text, flush=True), lambda: None).run()
    """)
    with subprocess.Popen([sys.executable, "-c", job], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        descriptor = os.pidfd_open(pid)
        process.kill()
    assert select.select([descriptor], [], [], 30)[0], "it has ended"
    os.close(descriptor)
