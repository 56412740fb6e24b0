"""The disk of a broker, that can be full: a small file system of its own where this user may mount one, else
a limit on the size of the broker's files, which makes its writes fail as well."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mongo_dr_console.sandbox.kafka import LocalBroker

_ROOM = "3g"
_LEFT = 64 * 1024


class BrokerDisk:
    """A broker on a disk of its own.

    Args:
        broker: Its folder lies on the disk.
        mounted: Where the disk is mounted; None where it is none of its own.
    """

    def __init__(self, broker: LocalBroker, mounted: Path | None) -> None:
        self.broker, self._mounted, self._full = broker, mounted, False

    def fill(self) -> None:
        """From now on what the broker writes fails."""
        self._full = True
        if self._mounted is None:
            _, most = resource.prlimit(self.broker.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.broker.pid, resource.RLIMIT_FSIZE, (1, most))
            return
        # It may write in between.
        while not self._remount(str(self._used() + _LEFT)):
            pass

    def _used(self) -> int:
        assert self._mounted is not None
        found = os.statvfs(self._mounted)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def free(self) -> None:
        """There is room again, and the broker is started anew, as one must: mostly it ended when a write
        failed, and where a mapped page failed it stays, with a transaction that it never ends."""
        if not self._full:
            return
        self._full = False
        self.broker.kill()
        if self._mounted is not None:
            assert self._remount(_ROOM)
        self.broker.start()

    def _remount(self, size: str) -> bool:
        words = ["mount", "-o", f"remount,size={size}", str(self._mounted)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def broker_on_a_disk(folder: Path) -> Iterator[BrokerDisk]:
    """Launches the broker below ``folder``, and ends it."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM},mode=0700", "tmpfs", str(folder)]
    can = shutil.which("mount") is not None
    mounted = can and subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        broker = LocalBroker.launch(folder / "broker")
        try:
            yield BrokerDisk(broker, folder if mounted else None)
        finally:
            broker.kill()
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
