"""A proxy before an S3 service that does what a rule says to single requests: answers itself, cuts, waits."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """One request; ``number`` counts from 1."""

    number: int
    method: str
    path: str

    @property
    def is_part(self) -> bool:
        return self.method == "PUT" and "partNumber=" in self.path


@dataclass(frozen=True)
class Answer:
    """An error that the service is made to say; the request does not reach it."""

    status: int
    code: str


@dataclass(frozen=True)
class CutRequest:
    """The connection breaks in the middle of the request's body, which does not reach the service."""


@dataclass(frozen=True)
class LoseAnswer:
    """The service does it, and the connection breaks before its answer."""


@dataclass(frozen=True)
class CutAnswer:
    """The connection breaks after so many bytes of the answer's body."""

    after: int


@dataclass(frozen=True)
class Silence:
    """Nothing is answered until the proxy ends."""


@dataclass(frozen=True)
class Slow:
    """The request goes on after so many seconds."""

    seconds: float


Fault = Answer | CutRequest | LoseAnswer | CutAnswer | Silence | Slow
Rule = Callable[[Request], Fault | None]


class Proxy:
    """Where it listens, the rule that holds now, and what it saw."""

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self.upstream = (str(url.hostname), int(url.port or 80))
        self.rule: Rule = lambda _: None
        self.seen: list[Request] = []
        self.over = threading.Event()
        self.on_request: Callable[[Request], None] = lambda _: None
        self._turn = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def note(self, method: str, path: str) -> Request:
        with self._turn:
            request = Request(len(self.seen) + 1, method, path)
            self.seen.append(request)
        self.on_request(request)
        return request


@contextmanager
def proxy(endpoint: str) -> Iterator[Proxy]:
    """One that runs for as long as the block."""
    running = Proxy(endpoint)
    thread = threading.Thread(
        target=running.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield running
    finally:
        running.over.set()
        running.server.shutdown()
        running.server.server_close()


def _handler(owner: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, socket.timeout):
                super().handle_one_request()

        def _do(self) -> None:
            request = owner.note(self.command, self.path)
            fault = owner.rule(request)
            size = int(self.headers.get("Content-Length") or 0)
            if isinstance(fault, CutRequest):
                self.rfile.read(size // 2)
                self._break()
                return
            body = self.rfile.read(size)
            if isinstance(fault, Silence):
                owner.over.wait()
                self._break()
                return
            if isinstance(fault, Answer):
                self._say(fault)
                return
            if isinstance(fault, Slow):
                owner.over.wait(fault.seconds)
            self._forward(body, fault)

        def _forward(self, body: bytes, fault: Fault | None) -> None:
            upstream = http.client.HTTPConnection(*owner.upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            try:
                upstream.request(self.command, self.path, body or None, headers)
                answer = upstream.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                self._break()
                return
            finally:
                upstream.close()
            if isinstance(fault, LoseAnswer):
                self._break()
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") or str(len(data))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            if isinstance(fault, CutAnswer):
                self.wfile.write(data[: fault.after])
                self._break()
                return
            self.wfile.write(data)

        def _say(self, fault: Answer) -> None:
            text = f"<Error><Code>{fault.code}</Code><Message>as the test wants</Message></Error>".encode()
            self.send_response_only(fault.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def _break(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815

    return Handler
