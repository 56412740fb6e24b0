"""A replica set whose members dial each other, and whose clients dial them, through proxies that can be cut.

A proxy knows who dials by whose process the socket is (Linux), so that a member can be cut off from the
others and still be seen from outside, or the other way round. What is cut is silent, as in a network that
loses everything:
nothing is refused, nothing is closed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from mongo_dr_console.mongo.launch import HOST, Member, Options, ReplicaSet, User

OUTSIDE = -1
"""Whoever is no member."""


class CutSet(ReplicaSet):
    """``launch`` as ever; then ``cut`` and ``heal``."""

    def __init__(self, folder: Path, options: Options) -> None:
        super().__init__(folder, options)
        self._doors: list[_Door] = []
        self._cut: set[frozenset[int]] = set()
        self._changed = threading.Condition()

    def cut(self, one: int, *others: int) -> None:
        """Nothing passes between a member and these (``OUTSIDE``: everybody else)."""
        with self._changed:
            self._cut |= {frozenset((one, other)) for other in others}

    def heal(self) -> None:
        """Everything passes, also what was sent meanwhile."""
        with self._changed:
            self._cut.clear()
            self._changed.notify_all()

    def address(self, index: int) -> str:
        """As the set's configuration names a member."""
        return f"{HOST}:{self._doors[index].port}"

    def primary_index(self, *, seconds: float = 60) -> int:
        with self.client(seconds=seconds) as client:
            client.admin.command("ping")
            assert client.primary is not None
            return self.index_of(f"{client.primary[0]}:{client.primary[1]}")

    def index_of(self, address: str) -> int:
        return next(i for i, door in enumerate(self._doors) if door.port == int(address.rpartition(":")[2]))

    def close(self) -> None:
        self.heal()
        for door in self._doors:
            door.close()
        super().close()

    def passes(self, one: int, other: int) -> None:
        """Waits until what comes from one may reach the other."""
        pair = frozenset((one, other))
        with self._changed:
            self._changed.wait_for(lambda: pair not in self._cut)

    def dialler(self, port: int) -> int:
        """Whose socket has this port."""
        inode = _inode(port)
        for index, member in enumerate(self.members):
            if member.process is not None and inode and _has(member.process.pid, inode):
                return index
        return OUTSIDE

    def _start_fresh(self) -> None:
        super()._start_fresh()
        for door in self._doors:
            door.close()
        self._doors = [_Door(self, index, member.port) for index, member in enumerate(self.members)]

    def _config(self, settings: Mapping[str, int], version: int) -> dict[str, Any]:
        config = super()._config(settings, version)
        for index, member in enumerate(config["members"]):
            member["host"] = self.address(index)
        return config

    def _uri(self, members: Sequence[Member], user: User | None, options: str) -> str:
        if "replicaSet=" not in options or not self._doors:
            return super()._uri(members, user, options)
        hosts = ",".join(self.address(i) for i in range(len(self.members)))
        if user is None or not self.options.auth:
            return f"mongodb://{hosts}/?{options}"
        login = f"{quote_plus(user.name)}:{quote_plus(user.password)}"
        return f"mongodb://{login}@{hosts}/?{options}&authSource=admin"


class _Door:
    """What listens in a member's stead."""

    def __init__(self, network: CutSet, index: int, port: int) -> None:
        self._network, self._index, self._target = network, index, port
        self._listener = socket.create_server((HOST, 0), backlog=200)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name=f"door-{index}", daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near, peer[1]), daemon=True).start()

    def _join(self, near: socket.socket, port: int) -> None:
        dialler = self._network.dialler(port)
        self._network.passes(dialler, self._index)
        try:
            far = socket.create_connection((HOST, self._target), timeout=60)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for ends in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(dialler, *ends), daemon=True).start()

    def _pump(self, dialler: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._network.passes(dialler, self._index)
                target.sendall(data)
        self._network.passes(dialler, self._index)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _inode(port: int) -> str:
    """Of the established socket that has this local port."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "01":
            return fields[9]
    return ""


def _has(pid: int, inode: str) -> bool:
    with suppress(OSError):
        for name in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(name.readlink()) == f"socket:[{inode}]":
                    return True
    return False
