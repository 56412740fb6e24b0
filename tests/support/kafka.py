"""A real Kafka broker for tests, entries to write, and a writer that can be killed.

``python -m support.kafka BOOTSTRAP TOPIC FILE``: appends the entries of a file from where the topic ends on,
in small batches, and prints a line after each.
"""

from __future__ import annotations

import datetime
import os
import random
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson.timestamp import Timestamp

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import MAX_ORDINAL, Position
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.sandbox.kafka import LocalBroker
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_sink import KafkaSink
from mongo_dr_console.stream.kafka_source import KafkaSource

PASSWORD = "pw-of-the-test-7f3a"
SOURCE = Identity(environment="test", set_name="own", replica_set_id="5f" * 12)
BEFORE = Link(Position(1000, 1), 3, "00" * 32)
"""What lies before the first entry of ``entries``."""

START, END = Position(0, 0), Position(MAX_ORDINAL, MAX_ORDINAL)
_SASL = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Kafka:
    """A broker with three listeners: plain, with a login, and with a login over TLS."""

    broker: LocalBroker
    folder: Path

    def config(self, topic: str = "", **more: Any) -> KafkaConfig:
        """The section of a profile, for a topic of its own."""
        name = topic or f"t-{uuid.uuid4().hex[:10]}"
        return KafkaConfig.model_validate({"bootstrap": (self.broker.bootstrap,), "topic": name, **more})

    def secure(self, listener: str, mechanism: str, password: str = PASSWORD, **more: Any) -> KafkaConfig:
        """The same by way of a listener that wants a login."""
        file = self.folder / f"password-{uuid.uuid4().hex[:6]}"
        file.write_text(f"{password}\n")
        security = {"protocol": listener, "mechanism": mechanism, "username": "dr", "password_file": file}
        address = f"127.0.0.1:{self.broker.listeners[listener]}"
        return self.config(bootstrap=(address,), security={**security, **more})


def launch(folder: Path) -> Kafka:
    """Starts the broker. Raises what ``LocalBroker.launch`` raises."""
    folder.mkdir(parents=True)
    if shutil.which("openssl") is None:
        raise Failed("openssl-missing", "Tests of Kafka's TLS need openssl.", "apt-get install openssl")
    certificate = folder / "ca.pem"
    key = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "-"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)),
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    (folder / "key.pem").write_text(key + certificate.read_text())
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "key.pem"),
        # The entries of tests are of 1970: retention would take them away half a minute after the start.
        "log.initial.task.delay.ms": "86400000",
    }
    for name in ("SASL_PLAINTEXT", "SASL_SSL"):
        at = f"listener.name.{name.lower()}"
        settings |= {
            f"mdr.protocol.{name}": name,
            f"{at}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{at}.plain.sasl.jaas.config": f'{_SASL}.plain.PlainLoginModule required user_dr="{PASSWORD}";',
            f"{at}.scram-sha-512.sasl.jaas.config": f"{_SASL}.scram.ScramLoginModule required;",
        }
    broker = LocalBroker.launch(
        folder / "broker",
        listeners=("SASL_PLAINTEXT", "SASL_SSL"),
        settings=settings,
        scram=(f"SCRAM-SHA-512=[name=dr,password={PASSWORD}]",),
    )
    return Kafka(broker, folder)


def entry(t: int, i: int, *, pad: int = 100, wall: int | None = None, term: int = 3, **more: Any) -> bytes:
    """An insert as the server logs it."""
    document = {"_id": f"{t}:{i}", "pad": "x" * pad, **more}
    return bson.encode(
        {
            "op": "i",
            "ns": "shop.orders",
            "ui": bson.Binary(b"u" * 16, 4),
            "o": document,
            "o2": {"_id": document["_id"]},
            "ts": Timestamp(t, i),
            "t": term,
            "v": 2,
            "wall": datetime.datetime.fromtimestamp(t if wall is None else wall, datetime.UTC),
            "prevOpTime": {"ts": Timestamp(0, 0), "t": -1},
        }
    )


def entries(count: int, *, start: int = 1001, seed: int = 1) -> list[bytes]:
    """Entries of all sizes from 1001 on, several a second."""
    chosen = random.Random(seed)
    return [entry(start + n // 7, 1 + n % 7, pad=int(chosen.paretovariate(0.5)) % 9000) for n in range(count)]


def sink(config: KafkaConfig, identity: Identity = SOURCE, seconds: float = 8.0) -> KafkaSink:
    return KafkaSink(config, identity, seconds=seconds)


def write(
    config: KafkaConfig, raws: Sequence[bytes], identity: Identity = SOURCE, after: Link = BEFORE
) -> None:
    """All of them, from where the topic ends on, with a sink of its own."""
    one = sink(config, identity)
    one.open()
    one.begin(after)
    one.append(b"".join(raws))
    one.close()


def read(config: KafkaConfig, start: Position = START, end: Position = END) -> list[bytes]:
    """What the source gives."""
    source = KafkaSource(config)
    return [raw for batch in source.read(start, end) for raw in rawbson.split(batch)]


def killed_writer(config: KafkaConfig, file: Path) -> subprocess.Popen[str]:
    """Starts the writer."""
    return subprocess.Popen(
        [sys.executable, "-m", "support.kafka", config.bootstrap[0], config.topic, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def _parts(raws: list[bytes]) -> Iterator[list[bytes]]:
    chosen = random.Random()
    at = 0
    while at < len(raws):
        size = chosen.choice((1, 3, 40))
        yield raws[at : at + size]
        at += size


def main(words: list[str]) -> None:
    config = KafkaConfig(bootstrap=(words[0],), topic=words[1])
    raws = list(rawbson.split(Path(words[2]).read_bytes()))
    one = sink(config)
    link = one.open()
    one.begin(link or BEFORE)
    if link is not None:
        raws = [raw for raw in raws if Link.of(raw).position > link.position]
    for part in _parts(raws):
        one.append(b"".join(part))
        print("appended", flush=True)
    one.close()
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
