"""A MinIO of our own on the loopback address: one process, one folder, encryption on."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from mongo_dr_console.mongo.launch import HOST, HeldPort
from mongo_dr_console.sandbox.minio_install import find_minio
from mongo_dr_console.sandbox.server import Server

REGION = "us-east-1"
_READY_SECONDS = 60


@dataclass(slots=True)
class LocalMinio:
    """A MinIO and its folder. The process ends with the one that started it.

    Args:
        folder: Everything that it has; made by ``launch``.
        port: Where it answers.
        user, password: Of its root user: access key and secret.
        kms_key: ``name:<base64 of 32 bytes>``, with which it encrypts.
        held: Its port, for as long as it may be started again.
    """

    folder: Path
    port: int
    user: str
    password: str = field(repr=False)
    kms_key: str = field(repr=False)
    held: HeldPort | None = None
    _server: Server = field(init=False)

    def __post_init__(self) -> None:
        self._server = Server("MinIO", "minio-not-started", self.folder / "minio.log", _READY_SECONDS)

    @classmethod
    def launch(cls, folder: Path) -> LocalMinio:
        """Makes the folder, invents credentials and a key, starts it and waits until it answers.

        Raises:
            Failed: No Go and no MinIO, or it would not start; its last words are in the message.
            WrongUse: ``MDR_MINIO`` is wrong.
        """
        find_minio()
        folder.mkdir(mode=0o700, parents=True)
        held = HeldPort()
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        user, password = f"mdr-{secrets.token_hex(6)}", secrets.token_hex(16)
        minio = cls(folder, held.number, user, password, f"mdr:{key}", held)
        minio.start()
        return minio

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        return self._server.alive

    def start(self) -> None:
        """Starts it, again with what it had, and waits until it answers.

        Raises:
            Failed: ``minio-not-started``.
        """
        words = [str(find_minio()), "server", "--quiet", "--address", f"{HOST}:{self.port}"]
        data = self.folder / "data"
        settings = {
            "MINIO_ROOT_USER": self.user,
            "MINIO_ROOT_PASSWORD": self.password,
            "MINIO_KMS_SECRET_KEY": self.kms_key,
            "MINIO_BROWSER": "off",
            # A bucket may be in the host's name too.
            "MINIO_DOMAIN": "localhost",
            "MINIO_UPDATE": "off",
            "MINIO_CALLHOME_ENABLE": "off",
            # All of it lies on one disk, which may be memory.
            "MINIO_CI_CD": "1",
            "HOME": str(self.folder),
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MINIO_", "AWS_"))}
        self._server.start([*words, str(data)], self._is_ready, lambda lines: lines[-1], inherited | settings)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the process and waits for its end."""
        self._server.kill(number)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
