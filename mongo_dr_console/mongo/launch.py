"""Starting a replica set of real mongods on this machine, for the practice deployment and for tests."""

from __future__ import annotations

import base64
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo.errors import PyMongoError

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.mongod import find_mongod

HOST = "127.0.0.1"
_ADDRESS_IN_USE = 48
_START_SECONDS = 60
_TOOL = "mdr"
_PARAMETERS = {
    "enableTestCommands": "1",
    "diagnosticDataCollectionEnabled": "false",
    # A primary that is asked to stop would wait 15 s for operations that nobody sends.
    "shutdownTimeoutMillisForSignaledShutdown": "100",
}
_ELECTIONS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
_FIRST_ELECTION = {"electionTimeoutMillis": 500, "heartbeatIntervalMillis": 100}

# Linux ends a mongod when the thread that started it ends, so all are started by one that lives on.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mongod-starter")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the deployment; ``roles`` as in createUser."""

    name: str
    password: str = field(repr=False)
    roles: tuple[str | Mapping[str, str], ...] = ("root",)

    @classmethod
    def new(cls, name: str, roles: Sequence[str | Mapping[str, str]]) -> User:
        return cls(name, secrets.token_urlsafe(18), tuple(roles))


@dataclass(slots=True)
class Member:
    """One mongod, running or not."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "mongod.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass(frozen=True, slots=True)
class Options:
    """How a set is started.

    Args:
        nodes: Number of members, each with a vote and the data.
        auth: With a key file and users; without, everybody may do everything.
        oplog_mb: Largest size of the oplog, in MB.
        cache_gb: Cache of each member, in GB; a large transaction must fit into it.
        checkpoint_seconds: Time between checkpoints; the oplog is not cut behind the newest one.
        set_name: Name of the replica set.
        users: More users, made when the set has a primary. The tool's own, ``mdr``, has the role root.
        parameters: More ``setParameter`` values.
    """

    nodes: int = 3
    auth: bool = True
    oplog_mb: int = 200
    cache_gb: float = 0.25
    checkpoint_seconds: int = 60
    set_name: str = "rs"
    users: tuple[User, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


class ReplicaSet:
    """A replica set of mongods that are children of this process, bound to loopback, in one folder.

    The members end with this process, however it ends (on Linux). ``close`` leaves nothing behind.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.tool = User.new(_TOOL, ["root"])
        self.members: list[Member] = []
        self._ports: list[HeldPort] = []

    @classmethod
    def launch(cls, folder: Path, options: Options | None = None) -> ReplicaSet:
        """Starts the members, makes the set and its users, and waits for a writable primary.

        Raises:
            Failed: A member does not start, with the end of its log; nothing is left running.
            WrongUse: See ``find_mongod``.
        """
        replica_set = cls(folder, options or Options())
        try:
            replica_set._make()
        except BaseException:
            replica_set.close()
            raise
        return replica_set

    @property
    def set_name(self) -> str:
        return self.options.set_name

    @property
    def uri(self) -> str:
        """The whole set, as the tool's user. Holds a password."""
        return self.user_uri(self.tool)

    @property
    def member_uris(self) -> list[str]:
        """Each member alone, as the tool's user."""
        return [self._uri([m], self.tool, "directConnection=true") for m in self.members]

    def user_uri(self, user: User) -> str:
        """The whole set, as one of its users."""
        return self._uri(self.members, user, f"replicaSet={self.set_name}")

    def client(self, *, seconds: float = 30) -> Client:
        """A client of the whole set as the tool's user; the caller closes it."""
        return connect(self.uri, seconds=seconds)

    @contextmanager
    def member_client(self, index: int, *, seconds: float = 30) -> Iterator[Client]:
        """A client of one member, whatever its state, as the tool's user."""
        with connect(self.member_uris[index], direct=True, seconds=seconds) as client:
            yield client

    def primary_index(self, *, seconds: float = _START_SECONDS) -> int:
        """Index of the primary; waits until there is one."""
        with self.client(seconds=seconds) as client:
            try:
                client.admin.command("ping")
            except PyMongoError as error:
                raise told(error) from None
            address = client.primary
        if address is None:
            raise Failed("no-primary", "The set has just lost its primary.")
        return next(i for i, m in enumerate(self.members) if m.port == address[1])

    def wait_for_primary(self, *, seconds: float = _START_SECONDS) -> None:
        """Waits until a primary takes writes."""
        self.primary_index(seconds=seconds)

    def wait_for_members(self, *, seconds: float = _START_SECONDS) -> None:
        """Waits until every member is PRIMARY or SECONDARY."""
        deadline = time.monotonic() + seconds
        with self.client(seconds=seconds) as client:
            while True:
                with suppress(PyMongoError):
                    status = client.admin.command("replSetGetStatus")
                    if all(m["state"] in (1, 2) for m in status["members"]):
                        return
                if time.monotonic() > deadline:
                    raise Failed("members-missing", "Not every member came up in time.")
                time.sleep(0.05)

    def start(self, index: int) -> None:
        """Starts one member on its port and waits until it listens; nothing where it runs already."""
        member = self.members[index]
        if member.alive:
            return
        self._spawn(member)
        self._await_listening(member)

    def start_all(self) -> None:
        """Starts every member that does not run, and waits for a writable primary."""
        for member in self.members:
            if not member.alive:
                self._spawn(member)
        for member in self.members:
            self._await_listening(member)
        self.wait_for_primary()

    def kill(self, index: int) -> None:
        """SIGKILL, as a crash of the machine would; its files stay."""
        self._signal(self.members[index], signal.SIGKILL)

    def kill_all(self) -> None:
        for member in self.members:
            if member.alive and member.process is not None:
                member.process.kill()
        for member in self.members:
            self._reap(member, 30)

    def stop(self, index: int) -> None:
        """A clean shutdown of one member; its files stay."""
        self._signal(self.members[index], signal.SIGTERM)

    def stop_all(self) -> None:
        """A clean shutdown of every member; ``start_all`` brings them back."""
        for member in self.members:
            if member.alive and member.process is not None:
                member.process.terminate()
        for member in self.members:
            self._reap(member, 60)

    def pause(self, index: int) -> None:
        """SIGSTOP: the member is there and answers nothing."""
        process = self.members[index].process
        if process is not None:
            process.send_signal(signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """SIGCONT after ``pause``."""
        process = self.members[index].process
        if process is not None:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends every member and removes the folder."""
        self.kill_all()
        processes.end(lambda: [p for p in processes.below(self.folder) if p.is_mongod])
        shutil.rmtree(self.folder, ignore_errors=True)
        self._give_ports_back()

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.options.auth:
            self._write_key()
        for attempt in (1, 2, 3):
            try:
                self._start_fresh()
                break
            except _PortTaken:
                self.kill_all()
                if attempt == 3:
                    raise Failed("port-taken", "Three times a free port was taken by another.") from None
        self._initiate()
        self._make_users()
        self._settle()
        self.wait_for_primary(seconds=_START_SECONDS)

    def _write_key(self) -> None:
        key = self._key_file
        key.touch(mode=0o600)
        key.write_bytes(base64.b64encode(secrets.token_bytes(90)))

    @property
    def _key_file(self) -> Path:
        return self.folder / "keyfile"

    def _start_fresh(self) -> None:
        self._give_ports_back()
        self._ports = [HeldPort() for _ in range(self.options.nodes)]
        self.members = [Member(p.number, self.folder / f"member{i}") for i, p in enumerate(self._ports)]
        for member in self.members:
            shutil.rmtree(member.folder, ignore_errors=True)
            member.data.mkdir(parents=True)
            self._spawn(member)
        for member in self.members:
            self._await_listening(member)

    def _give_ports_back(self) -> None:
        for held in self._ports:
            held.close()
        self._ports = []

    def _spawn(self, member: Member) -> None:
        def run() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                processes.die_with_parent(self._command(member)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

        member.process = _starter.submit(run).result()

    def _command(self, member: Member) -> list[str]:
        command = [
            str(find_mongod()),
            *("--dbpath", str(member.data)),
            *("--port", str(member.port)),
            *("--bind_ip", HOST),
            *("--replSet", self.set_name),
            *("--oplogSize", str(self.options.oplog_mb)),
            *("--syncdelay", str(self.options.checkpoint_seconds)),
            *("--logpath", str(member.log), "--logappend"),
            *("--wiredTigerCacheSizeGB", str(self.options.cache_gb)),
            "--nounixsocket",
            # Two empty journal files of 100 MB are made ahead else, for each member of each set.
            *("--wiredTigerEngineConfigString", "log=(prealloc=false)"),
        ]
        if self.options.auth:
            command += ["--keyFile", str(self._key_file)]
        for name, value in {**_PARAMETERS, **self.options.parameters}.items():
            command += ["--setParameter", f"{name}={value}"]
        return command

    def _await_listening(self, member: Member) -> None:
        deadline = time.monotonic() + _START_SECONDS
        assert member.process is not None
        while time.monotonic() < deadline:
            code = member.process.poll()
            if code == _ADDRESS_IN_USE:
                raise _PortTaken
            if code is not None:
                raise Failed("mongod-died", f"A mongod ended at once with {code}: {_last_words(member.log)}")
            with suppress(OSError), socket.create_connection((HOST, member.port), timeout=1):
                return
            time.sleep(0.02)
        raise Failed("mongod-slow", f"A mongod does not listen after {_START_SECONDS} s.")

    def _initiate(self) -> None:
        with connect(f"mongodb://{self.members[0].address}", direct=True, seconds=_START_SECONDS) as client:
            try:
                client.admin.command("replSetInitiate", self._config(_FIRST_ELECTION, version=1))
            except PyMongoError as error:
                raise told(error) from None

    def _settle(self) -> None:
        """From the hurried first election to the timeouts that the set lives with."""
        deadline = time.monotonic() + _START_SECONDS
        with self.client(seconds=_START_SECONDS) as client:
            while True:
                try:
                    client.admin.command("replSetReconfig", self._config(_ELECTIONS, version=2))
                    return
                except PyMongoError as error:
                    # On a machine under load the hurried timeouts may cost the first primary its place.
                    if time.monotonic() > deadline:
                        raise told(error) from None
                    time.sleep(0.1)

    def _config(self, settings: Mapping[str, int], version: int) -> dict[str, Any]:
        members = [{"_id": i, "host": m.address} for i, m in enumerate(self.members)]
        # With chaining, one member that is held back holds back another, and with it the majority.
        settings = {**settings, "chainingAllowed": False}
        return {"_id": self.set_name, "version": version, "members": members, "settings": settings}

    def _make_users(self) -> None:
        if not self.options.auth:
            return
        uri = self._uri(self.members, None, f"replicaSet={self.set_name}")
        with connect(uri, seconds=_START_SECONDS) as client:
            # Only the localhost exception lets somebody make the first user.
            _create_user(client, self.tool)
        with self.client(seconds=_START_SECONDS) as client:
            for user in self.options.users:
                _create_user(client, user)

    def _uri(self, members: Sequence[Member], user: User | None, options: str) -> str:
        hosts = ",".join(m.address for m in members)
        if user is None or not self.options.auth:
            return f"mongodb://{hosts}/?{options}"
        return f"mongodb://{quote_plus(user.name)}:{quote_plus(user.password)}@{hosts}/?{options}&authSource=admin"

    def _signal(self, member: Member, number: int) -> None:
        if member.process is not None and member.alive:
            member.process.send_signal(number)
        self._reap(member, 60)

    @staticmethod
    def _reap(member: Member, seconds: float) -> None:
        if member.process is None:
            return
        try:
            member.process.wait(seconds)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()


class _PortTaken(Exception):
    """Another process took a port between the moment it was free and the mongod's start."""


class HeldPort:
    """A port of the loopback address that nobody listens on and, until ``close``, nobody else is given: who
    connects is refused, and a server of ours may listen on it, also again after it was down. Elsewhere than
    on Linux no server could while it is held, so there it is only found.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *_: object) -> None:
        self.close()


def _create_user(client: Client, user: User) -> None:
    roles: list[Any] = [dict(r) if isinstance(r, Mapping) else r for r in user.roles]
    try:
        client.admin.command(
            "createUser", user.name, pwd=user.password, roles=roles, writeConcern={"w": "majority"}
        )
    except PyMongoError as error:
        raise told(error) from None


def _last_words(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1][-400:]
    except (OSError, IndexError):
        return "it left no log"
