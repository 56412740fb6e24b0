"""Connection URIs without what is secret in them."""

from __future__ import annotations

import re

MASK = "***"

_SECRET_OPTION = re.compile(
    r"(?P<key>[?&;](?:[a-z]*password|[a-z]*token|[a-z]*secret|authmechanismproperties)=)[^&;]*", re.IGNORECASE
)
_MASKED_OPTION = rf"\g<key>{MASK}"


def mask_uri(uri: str) -> str:
    """A URI with the password, and every option that can hold a secret, replaced; user and hosts stay.

    A password that should have been percent-encoded and was not is covered too: everything up to the last @.

    >>> mask_uri("mongodb://root:hunter2@db1,db2/?tls=true")
    'mongodb://root:***@db1,db2/?tls=true'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return MASK
    at = rest.rfind("@")
    hosts = _SECRET_OPTION.sub(_MASKED_OPTION, rest[at + 1 :])
    if at < 0:
        return f"{scheme}://{hosts}"
    user, colon, _ = rest[:at].partition(":")
    return f"{scheme}://{user}{colon and ':' + MASK}@{hosts}"
