"""A Kafka broker of our own on the loopback address: broker and controller in one process (KRaft)."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.launch import HOST, HeldPort
from mongo_dr_console.sandbox.kafka_install import find_jars, find_java
from mongo_dr_console.sandbox.server import Server

MAIN = "kafka.Kafka"
"""The broker's main class: what its process is known by, see ``mongo.processes``."""
_FORMAT = "kafka.tools.StorageTool"
_READY_SECONDS = 90
_JAVA = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOG = """\
<Configuration status="ERROR">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %p %m (%c)%n%ex{short}"/>
    </Console>
  </Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@dataclass(slots=True)
class LocalBroker:
    """A broker and its folder. The process ends with the one that started it.

    Args:
        folder: Everything that it has; made by ``launch``.
        port: Of the listener without security.
        listeners: Further ones by name, with their ports; their settings are in ``settings``.
        settings: Further server settings.
        ports: These and the controller's, held for as long as it may be started again.
    """

    folder: Path
    port: int
    listeners: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[HeldPort, ...] = ()
    _server: Server = field(init=False)

    def __post_init__(self) -> None:
        self._server = Server("Kafka", "kafka-not-started", self.folder / "broker.log", _READY_SECONDS)

    @classmethod
    def launch(
        cls,
        folder: Path,
        *,
        listeners: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        scram: tuple[str, ...] = (),
    ) -> LocalBroker:
        """Makes the folder, formats the storage, starts the broker and waits until it answers.

        Args:
            listeners: Names of further listeners, each on a free port; ``settings`` has their protocol:
                ``mdr.protocol.NAME``.
            scram: As ``--add-scram`` of kafka-storage wants them, of invented users.

        Raises:
            Failed: No Java, no Maven, or the broker would not start; its last words are in the message.
            WrongUse: ``MDR_KAFKA_JARS`` is wrong.
        """
        java, jars = find_java(), find_jars()
        folder.mkdir(mode=0o700, parents=True)
        ports = tuple(HeldPort() for _ in range(2 + len(listeners)))
        port, controller, *more = (held.number for held in ports)
        broker = cls(folder, port, dict(zip(listeners, more, strict=True)), dict(settings or {}), ports)
        broker._write_settings(controller)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        words = [part for user in scram for part in ("--add-scram", user)]
        done = subprocess.run(
            # One word: an id may begin with a dash.
            [
                *_java(java, jars, folder),
                _FORMAT,
                "format",
                f"--cluster-id={cluster}",
                "-c",
                str(broker._file),
                *words,
            ],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise Failed("kafka-not-started", f"Kafka's storage could not be made: {' '.join(last)[:300]}")
        broker.start()
        return broker

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        return self._server.alive

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def start(self) -> None:
        """Starts it, again with what it had, and waits until it answers.

        Raises:
            Failed: ``kafka-not-started``.
        """
        java, jars = find_java(), find_jars()
        words = [*_java(java, jars, self.folder), MAIN, str(self._file)]
        self._server.start(words, lambda: _answers(self.port), _telling)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the process and waits for its end."""
        self._server.kill(number)

    def _write_settings(self, controller: int) -> None:
        ports = {"CLIENT": self.port, **self.listeners}
        protocols = {name: self.settings.get(f"mdr.protocol.{name}", "PLAINTEXT") for name in ports}
        protocols["CONTROLLER"] = "PLAINTEXT"
        named = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"{named},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": named,
            "listener.security.protocol.map": ",".join(f"{n}:{p}" for n, p in protocols.items()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "log.dirs": str(self.folder / "data"),
            "num.network.threads": "1",
            "num.io.threads": "2",
            "num.recovery.threads.per.data.dir": "1",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "log.cleaner.dedupe.buffer.size": "4194304",
            **{name: value for name, value in self.settings.items() if not name.startswith("mdr.")},
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._file.touch(mode=0o600)
        self._file.write_text(text, encoding="utf-8")
        (self.folder / "log4j2.xml").write_text(_LOG, encoding="utf-8")


def _telling(lines: list[str]) -> str:
    return ([line for line in lines if " ERROR " in line or " FATAL " in line] or lines)[-1]


def _java(java: Path, jars: Path, folder: Path) -> list[str]:
    return [
        str(java),
        *_JAVA,
        f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
        "-cp",
        f"{jars}/*",
    ]


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
