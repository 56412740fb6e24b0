"""Profiles: TOML at platformdirs' user config path (mode 0600), read into checked models."""

from __future__ import annotations

import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from mongo_dr_console.model.trouble import Unreachable, WrongUse

APP = "mongo-dr-console"
PRACTICE = "practice"
"""Name of the profile of the practice deployment."""

Access = Literal["watch", "operate", "restore"]
ACCESS_ORDER: tuple[Access, ...] = ("watch", "operate", "restore")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_duration(text: str) -> timedelta:
    """``60s``, ``1h``, ``30d``.

    >>> parse_duration("1h").total_seconds()
    3600.0
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number with ms, s, m, h or d, as in '60s'")
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])


def parse_size(text: str) -> int:
    """``16 MiB`` in bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("a size is a number with B, KB, MB, GB, KiB, MiB or GiB, as in '16 MiB'")
    return int(float(match[1]) * _BYTES[match[2]])


def parse_ratio(text: str) -> float:
    """``50%`` as 0.5."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if match is None:
        raise ValueError("a ratio is written as a percentage, as in '50%'")
    return float(match[1]) / 100


Duration = Annotated[timedelta, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v)]
Size = Annotated[int, BeforeValidator(lambda v: parse_size(v) if isinstance(v, str) else v)]
Ratio = Annotated[float, BeforeValidator(lambda v: parse_ratio(v) if isinstance(v, str) else v)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalStoreConfig(_Section):
    type: Literal["local"]
    path: Path
    retention_days: int = 7


class S3StoreConfig(_Section):
    type: Literal["s3"]
    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    sse: Literal["AES256", "aws:kms", "none"] = "AES256"
    kms_key: str | None = None
    retention_days: int = 30


StoreConfig = Annotated[LocalStoreConfig | S3StoreConfig, Field(discriminator="type")]


class DurationThreshold(_Section):
    """One value is the critical level; ``warning`` defaults to none."""

    warning: Duration | None = None
    critical: Duration

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"critical": value} if isinstance(value, str) else value


class RatioThreshold(_Section):
    warning: Ratio | None = None
    critical: Ratio

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"critical": value} if isinstance(value, str) else value


def _over(text: str) -> DurationThreshold:
    return DurationThreshold(critical=parse_duration(text))


class Thresholds(_Section):
    backup_age: DurationThreshold = _over("24h")
    size_delta: RatioThreshold = RatioThreshold(critical=0.5)
    restore_test_age: DurationThreshold = _over("30d")
    oplog_lag: DurationThreshold = _over("60s")
    margin: DurationThreshold = _over("12h")


class Targets(_Section):
    rpo: Duration = timedelta(seconds=60)
    rto: Duration = timedelta(hours=1)


class Profile(_Section):
    """How to reach one deployment, and what is promised about it."""

    uri: SecretStr | None = None
    uri_file: Path | None = None
    uri_env: str | None = None
    environment: str = "development"
    engine: Literal["builtin", "mongo_tools", "pbm"] = "builtin"
    access: Access = "watch"
    ignore_events: tuple[str, ...] = ()
    stores: dict[str, StoreConfig] = Field(default_factory=dict)
    targets: Targets = Targets()
    thresholds: Thresholds = Thresholds()
    state_dir: Path | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Profile:
        ways = [w for w in (self.uri, self.uri_file, self.uri_env) if w is not None]
        if len(ways) != 1:
            raise ValueError("exactly one of uri, uri_file and uri_env says how to reach the deployment")
        return self

    def connection_uri(self) -> str:
        """The URI with its secret. Never printed, logged, journalled or put into argv.

        Raises:
            WrongUse: The file or the variable is missing or empty.
        """
        if self.uri is not None:
            return self.uri.get_secret_value()
        if self.uri_env is not None:
            value = os.environ.get(self.uri_env, "")
            if not value:
                raise WrongUse("uri-missing", f"The variable {self.uri_env} with the URI is not set.")
            return value
        assert self.uri_file is not None
        path = self.uri_file.expanduser()
        try:
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise WrongUse(
                "uri-missing",
                f"The file with the URI cannot be read: {path}: {error.strerror}.",
                "Correct uri_file in the profile.",
            ) from None
        if not value:
            raise WrongUse("uri-missing", f"The file with the URI is empty: {path}.")
        return value


class Config(_Section):
    default_profile: str | None = None
    theme: str = "dark"
    keys: dict[str, str] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)


def config_path() -> Path:
    """``MDR_CONFIG``, else ``config.toml`` in the platform's config folder."""
    named = os.environ.get("MDR_CONFIG")
    return Path(named).expanduser() if named else platformdirs.user_config_path(APP) / "config.toml"


def state_path() -> Path:
    """``MDR_STATE_DIR``, else the platform's state folder: jobs, the practice deployment, caches."""
    named = os.environ.get("MDR_STATE_DIR")
    return Path(named).expanduser() if named else platformdirs.user_state_path(APP)


def practice_folder() -> Path:
    """Where the practice deployment keeps everything it has; gone after ``mdr sandbox down``."""
    return state_path() / PRACTICE


def load_config(path: Path) -> Config:
    """Reads and checks a config file.

    Raises:
        WrongUse: Missing, not TOML, an unknown key, a wrong value; the message names key and line.
        Unreachable: The file is there and cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WrongUse(
            "config-missing", f"There is no config file at {path}.", "Make one with: mdr config init"
        ) from None
    except OSError as error:
        raise Unreachable("config-unreadable", f"{path} cannot be read: {error.strerror}.") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUse("config-not-toml", f"{path} is not TOML: {error}.") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise WrongUse("config-wrong", describe_config_error(path, text, error)) from None


def describe_config_error(path: Path, text: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{path}: {key}: {first['msg']}."
