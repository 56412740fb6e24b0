"""Where messages arrive: a real HTTP server and a real SMTP server that keep what they are given."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Arrivals:
    """What came, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.refuse = False
        """Whether everything is turned away."""
        self.refused = 0
        self._changed = threading.Condition()

    def came(self, one: Any) -> bool:
        """Keeps it, and says whether it was taken."""
        with self._changed:
            if self.refuse:
                self.refused += 1
            else:
                self.all.append(one)
            self._changed.notify_all()
            return not self.refuse

    def wait_for(self, count: int, seconds: float = 120) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, seconds), self.all
            return list(self.all)

    def wait_for_change(self, seconds: float) -> None:
        """Returns when something comes, and after that time in any case."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_for_refusal(self, count: int = 1, seconds: float = 120) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.refused >= count, seconds)


@contextmanager
def http_listener() -> Iterator[tuple[str, Arrivals]]:
    """``host:port``, and the JSON documents that were posted to it."""
    arrivals = Arrivals()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200 if arrivals.came(json.loads(body)) else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    yield from _serving(server, arrivals)


@contextmanager
def smtp_listener() -> Iterator[tuple[str, Arrivals]]:
    """``host:port``, and the mails that were handed over to it."""
    arrivals = Arrivals()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            for line in iter(self.rfile.readline, b""):
                word = line[:4].upper()
                if word == b"QUIT":
                    self._say("221 bye")
                    return
                if word == b"DATA":
                    self._say("354 go on")
                    self._say("250 kept" if arrivals.came(self._mail()) else "451 not now")
                else:
                    self._say("250 fine")

        def _mail(self) -> Mail:
            lines = []
            for line in iter(self.rfile.readline, b".\r\n"):
                lines.append(line[1:] if line.startswith(b".") else line)
            return message_from_bytes(b"".join(lines), policy=default)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    yield from _serving(Server(("127.0.0.1", 0), Handler), arrivals)


def _serving(server: Any, arrivals: Arrivals) -> Iterator[tuple[str, Arrivals]]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield f"{host}:{port}", arrivals
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
