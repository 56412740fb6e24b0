"""Messages on their ways: real listeners, a command that hangs, a file that is wrong; never a secret."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.listeners import http_listener, smtp_listener
from support.readingkit import NOW

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.workers.alerting import try_ways
from mongo_dr_console.workers.examine_alerts import examine_alerts
from mongo_dr_console.workers.notify import BoundedWay, Way, ways_of

SECRET = "t0ken-s3cret"
MESSAGE = Message(
    id="m0000001",
    event="start",
    alert="a0000001",
    kind="oplog-lag",
    subject="b:1",
    level=Level.CRITICAL,
    text="b:1 lags 2m behind.",
    environment="prod",
    set_name="rs0",
    at=NOW,
)


def profile(tmp_path: Path, urls: str = "", **alerts: Any) -> Profile:
    if urls:
        file = tmp_path / "urls"
        file.write_text(urls, encoding="utf-8")
        alerts["urls_file"] = str(file)
    return Profile.model_validate({"uri": "mongodb://h/", "access": "operate", "alerts": alerts})


def ways(made: Profile) -> list[Way]:
    return ways_of(made, None)


def test_a_webhook_and_a_mail_arrive_whole(tmp_path: Path) -> None:
    with http_listener() as (web, posted), smtp_listener() as (post, mails):
        urls = (
            f"# on call\njson://{web}/hook?+X-Token={SECRET}\n\n"
            f"mailto://{post}?from=agent@example.com&to=ops@example.com\n"
        )
        json_way, mail_way = ways(profile(tmp_path, urls))
        assert (json_way.name, mail_way.name) == ("json-2", "mailto-4")
        json_way.send(MESSAGE, 20)
        mail_way.send(MESSAGE, 20)
        (document,) = posted.wait_for(1)
        (mail,) = mails.wait_for(1)
    assert document["title"] == "[CRITICAL] prod/rs0: oplog-lag b:1"
    assert document["message"] == "b:1 lags 2m behind." and document["type"] == "failure"
    assert mail["Subject"] == "[CRITICAL] prod/rs0: oplog-lag b:1" and mail["To"] == "ops@example.com"
    assert "b:1 lags 2m behind." in mail.get_body().get_content()


def test_a_service_that_refuses_is_told_without_a_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with http_listener() as (web, posted):
        posted.refuse = True
        (way,) = ways(profile(tmp_path, f"json://user:{SECRET}@{web}/"))
        with pytest.raises(Failed) as refused:
            way.send(MESSAGE, 20)
    assert refused.value.code == "alert-not-sent" and "json-1" in refused.value.message
    said = capfd.readouterr()
    assert SECRET not in str(refused.value) and web not in str(refused.value)
    assert f"{said.out}{said.err}{caplog.text}" == "", "nor does Apprise say anything of its own"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"nosuch://{SECRET}@h", "'nosuch', which Apprise does not know"),
        (f"slack://{SECRET}", "not what Apprise wants of a slack:// URL"),
        (SECRET, "it is no URL"),
        (f"{SECRET}://h", "it is no URL"),
    ],
)
def test_a_wrong_line_is_named_and_never_shown(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(WrongUse) as wrong:
        ways(profile(tmp_path, f"\njson://h/\n{line}\n"))
    assert wrong.value.code == "alert-url-wrong" and "line 3: " in wrong.value.message
    assert says in wrong.value.message and SECRET not in str(wrong.value)


def test_doctor_finds_what_is_wrong_before_an_agent_does(tmp_path: Path) -> None:
    good = profile(tmp_path, "json://h/\n", command=["page"])
    Path(tmp_path / "urls").chmod(0o600)
    mode, fine = examine_alerts(good)
    assert mode.level is fine.level is Level.FINE and "command, json-1" in fine.text
    Path(tmp_path / "urls").chmod(0o644)
    assert next(iter(examine_alerts(good))).level is Level.WARNING
    *_, wrong = examine_alerts(profile(tmp_path, f"nosuch://{SECRET}\n"))
    assert (wrong.level, wrong.code) == (Level.CRITICAL, "alert-url-wrong") and SECRET not in wrong.text
    assert list(examine_alerts(profile(tmp_path))) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as wrong:
        ways(profile(tmp_path, urls_file=str(tmp_path / "gone")))
    assert wrong.value.code == "alert-urls-missing"


def test_a_command_gets_the_message_as_json(tmp_path: Path) -> None:
    target = tmp_path / "got"
    code = f"import sys; open({str(target)!r}, 'w').write(sys.stdin.read())"
    (way,) = ways(profile(tmp_path, command=[sys.executable, "-c", code]))
    way.send(MESSAGE, 20)
    got = json.loads(target.read_text())
    assert got["schema"] == "mdr.alert" and got["event"] == "start" and got["text"] == MESSAGE.text


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    code = f"sleep 600 & echo $$ $! > '{mark}'; wait"
    (way,) = ways(profile(tmp_path, command=["sh", "-c", code]))
    with pytest.raises(Failed) as hung:
        way.send(MESSAGE, 1)
    assert hung.value.code == "alert-command-hung" and "was killed" in hung.value.message
    for pid in mark.read_text().split():
        assert _ended(int(pid))


def _ended(pid: int) -> bool:
    """Gone, or a zombie that init has not collected yet; a kill takes a moment."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no route to mongodb://root:pw@h')"
    (way,) = ways(profile(tmp_path, command=[sys.executable, "-c", code]))
    with pytest.raises(Failed) as failed:
        way.send(MESSAGE, 20)
    assert "ended with 1: no route to mongodb://***" in failed.value.message
    (missing,) = ways(profile(tmp_path, command=["/nowhere/at-all"]))
    with pytest.raises(Failed) as failed:
        missing.send(MESSAGE, 20)
    assert "does not start" in failed.value.message


class _Hangs:
    name = "hangs"

    def __init__(self) -> None:
        import threading

        self.let_go = threading.Event()
        self.calls = 0

    def send(self, message: Message, seconds: float) -> None:
        self.calls += 1
        self.let_go.wait(60)


def test_a_way_that_hangs_is_given_up_and_never_asked_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mongo_dr_console.workers.notify._GRACE_SECONDS", 0.0)
    hangs = _Hangs()
    way = BoundedWay(hangs)
    for _ in range(2):
        with pytest.raises(Failed) as late:
            way.send(MESSAGE, 0.05)
        assert late.value.code == "alert-timed-out"
    assert hangs.calls == 1
    hangs.let_go.set()


def test_a_test_says_of_each_way_whether_it_works(tmp_path: Path) -> None:
    told: list[str] = []
    with http_listener() as (web, posted):
        made = profile(tmp_path, f"json://{web}/", command=["/nowhere/at-all"])
        found = {way.name: way for way in try_ways("p", made, told.append)}
        (document,) = posted.wait_for(1)
    worked = {name: way.worked for name, way in found.items()}
    assert worked == {"log": True, "command": False, "json-1": True}
    assert document["title"].startswith("[TEST]") and "Nothing is wrong." in document["message"]
    assert len(told) == 1 and os.environ.get("USER", "") in told[0]
    with pytest.raises(WrongUse) as none:
        try_ways("p", profile(tmp_path, log=False), told.append)
    assert none.value.code == "alert-no-way"
