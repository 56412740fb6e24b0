"""Names of files in mongodump's directory format (mongo-tools.md 1)."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote_plus, unquote_plus

_LONGEST = 238
_KEPT = 208
_TRUNCATED = "%24"

DATA_SUFFIX = ".bson"
METADATA_SUFFIX = ".metadata.json"


def escape(collection: str) -> str:
    """The base name of a collection's files: percent-escaped; above 238 bytes cut, with a digest of the whole
    name at its end.

    >>> escape("we ird/na%me")
    'we+ird%2Fna%25me'
    """
    escaped = quote_plus(collection, safe="")
    if len(escaped) <= _LONGEST:
        return escaped
    digest = base64.urlsafe_b64encode(hashlib.sha1(collection.encode(), usedforsecurity=False).digest())
    return escaped[:_KEPT] + _TRUNCATED + digest.rstrip(b"=").decode()


def is_truncated(base: str) -> bool:
    """Whether only the metadata's ``collectionName`` knows the name of this file's collection."""
    return len(base) == _LONGEST and _TRUNCATED in base


def unescape(base: str) -> str:
    """The collection of a base name that was not truncated."""
    return unquote_plus(base)


def split_name(file_name: str) -> tuple[str, str] | None:
    """Base name and suffix (``.bson`` or ``.metadata.json``) of a file, without a compression's suffix; None
    for any other file.

    >>> split_name("orders.metadata.json.gz")
    ('orders', '.metadata.json')
    """
    plain = file_name.removesuffix(".gz").removesuffix(".zst")
    for suffix in (METADATA_SUFFIX, DATA_SUFFIX):
        if plain.endswith(suffix):
            return plain.removesuffix(suffix), suffix
    return None
