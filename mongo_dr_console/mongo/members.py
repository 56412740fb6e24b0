"""Asking members one by one: whom a URI names, and the same URI for one member only."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

_PREFIX = "mongodb://"
_SRV_PREFIX = "mongodb+srv://"
_DROPPED = frozenset({"replicaset", "directconnection", "loadbalanced", "readpreference", "srvmaxhosts"})
"""Options that are about the whole set: a member that was removed from it could not be asked with them."""


def seeds(uri: str) -> tuple[str, ...]:
    """``host:port`` of the members that a URI names; empty for ``mongodb+srv``, which names a DNS record.

    >>> seeds("mongodb://u:p@h1,h2:27018/admin?replicaSet=rs0")
    ('h1:27017', 'h2:27018')
    """
    if not uri.startswith(_PREFIX):
        return ()
    _, hosts, _ = _parts(uri)
    return tuple(_with_port(h) for h in hosts.split(",") if h)


def member_uri(uri: str, member: str) -> str:
    """The URI with the same user and options for one member.

    >>> member_uri("mongodb://u:p@h1,h2/?replicaSet=rs0&authSource=admin", "h2:27017")
    'mongodb://u:p@h2:27017/?authSource=admin'
    """
    credentials, _, rest = _parts(uri)
    path, _, query = rest.partition("?")
    pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k.lower() not in _DROPPED]
    if uri.startswith(_SRV_PREFIX) and not any(k.lower() in ("tls", "ssl") for k, _ in pairs):
        pairs.append(("tls", "true"))
    options = f"?{urlencode(pairs)}" if pairs else ""
    return f"{_PREFIX}{credentials}{member}/{path.strip('/')}{options}"


def _parts(uri: str) -> tuple[str, str, str]:
    """Credentials with their ``@``, hosts, and what follows the first slash."""
    body = uri.partition("://")[2]
    authority, slash, rest = body.partition("/")
    if not slash and "?" in authority:
        authority, _, query = authority.partition("?")
        rest = f"?{query}"
    user, at, hosts = authority.rpartition("@")
    return user + at, hosts, rest


def _with_port(host: str) -> str:
    last = host.rsplit("]", 1)[-1]
    return host if ":" in last else f"{host}:27017"
