"""Clients with timeouts that end, and server errors in words."""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.asynchronous.mongo_client import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.uri_parser import validate_options

from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable, WrongUse
from mongo_dr_console.mongo.primary_first import PrimaryFirst

Client = MongoClient[dict[str, Any]]
AsyncClient = AsyncMongoClient[dict[str, Any]]
RawClient = MongoClient[RawBSONDocument]

APPNAME = "mongo-dr-console"

# Options of other drivers are passed over; the driver's warning would show a line of its own code.
warnings.filterwarnings("ignore", message="Unknown option", category=UserWarning)

_TIMEOUTS = re.compile(r" \(configured timeouts: [^)]*\)")
_COMMAND_DOCUMENT = re.compile(r" \{ (\w+): .*\}$", re.DOTALL)
"""With which the server repeats what it was asked, session and signature included; the name is enough."""
_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_NO_PRIMARY_NOW = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436})
"""The member shuts down, steps down, or is not primary any more."""


def connect(
    uri: str,
    *,
    direct: bool = False,
    any_member: bool = False,
    seconds: float = 10,
    answer_seconds: float | None = None,
    appname: str = APPNAME,
) -> Client:
    """A client for jobs and commands. Nothing is sent until it is used.

    Args:
        uri: As in a profile.
        direct: Ask one member, whatever its state.
        any_member: Read from another member where there is no primary.
        seconds: How long to look for a server before giving up.
        answer_seconds: How long an answer may take; None: for ever, unless the connection breaks.

    Raises:
        WrongUse: The URI cannot be understood.
    """
    options = _options(direct, seconds, appname)
    if answer_seconds is not None:
        options["socketTimeoutMS"] = int(answer_seconds * 1000)
    if any_member:
        options["readPreference"] = "primaryPreferred"
    with _uri_in_words(uri):
        return MongoClient(uri, **options)


def nobody_listens(client: Client) -> bool:
    """Whether every host that the URI names answers that no server runs there, which a driver asks again for
    as long as it may look for one."""
    hosts = list(client.topology_description.server_descriptions())
    return bool(hosts) and all(_refuses(*host) for host in hosts)


def _refuses(host: str, port: int | None) -> bool:
    try:
        socket.create_connection((host, port or 0), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def connect_async(uri: str, *, direct: bool = False, seconds: float = 2) -> AsyncClient:
    """A client for pollers, with short limits: one per event loop."""
    with _uri_in_words(uri):
        return AsyncMongoClient(uri, **_options(direct, seconds, APPNAME))


@contextmanager
def _uri_in_words(uri: str) -> Iterator[None]:
    """What is wrong with a URI, and nothing of what stands in it: where a password is not escaped, its pieces
    are taken for a host, a port or a database."""
    try:
        _check_database(uri)
        _check_values(uri)
        yield
    except PyMongoError as error:
        raise told(error) from None
    except ValueError as error:
        raise _wrong_uri(str(error)) from None
    except OSError as error:
        raise WrongUse(
            "uri-wrong",
            f"A file that the URI names cannot be used: {error.filename}: {error.strerror}.",
            "Correct the URI (tlsCAFile, tlsCertificateKeyFile).",
        ) from None


def _check_database(uri: str) -> None:
    """Of ``u:p@ss/word@host`` the driver makes the host ``ss``, and looks for it."""
    if "@" in uri.partition("://")[2].partition("?")[0].partition("/")[2]:
        raise _wrong_uri(
            "an @ stands behind the hosts, so user or password hold an @ and a / that are not escaped"
        )


def _check_values(uri: str) -> None:
    """The driver only warns of a wrong value (``tls=maybe``) and goes on without the option. One that it does
    not know may be another driver's."""
    for name, value in parse_qsl(uri.rpartition("?")[2] if "?" in uri else "", keep_blank_values=True):
        try:
            validate_options({name: value}, warn=False)
        except (PyMongoError, ValueError, TypeError) as error:
            if not str(error).startswith("Unknown option"):
                raise _wrong_uri(str(error)) from None


def _wrong_uri(text: str) -> Trouble:
    plain = re.sub(r'"[^"]*"', "(not shown)", text).rstrip(".")
    if "DNS" in text:
        return Unreachable(
            "deployment-unreachable",
            f"The addresses of the deployment cannot be looked up: {plain}.",
            "Check the host in the URI, and that this host's name service works.",
        )
    return WrongUse(
        "uri-wrong",
        f"The URI cannot be understood: {plain}.",
        "Correct it: mongodb://USER:PASSWORD@HOST:PORT,HOST:PORT/?replicaSet=NAME; in user and password "
        "write %40 for @, %3A for :, %2F for /, %3F for ? and %25 for %.",
    )


def _options(direct: bool, seconds: float, appname: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "serverSelectionTimeoutMS": int(seconds * 1000),
        "connectTimeoutMS": int(min(seconds, 5) * 1000),
        "appname": appname,
        "tz_aware": True,
    }
    if direct:
        options["directConnection"] = True
    else:
        options["server_selector"] = PrimaryFirst(seconds)
    return options


def told(error: PyMongoError) -> Trouble:
    """A driver's error as trouble: what happened, in one line, without the driver's dump of the topology."""
    if isinstance(error, InvalidURI | ConfigurationError):
        return _wrong_uri(str(error))
    if isinstance(error, OperationFailure):
        return _told_failure(error)
    if isinstance(error, ServerSelectionTimeoutError):
        return Unreachable(
            "deployment-unreachable",
            f"No usable member of the deployment answers: {_first_line(error)}",
            "Check the address, the network and whether the set has a primary: mdr status",
        )
    if isinstance(error, NetworkTimeout | AutoReconnect | ConnectionFailure):
        return Unreachable(
            "deployment-unreachable", f"The connection to the deployment broke: {_first_line(error)}"
        )
    return Failed("server-error", _first_line(error))


def _told_failure(error: OperationFailure) -> Trouble:
    text = str((error.details or {}).get("errmsg", "") or _first_line(error))
    if error.code == _AUTHENTICATION_FAILED:
        return Unreachable(
            "authentication-failed",
            f"The deployment refuses the user or the password: {text}",
            "Correct the URI of the profile; --authenticationDatabase is authSource in a URI.",
        )
    if error.code == _UNAUTHORIZED:
        text = _COMMAND_DOCUMENT.sub(r" \1", text)
        return Refused(
            "not-authorized",
            f"The user of this profile may not do that: {text}",
            "mdr doctor --print-roles shows the roles that are needed.",
        )
    if error.code in _NO_PRIMARY_NOW:
        return Unreachable(
            "no-primary",
            f"The member that was asked is not primary any more, or goes down: {text}",
            "See whether the set has a primary: mdr status",
        )
    return Failed("server-error", f"The server answered {error.code}: {text}")


def _first_line(error: Exception) -> str:
    whole = str(error).split(", Timeout:")[0].split(", full error:")[0]
    text = _TIMEOUTS.sub("", whole).splitlines()
    return (text[0] if text else type(error).__name__)[:300]
