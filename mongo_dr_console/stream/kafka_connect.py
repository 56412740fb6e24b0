"""kafka-python's connections: from the profile, and with what a broker said last before it hung up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model.trouble import WrongUse

_MAX_RECEIVE = 200_000_000
_Received = tuple[bytes, Exception | None]


def connect(config: KafkaConfig, seconds: float) -> Any:
    """A client; nothing is connected yet.

    kafka-python drops what was received together with the end of a connection. A broker that refuses a login
    says so and hangs up, and often both arrive at once: without this a wrong password looks like a network
    that fails.

    Args:
        seconds: How long one request may take.

    Raises:
        WrongUse: ``kafka-security``: something is missing there, or a file cannot be read.
    """
    from kafka.net.compat import KafkaNetClient
    from kafka.net.manager import KafkaConnectionManager
    from kafka.net.selector import NetworkSelector

    class Manager(KafkaConnectionManager):  # type: ignore[misc]
        async def _build_transport(self, *words: Any, **named: Any) -> Any:
            transport = await super()._build_transport(*words, **named)
            transport._sock_recv = words_first(transport._sock_recv)
            return transport

    options = _options(config, seconds)
    net = NetworkSelector(**options)
    return KafkaNetClient(net=net, manager=Manager(net, **options))


def words_first(receive: Callable[[], _Received]) -> Callable[[], _Received]:
    """Gives what was received, and the end only the next time, when there is nothing more."""

    def received() -> _Received:
        data, error = receive()
        return data, None if data else error

    return received


def _options(config: KafkaConfig, seconds: float) -> dict[str, Any]:
    security = config.security
    options: dict[str, Any] = {
        "bootstrap_servers": list(config.bootstrap),
        "client_id": "mongo-dr-console",
        "security_protocol": security.protocol,
        "request_timeout_ms": int(seconds * 1000),
        "socket_connection_setup_timeout_ms": int(seconds * 1000),
        "reconnect_backoff_ms": 20,
        "reconnect_backoff_max_ms": 500,
        "receive_message_max_bytes": _MAX_RECEIVE,
    }
    if security.protocol in ("SSL", "SASL_SSL") and security.ca is not None:
        if not security.ca.expanduser().is_file():
            raise WrongUse(
                "kafka-security",
                f"The file with the certificates to trust is not there: {security.ca}.",
                "Correct security.ca in oplog.kafka of the profile.",
            )
        options["ssl_cafile"] = str(security.ca.expanduser())
    if security.protocol.startswith("SASL"):
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = security.username
        options["sasl_plain_password"] = _password(config)
    return options


def _password(config: KafkaConfig) -> str:
    security = config.security
    if security.mechanism is None or security.username is None or security.password_file is None:
        raise WrongUse(
            "kafka-security",
            f"{security.protocol} needs mechanism, username and password_file.",
            "Complete security in oplog.kafka of the profile.",
        )
    path = security.password_file.expanduser()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WrongUse(
            "kafka-security",
            f"The file with Kafka's password cannot be read: {path}: {why}.",
            "Correct password_file in oplog.kafka of the profile.",
        ) from None
    if not text:
        raise WrongUse("kafka-security", f"The file with Kafka's password is empty: {path}.")
    return text
