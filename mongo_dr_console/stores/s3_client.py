"""A connection to one bucket: botocore's client as the profile's section says, and its errors in words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

from mongo_dr_console.config import S3StoreConfig
from mongo_dr_console.stores import s3_errors
from mongo_dr_console.stores.patience import Patience

_CONNECTIONS = 24
_making = Lock()


class Bucket:
    """One bucket. Every call is tried again for as long as ``patience`` says, where its error may pass.

    Args:
        name: The store's name in the profile.
    """

    def __init__(self, name: str, config: S3StoreConfig, patience: Patience) -> None:
        self.name, self.config, self.patience = name, config, patience

    @property
    def where(self) -> str:
        config = self.config
        path = "/".join(filter(None, (config.bucket, config.prefix.strip("/"))))
        return f"s3://{path}" + (f" at {config.endpoint}" if config.endpoint else "")

    def call(
        self,
        operation: str,
        *,
        allow: Callable[[BaseException], bool] = lambda _: False,
        check: Callable[[], None] | None = None,
        **words: Any,
    ) -> dict[str, Any]:
        """One operation of the S3 client on this bucket.

        Args:
            operation: ``put_object`` and the like.
            allow: Errors that are raised as they are, since the caller knows what they mean; they have the
                attribute ``tries``: how often the request was sent.
            check: Asked before it is sent again; raises to stop.

        Raises:
            Trouble: See ``s3_errors``.
        """
        tries = 0

        def once() -> dict[str, Any]:
            nonlocal tries
            tries += 1
            answer: dict[str, Any] = getattr(_client_of(self.config, self.patience), operation)(
                Bucket=self.config.bucket, **words
            )
            return answer

        try:
            return self.patience.persist(once, s3_errors.passes, check)
        except Exception as error:
            if not s3_errors.is_ours(error):
                raise
            if allow(error):
                error.tries = tries  # type: ignore[attr-defined]
                raise
            trouble = s3_errors.told(error, self.name, self.where)
            if trouble.code == "store-credentials":
                # They may be renewed while this process lives.
                _client.cache_clear()
            raise trouble from None

    @property
    def encryption(self) -> dict[str, Any]:
        """What a request that makes an object says about it."""
        if self.config.sse == "none":
            return {}
        found: dict[str, Any] = {"ServerSideEncryption": self.config.sse}
        return found | ({"SSEKMSKeyId": self.config.kms_key} if self.config.kms_key else {})


def _client_of(config: S3StoreConfig, patience: Patience) -> Any:
    style = config.addressing
    if style == "auto" and config.endpoint:
        # What speaks S3 beside AWS rarely has a name in DNS for every bucket.
        style = "path"
    ca = None if config.ca is None else str(config.ca)
    # Threads that need the first one at once must not make one each.
    with _making:
        return _client(config.endpoint, config.region, style, config.aws_profile, ca, patience)


@lru_cache(maxsize=16)
def _client(
    endpoint: str | None,
    region: str | None,
    style: str,
    aws_profile: str | None,
    ca: str | None,
    patience: Patience,
) -> Any:
    """Costs a tenth of a second, so it is made once; it may be used from several threads. What boto3 adds to
    its own client is not used, and costs another twentieth."""
    import botocore.session
    from botocore.config import Config

    from mongo_dr_console.stores.s3_models import Models
    from mongo_dr_console.stores.s3_pages import PageParsers

    session = botocore.session.Session(profile=aws_profile)
    session.register_component("data_loader", Models())
    # A page of a list has a thousand times; botocore's own way takes longer with them than the service.
    parsers = PageParsers()
    parsers.set_parser_defaults(timestamp_parser=_time_of)
    session.register_component("response_parser_factory", parsers)
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        verify=ca,
        config=Config(
            connect_timeout=patience.connect_seconds,
            read_timeout=patience.read_seconds,
            # Tries are counted in one place, ``stores.patience``.
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": style},
            signature_version="s3v4",
            # Checksums are our own: SHA-256 of every part, and of every file when it is read.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            tcp_keepalive=True,
        ),
    )


def _time_of(value: Any) -> Any:
    """A time as S3's lists have it; anything else as botocore reads it."""
    with suppress(TypeError, ValueError):
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return found
    from botocore.utils import parse_timestamp

    return parse_timestamp(value)
