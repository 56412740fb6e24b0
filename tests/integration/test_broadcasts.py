"""The kinds of broadcast that need no broker: a real HTTP listener, programs, a file."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.config import Profile
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.workers.broadcasts import Broadcaster, broadcast_of

TOKEN = "s3cr3t-token"


class Listener(ThreadingHTTPServer):
    got: list[tuple[str, str, Any]]
    answer: int = 204


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, str(self.headers["Content-Type"]), json.loads(body)))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener(("127.0.0.1", 0), _Handler)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def broadcast(**section: Any) -> Broadcaster:
    made = broadcast_of(Profile.model_validate({"uri": "mongodb://h/", "broadcast": section}))
    assert made is not None
    return made


def webhook(tmp_path: Path, url: str) -> Broadcaster:
    (tmp_path / "url").write_text(f"{url}\n")
    return broadcast(type="webhook", url_file=str(tmp_path / "url"), timeout="60s")


def test_a_webhook_gets_the_message(tmp_path: Path, listener: Listener) -> None:
    webhook(tmp_path, f"http://127.0.0.1:{listener.server_port}/hook?t={TOKEN}").send('{"a": 1}')
    assert listener.got == [(f"/hook?t={TOKEN}", "application/json", {"a": 1})]


@pytest.mark.parametrize(("answer", "kind"), [(403, Refused), (500, Unreachable), (429, Unreachable)])
def test_an_answer_that_is_none_is_told_without_the_token(
    tmp_path: Path, listener: Listener, answer: int, kind: type[Trouble]
) -> None:
    listener.answer = answer
    hook = webhook(tmp_path, f"http://127.0.0.1:{listener.server_port}/?t={TOKEN}")
    with pytest.raises(kind) as caught:
        hook.send("{}")
    assert str(answer) in caught.value.message and TOKEN not in f"{caught.value} {hook.where}"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"http://127.0.0.1:9/{TOKEN}", "webhook-unreachable"),
        (f"http://127.0.0.1:99999/{TOKEN}", "webhook-unreachable"),
        (f"http://no host/{TOKEN}", "webhook-url"),
        (f"file:///etc/{TOKEN}", "webhook-url"),
        ("", "webhook-url"),
    ],
)
def test_a_url_that_leads_nowhere(tmp_path: Path, url: str, code: str) -> None:
    with pytest.raises(Trouble) as caught:
        webhook(tmp_path, url).send("{}")
    assert caught.value.code == code and TOKEN not in str(caught.value)


def test_a_program_and_a_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())"
    broadcast(type="exec", command=[sys.executable, "-c", code]).send('{"a": 1}')
    assert json.loads(out.read_text()) == {"a": 1}
    file = broadcast(type="file", path=str(tmp_path / "lines"))
    file.send("{}")
    file.send("[]")
    assert (tmp_path / "lines").read_text() == "{}\n[]\n"
    with pytest.raises(Failed) as caught:
        broadcast(type="file", path=str(tmp_path / "no" / "folder")).send("{}")
    assert caught.value.code == "broadcast-unwritten"


def test_kafka_without_brokers_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="needs bootstrap"):
        broadcast(type="kafka", topic="t")


def test_kafka_that_does_not_answer(tmp_path: Path) -> None:
    kafka = broadcast(type="kafka", topic="t", bootstrap=["127.0.0.1:9"], timeout="500ms")
    with pytest.raises(Unreachable) as caught:
        kafka.send("{}")
    assert caught.value.code == "kafka-unreachable"
