"""What S3 and botocore say, in the words a person needs."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable, WrongUse

_UNKNOWN_TO_IT = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSecurity",
    "AuthFailure",
)
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "TokenRetrievalError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "ConfigParseError",
)
_SKEWED = ("RequestTimeTooSkewed",)
_NO_BUCKET = ("NoSuchBucket",)
_ELSEWHERE = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "AuthorizationQueryParametersError",
)
_FULL = ("XMinioStorageFull", "InsufficientCapacity", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded")
_DAMAGED_ON_THE_WAY = (
    "BadDigest",
    "IncompleteBody",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
)
_BUSY = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "ConditionalRequestConflict")
_LOST = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "ProxyConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ResponseStreamingError",
    "IncompleteRead",
    "ProtocolError",
)


def code_of(error: BaseException) -> str:
    """S3's own word for it; empty where it did not answer."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    """The HTTP status; 0 where there was no answer."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)


def is_ours(error: BaseException) -> bool:
    """Whether botocore, or the HTTP layer below it, raised this."""
    return type(error).__module__.partition(".")[0] in ("botocore", "boto3", "urllib3", "s3transfer")


def passes(error: BaseException) -> bool:
    """Whether the same request may well succeed in a moment."""
    if not is_ours(error):
        return False
    if type(error).__name__ in _LOST:
        return True
    code, status = code_of(error), status_of(error)
    if code in _FULL or _is_of_keys(code):
        return False
    if code in (*_BUSY, *_DAMAGED_ON_THE_WAY):
        return True
    return status in (408, 429) or (status >= 500 and status not in (501, 507))


def _is_of_keys(code: str) -> bool:
    return code.lower().startswith("kms")


def is_no_such_upload(error: BaseException) -> bool:
    return code_of(error) == "NoSuchUpload"


def is_missing(error: BaseException) -> bool:
    """Whether there is no such object. A bucket that is gone is another matter."""
    return code_of(error) == "NoSuchKey" or (
        code_of(error) in ("404", "NotFound") and status_of(error) == 404
    )


def is_there_already(error: BaseException) -> bool:
    """If-None-Match: there is one."""
    return status_of(error) == 412 or code_of(error) == "PreconditionFailed"


def told(error: BaseException, name: str, where: str) -> Trouble:
    """An error as trouble. Nothing is quoted that could hold a credential.

    Args:
        name: The store's name in the profile.
        where: Bucket, prefix and endpoint.
    """
    code, kind = code_of(error), type(error).__name__
    found = _not_let_in(code, kind, name, where) or _wrong(code, kind, name, where)
    if found is not None:
        return found
    if code in _FULL or status_of(error) == 507:
        return Failed(
            "store-full",
            f"Store {name} ({where}) takes no more: {code or 'no room'}. Finished snapshots were not "
            f"touched.",
            "Make room there or raise its quota, or back up into another store.",
        )
    if code in ("AccessDenied", "AllAccessDisabled", "403") or status_of(error) == 403:
        return Refused(
            "store-forbidden",
            f"Store {name} ({where}) does not let these credentials do that ({code or 'HTTP 403'}).",
            "They need s3:ListBucket, GetObject, PutObject, DeleteObject, AbortMultipartUpload and "
            "ListBucketMultipartUploads; with aws:kms also the key.",
        )
    why = code or (f"HTTP {status_of(error)}" if status_of(error) else kind)
    return Unreachable(
        "store-unreachable",
        f"Store {name} ({where}) does not answer as it should ({why}).",
        "Check endpoint, network and the service; nothing that was finished is lost by that.",
    )


def _not_let_in(code: str, kind: str, name: str, where: str) -> Refused | None:
    if kind in _NO_CREDENTIALS:
        return Refused(
            "store-credentials",
            f"There are no usable AWS credentials for store {name} ({where}): {kind}.",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws: aws_profile.",
        )
    if code in _EXPIRED:
        return Refused(
            "store-credentials",
            f"The credentials for store {name} ({where}) have expired ({code}).",
            "Renew them; then start again: what was half written is removed by the next run.",
        )
    if code in _UNKNOWN_TO_IT:
        return Refused(
            "store-credentials",
            f"Store {name} ({where}) refuses the credentials ({code}).",
            "Correct access key and secret; a profile of ~/.aws is named by aws_profile.",
        )
    if code in _SKEWED:
        return Refused(
            "store-clock",
            f"Store {name} ({where}) refuses requests: this host's clock is more than 15 minutes off its "
            f"own.",
            "Set the clock (NTP) of whichever of the two is wrong.",
        )
    return None


def _wrong(code: str, kind: str, name: str, where: str) -> Trouble | None:
    if code in _NO_BUCKET:
        return Unreachable(
            "store-missing",
            f"Store {name}: there is no bucket as in {where}.",
            "Make the bucket, or correct bucket and endpoint in the profile.",
        )
    if code in _ELSEWHERE:
        return WrongUse(
            "store-region",
            f"Store {name} ({where}) is in another region than the profile says ({code}).",
            "Correct region (and endpoint) of the store in the profile.",
        )
    if _is_of_keys(code) or code in ("InvalidEncryptionAlgorithmError", "NotImplemented"):
        return Failed(
            "store-encryption",
            f"Store {name} ({where}) does not do what is asked of it ({code}), most likely the encryption. "
            "Nothing was stored unencrypted.",
            "Set up the service's keys (MinIO: MINIO_KMS_SECRET_KEY), or correct sse and kms_key.",
        )
    if kind in ("ParamValidationError", "InvalidEndpointURLError", "UnsupportedS3ConfigurationError"):
        return WrongUse(
            "store-name",
            f"Store {name} ({where}) cannot be asked like this: {kind}.",
            "Correct bucket and endpoint in the profile.",
        )
    if kind == "SSLError":
        return Unreachable(
            "store-unreachable",
            f"The certificate of store {name} ({where}) is not trusted, or it speaks no TLS.",
            "Name the certificates to trust: ca; or correct the endpoint's https.",
        )
    return None
