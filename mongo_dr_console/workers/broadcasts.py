"""Telling applications to connect anew."""

from __future__ import annotations

import json
import os
import shlex
import urllib.error
import urllib.request
from typing import Protocol

from mongo_dr_console import __version__
from mongo_dr_console.config import (
    ExecBroadcast,
    FileBroadcast,
    KafkaBroadcast,
    KafkaConfig,
    KafkaSecurity,
    Profile,
    WebhookBroadcast,
)
from mongo_dr_console.model.failoverdoc import EndpointContent
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.workers.program import run_program


class Broadcaster(Protocol):
    """One kind of broadcast. Its call may block for as long as its configuration says.

    Args:
        kind: As in the configuration.
        where: Which topic, URL, program or file, in words; never a secret.
    """

    kind: str
    where: str

    def send(self, message: str) -> None:
        """Sends one message, a JSON document. It may come twice; it has an id.

        Raises:
            Trouble: It did not go out, as far as can be known.
        """
        ...


def message_of(run: str, former: str | None, content: EndpointContent) -> str:
    """What is broadcast.

    Args:
        run: Id of the failover.
        former: The primary before.
    """
    return json.dumps(
        {
            "schema": "mdr.reconnect",
            "event": "reconnect",
            "id": run,
            "former": former,
            **content.model_dump(mode="json", exclude={"schema_name"}),
        }
    )


def broadcast_of(profile: Profile) -> Broadcaster | None:
    """The profile's broadcast; None where it has none."""
    match profile.broadcast:
        case KafkaBroadcast() as config:
            return _Kafka(config, profile.oplog.kafka)
        case WebhookBroadcast() as config:
            return _Webhook(config)
        case ExecBroadcast() as config:
            return _Exec(config)
        case FileBroadcast() as config:
            return _File(config)
    return None


class _File:
    kind = "file"

    def __init__(self, config: FileBroadcast) -> None:
        self._path = config.path.expanduser()
        self.where = str(self._path)

    def send(self, message: str) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, f"{message}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Failed(
                "broadcast-unwritten",
                f"The broadcast's file cannot be written: {self._path}: {error.strerror}.",
                "Let this user write it, or make room on its disk.",
            ) from None


class _Exec:
    kind = "exec"

    def __init__(self, config: ExecBroadcast) -> None:
        self._command, self._seconds = config.command, config.timeout.total_seconds()
        self.where = shlex.join(config.command[:1])

    def send(self, message: str) -> None:
        run_program(self._command, f"{message}\n", self._seconds)


class _Webhook:
    kind = "webhook"

    def __init__(self, config: WebhookBroadcast) -> None:
        self._file, self._seconds = config.url_file.expanduser(), config.timeout.total_seconds()
        self.where = f"the URL in {self._file}"

    def send(self, message: str) -> None:
        request = urllib.request.Request(
            self._url(),
            data=message.encode(),
            method="POST",
            headers={"Content-Type": "application/json", "User-Agent": f"mongo-dr-console/{__version__}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._seconds):
                return
        except urllib.error.HTTPError as error:
            error.close()
            text = f"The webhook answers {error.code}: the message was not taken."
            if 400 <= error.code < 500 and error.code not in (408, 429):
                raise Refused("webhook-refused", text, self._see()) from None
            raise Unreachable("webhook-refused", text, self._see()) from None
        except (OSError, ValueError) as error:
            # What the error says may hold the URL, and the URL a token.
            why = getattr(getattr(error, "reason", error), "strerror", None) or type(error).__name__
            raise Unreachable(
                "webhook-unreachable", f"The webhook does not answer: {why}.", self._see()
            ) from None

    def _see(self) -> str:
        return f"See the URL in {self._file}, and the network."

    def _url(self) -> str:
        try:
            url = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Refused(
                "webhook-url",
                f"The file with the webhook's URL cannot be read: {self._file}: {why}. Nothing was sent.",
                "Correct url_file in broadcast of the profile, or the file's owner and mode.",
            ) from None
        if not url.startswith(("http://", "https://")) or len(url.split()) != 1:
            raise Refused(
                "webhook-url",
                f"The file with the webhook's URL holds no URL: {self._file}. Nothing was sent.",
                "It must hold one line that begins with https://",
            )
        return url


class _Kafka:
    kind = "kafka"

    def __init__(self, config: KafkaBroadcast, oplog: KafkaConfig | None) -> None:
        own = bool(config.bootstrap)
        assert own or oplog is not None
        bootstrap = config.bootstrap if own or oplog is None else oplog.bootstrap
        security = config.security
        if security is None:
            security = oplog.security if oplog is not None and not own else KafkaSecurity()
        self._config = KafkaConfig(bootstrap=bootstrap, topic=config.topic, security=security)
        self._seconds = config.timeout.total_seconds()
        self.where = f"topic {config.topic} at {', '.join(bootstrap)}"

    def send(self, message: str) -> None:
        from mongo_dr_console.stream.kafka_message import send_message

        try:
            send_message(self._config, message.encode(), self._seconds)
        except Trouble as trouble:
            if trouble.code != "kafka-topic-missing":
                raise
            raise Failed(
                "broadcast-topic-missing",
                f"There is no {self.where}: nobody was told.",
                "Make the topic, then: mdr endpoint switch",
            ) from None
