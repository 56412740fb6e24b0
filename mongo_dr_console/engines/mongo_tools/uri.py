"""A profile's connection URI as the MongoDB tools need it."""

from __future__ import annotations

from collections.abc import Mapping

from pymongo.uri_parser import parse_uri

DUMP_OPTIONS = {"readConcernLevel": "majority", "readPreference": "primary"}
"""Nothing that a failover could take back is dumped (server-rules 12); mongodump's own choice is local."""

RESTORE_OPTIONS = {"w": "majority", "readPreference": "primary"}


def tool_uri(uri: str, set_name: str, options: Mapping[str, str]) -> str:
    """The URI with these options, of the whole set, and without a database in its path.

    A database in the path would become ``--db`` and make a dump of one database; what it says of the login
    is kept as ``authSource``.

    >>> tool_uri("mongodb://me:pw@h1,h2/crm?tls=true", "rs0", {"w": "majority"})
    'mongodb://me:pw@h1,h2/?tls=true&authSource=crm&replicaSet=rs0&w=majority'
    """
    head, found, database = _parts(uri)
    names = {name.partition("=")[0].lower() for name in found}
    if database and "authsource" not in names and "@" in head:
        found.append(f"authSource={_auth_source(uri, database)}")
    direct = any(option.lower() == "directconnection=true" for option in found)
    if "replicaset" not in names and not direct and not uri.startswith("mongodb+srv:"):
        # Without it a single host is taken for the only member there is, also when it is not primary.
        found.append(f"replicaSet={set_name}")
    replaced = {name.lower() for name in options}
    kept = [option for option in found if option.partition("=")[0].lower() not in replaced]
    return f"{head}/?{'&'.join([*kept, *(f'{name}={value}' for name, value in options.items())])}"


def _parts(uri: str) -> tuple[str, list[str], str]:
    """Scheme with login and hosts, options, the path's database. A question mark in a password is encoded."""
    scheme, _, rest = uri.partition("://")
    rest, _, query = rest.partition("?")
    login, at, hosts = rest.rpartition("@")
    hosts, _, database = hosts.partition("/")
    options = [option for option in query.replace(";", "&").split("&") if option]
    return f"{scheme}://{login}{at}{hosts}", options, database


def _auth_source(uri: str, database: str) -> str:
    if not uri.startswith("mongodb+srv:"):
        return database
    # There a TXT record may say so too, and it goes before the path.
    found = parse_uri(uri, validate=False)["options"].get("authSource", database)
    return str(found)
