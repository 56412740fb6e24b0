"""Profiles: TOML at platformdirs' user config path (mode 0600), read into checked models."""

from __future__ import annotations

import os
import re
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.configerrors import Problem, explain
from mongo_dr_console.model.hiding import all_redacted
from mongo_dr_console.model.namespace import DRILL_DATABASE
from mongo_dr_console.model.schedule import Window
from mongo_dr_console.model.trouble import Unreachable, WrongUse

APP = "mongo-dr-console"
PRACTICE = "practice"
"""Name of the profile of the practice deployment."""
USUAL_POLL = timedelta(seconds=2)

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


def format_duration(duration: timedelta) -> str:
    """As it is written in the config, in the largest unit that it is a whole number of.

    >>> format_duration(timedelta(minutes=90)), format_duration(timedelta(hours=2))
    ('90m', '2h')
    """
    milliseconds = round(duration.total_seconds() * 1000)
    for unit in ("d", "h", "m", "s"):
        size = int(_SECONDS[unit] * 1000)
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def format_size(size: int) -> str:
    """As it is written in the config: ``16 MiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % int(_BYTES[unit]) == 0:
            return f"{size // int(_BYTES[unit])} {unit}"
    return f"{size} B"


def format_ratio(ratio: float) -> str:
    """As it is written in the config: ``50%``."""
    return f"{ratio * 100:g}%"


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    return parse_duration(value if isinstance(value, str) else "")


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def _ratio(value: Any) -> Any:
    return value if isinstance(value, float) else parse_ratio(value if isinstance(value, str) else "")


def _cron(value: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(value, datetime(2000, 1, 1))
    except CronSimError as error:
        raise ValueError(f"not a cron expression such as '0 2 * * *': {error}") from None
    return value


def _window(value: str) -> str:
    return str(Window.parse(value))


def _timezone(value: str) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone such as 'UTC' or 'Europe/Berlin'") from None
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        raise ValueError("an address is written host:port, as in '127.0.0.1:9216'")
    return value


def bearable(value: timedelta) -> timedelta:
    """An interval at which a deployment may be asked.

    Raises:
        ValueError: It is none.
    """
    if not timedelta(seconds=0.5) <= value <= timedelta(minutes=1):
        raise ValueError("500ms to 1m: more often burdens the deployment, less often shows what is over")
    return value


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]
Poll = Annotated[Duration, AfterValidator(bearable)]
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(format_size, return_type=str, when_used="json")]
Ratio = Annotated[
    float, BeforeValidator(_ratio), PlainSerializer(format_ratio, return_type=str, when_used="json")
]
Cron = Annotated[str, AfterValidator(_cron)]
Address = Annotated[str, AfterValidator(_address)]
Days = Annotated[int, Field(ge=1)]


def _told(default: Any, text: str) -> Any:
    """A key with its default and what docs/configuration.md says about it."""
    return Field(default=default, description=text)


def _wanted(text: str) -> Any:
    """A key without a default."""
    return Field(description=text)


def _placed(path: Path, info: ValidationInfo) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such home folder") from None
    folder: Path | None = (info.context or {}).get("folder")
    return folder / path if folder else path


ConfigPath = Annotated[Path, AfterValidator(_placed)]
"""A file or folder named in the config. A relative one lies beside the config file, so that it is the same
for a command, a job and the agent, wherever they were started."""


class _Section(BaseModel):
    # Built with the whole config, once, and not each on its own at the import.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class LocalStoreConfig(_Section):
    """A store in a local directory."""

    type: Literal["local"] = _wanted("A directory of this host, or one that is mounted.")
    path: ConfigPath = _wanted("The store's root.")
    retention_days: Days = _told(7, "How long snapshots and segments are kept.")


class S3StoreConfig(_Section):
    """A store in an S3 bucket."""

    type: Literal["s3"] = _wanted("A bucket of S3 or of what speaks its protocol.")
    bucket: str = _wanted("The bucket.")
    prefix: str = _told("", "What the store's names begin with in the bucket.")
    endpoint: str | None = _told(None, "URL of the service; left out for AWS.")
    region: str | None = _told(None, "Region of the bucket.")
    addressing: Literal["auto", "path", "virtual"] = _told(
        "auto", "The bucket in the path or in the host's name; `auto`: in the path with an `endpoint`."
    )
    aws_profile: str | None = _told(
        None, "Profile of `~/.aws` with the credentials; else the usual chain (environment, files, role)."
    )
    ca: ConfigPath | None = _told(None, "File with the certificates to trust, for an `https` endpoint.")
    sse: Literal["AES256", "aws:kms", "none"] = _told("AES256", "Encryption on the server.")
    kms_key: str | None = _told(None, 'The key, with `sse = "aws:kms"`.')
    retention_days: Days = _told(30, "How long snapshots and segments are kept.")

    @field_validator("endpoint")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        url = urlsplit(value or "http://h")
        if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
            raise ValueError("an endpoint is a URL without user and password, as in 'https://minio:9000'")
        return value

    @model_validator(mode="after")
    def _key_for_kms(self) -> S3StoreConfig:
        if self.kms_key is not None and self.sse != "aws:kms":
            raise ValueError('kms_key needs sse = "aws:kms"')
        return self


StoreConfig = Annotated[LocalStoreConfig | S3StoreConfig, Field(discriminator="type")]


class DurationThreshold(_Section):
    """One value is the critical level; ``warning`` defaults to none."""

    warning: Duration | None = _told(None, "Warning from here on.")
    critical: Duration = _wanted("Critical from here on.")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"critical": value}


class RatioThreshold(_Section):
    """One value is the critical level; ``warning`` defaults to none."""

    warning: Ratio | None = _told(None, "Warning from here on.")
    critical: Ratio = _wanted("Critical from here on.")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"critical": value}


def _over(text: str) -> DurationThreshold:
    return DurationThreshold(critical=parse_duration(text))


class Thresholds(_Section):
    """From when on a reading is a warning or critical. A plain value is the critical level; both are said as
    `{ warning = "…", critical = "…" }`."""

    backup_age: DurationThreshold = _told(_over("24h"), "Age of the newest snapshot.")
    size_delta: RatioThreshold = _told(
        RatioThreshold(critical=0.5), "Change of a snapshot's size against the one before."
    )
    restore_test_age: DurationThreshold = _told(_over("30d"), "Time since a restore was last rehearsed.")
    oplog_lag: DurationThreshold = _told(_over("60s"), "How far a member may be behind.")
    margin: DurationThreshold = _told(
        _over("12h"), "Time until point-in-time recovery would break; less is worse."
    )
    canary: DurationThreshold = _told(
        _over("60s"), "Until 99 of 100 heartbeats are safe in a sink of the stream."
    )
    oplog_window: RatioThreshold = _told(
        RatioThreshold(warning=2.0, critical=1.0),
        "How far the oplog reaches back, against what a backup takes; less is worse.",
    )


class Targets(_Section):
    """What is promised: the two numbers on the second line are held against these."""

    rpo: Duration = _told(timedelta(seconds=60), "What may be lost.")
    rto: Duration = _told(timedelta(hours=1), "How long a restore may take.")


class KafkaSecurity(_Section):
    """How the brokers are reached."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _told("PLAINTEXT", "The protocol.")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = _told(
        None, "How SASL proves the user."
    )
    username: str | None = _told(None, "The user, with SASL.")
    password_file: ConfigPath | None = _told(None, "File with the password, mode 0600.")
    ca: ConfigPath | None = _told(None, "File with the certificates to trust, with SSL.")


class KafkaConfig(_Section):
    """The topic to which the oplog is streamed."""

    bootstrap: Annotated[tuple[Address, ...], Field(min_length=1)] = _wanted("Brokers to begin with.")
    topic: str = _told("oplog-backup", "The topic; it has one partition.")
    codec: Literal["bson", "json"] = _told("bson", "Entries unchanged, or canonical Extended JSON.")
    security: KafkaSecurity = _told(KafkaSecurity(), "How the brokers are reached.")


class SegmentsConfig(_Section):
    """Segments of the oplog in stores."""

    stores: Annotated[tuple[str, ...], Field(min_length=1)] = _wanted("Names of stores of this profile.")
    seconds: Annotated[int, Field(ge=1)] = _told(30, "A segment is closed after so long.")
    bytes: Size = _told(parse_size("16 MiB"), "A segment is closed at this size, uncompressed.")


class OplogConfig(_Section):
    """Where the oplog is streamed to."""

    kafka: KafkaConfig | None = _told(None, "A Kafka topic.")
    segments: SegmentsConfig | None = _told(None, "Segments in stores.")


class Schedule(_Section):
    """When the agent does what: cron expressions, such as `0 2 * * *`."""

    backup: Cron | None = _told(None, "Takes a snapshot.")
    verify: Cron | None = _told(None, "Verifies the snapshot most in need, at a low rate.")
    prune: Cron | None = _told(None, "Removes what the retention lets go.")
    drill: Cron | None = _told(None, "Rehearses a recovery.")
    timezone: Annotated[str, AfterValidator(_timezone)] = _told(
        "UTC", "Zone of the expressions and the window."
    )
    jitter: Duration = _told(timedelta(), "A run begins up to so long after its time.")
    window: Annotated[str, AfterValidator(_window)] | None = _told(
        None, "Runs begin within these hours only, as in `22:00-06:00`."
    )


class KindAlerts(_Section):
    """Other times for one kind of alert; its name is one of those in docs/alerts.md."""

    on: bool = _told(True, "Whether it is watched.")
    start_after: Duration | None = _told(None, "How long it must be so before it is told.")
    end_after: Duration | None = _told(None, "How long it must be over before that is told.")
    repeat: Duration | None = _told(None, "From one message to the next while it lasts; `0s`: none.")


class Alerts(_Section):
    """Who is told of what, and when."""

    urls_file: ConfigPath | None = _told(None, "File with Apprise URLs, one a line, mode 0600.")
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = _told(
        None, "Program and arguments, no shell; the message comes on its standard input, as JSON."
    )
    log: bool = _told(True, "Messages also go to what the agent prints.")
    timeout: Duration = _told(timedelta(seconds=20), "A way that takes longer is given up, and tried again.")
    start_after: Duration = _told(timedelta(seconds=30), "How long something must be so before it is told.")
    end_after: Duration = _told(timedelta(seconds=60), "How long it must be over before that is told.")
    repeat: Duration = _told(timedelta(hours=4), "From one message to the next while it lasts; `0s`: none.")
    clear_at: Ratio = _told(
        0.9, "What a value must come back to, of its limit, to be over: no message for every small move."
    )
    silence: Duration = _told(timedelta(hours=2), "How long a silence lasts where nothing is said.")
    kinds: dict[str, KindAlerts] = Field(default_factory=dict, description="Other times for single kinds.")

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, value: dict[str, KindAlerts]) -> dict[str, KindAlerts]:
        if any(name not in set(Kind) for name in value):
            raise ValueError(f"there is no such kind of alert; known: {', '.join(Kind)}")
        return value

    @field_validator("clear_at")
    @classmethod
    def _a_share(cls, value: float) -> float:
        if not 0 < value <= 1:
            raise ValueError("a share of the limit, from 1% to 100%")
        return value

    @field_validator("timeout")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("longer than 0s")
        return value


_TRIES = "How often it is tried before a person is told; after that it goes on more slowly."
_LASTS = "How long one try may take."
_ONCE = "How often it is tried before a person is told."
Tries = Annotated[int, Field(ge=1, le=20)]


class FileEndpoint(_Section):
    """A file that applications read where to connect."""

    type: Literal["file"] = _wanted("A file is written, whole or not at all.")
    path: ConfigPath = _wanted("The file; its folder must let a file be made in it.")
    format: Literal["auto", "json", "env"] = _told(
        "auto", "JSON, or lines `NAME=value`; `auto`: lines where the file's name ends in `.env`."
    )
    tries: Tries = _told(4, _TRIES)


class ExecEndpoint(_Section):
    """A program that switches applications over."""

    type: Literal["exec"] = _wanted("A program is started; the endpoint comes on its standard input.")
    command: Annotated[tuple[str, ...], Field(min_length=1)] = _wanted("Program and arguments, no shell.")
    timeout: Duration = _told(timedelta(seconds=30), f"{_LASTS} Then it is ended with all that it started.")
    tries: Tries = _told(3, _TRIES)


class Route53Endpoint(_Section):
    """A DNS record in Route 53."""

    type: Literal["route53"] = _wanted("A DNS record is changed.")
    zone_id: str = _wanted("The hosted zone.")
    record: str = _wanted("The record's name. Beside it lies a TXT record, `_mdr.` and this name.")
    record_type: Literal["auto", "A", "AAAA", "CNAME"] = _told(
        "auto", "Kind of the record; `auto`: by whether the member's host is an address or a name."
    )
    ttl: Annotated[int, Field(ge=1)] = _told(30, "Time to live in seconds.")
    aws_profile: str | None = _told(
        None, "Profile of `~/.aws` with the credentials; else the usual chain (environment, files, role)."
    )
    endpoint: str | None = _told(None, "URL of the service; left out for AWS.")
    timeout: Duration = _told(timedelta(minutes=3), "How long it may take until all name servers have it.")
    tries: Tries = _told(4, _TRIES)


Endpoint = Annotated[FileEndpoint | ExecEndpoint | Route53Endpoint, Field(discriminator="type")]


class KafkaBroadcast(_Section):
    """A message to a topic."""

    type: Literal["kafka"] = _wanted("A message is sent to a topic.")
    topic: str = _wanted("The topic; it is made by whoever reads it.")
    bootstrap: tuple[Address, ...] = _told((), "Brokers to begin with; none: those of `oplog.kafka`.")
    security: KafkaSecurity | None = _told(
        None, "How the brokers are reached; left out: as those of `oplog.kafka`, where they are meant."
    )
    timeout: Duration = _told(timedelta(seconds=10), _LASTS)
    tries: Tries = _told(3, _ONCE)


class WebhookBroadcast(_Section):
    """A request to a URL."""

    type: Literal["webhook"] = _wanted("A URL is posted to.")
    url_file: ConfigPath = _wanted("File with the URL, which may hold a token, mode 0600.")
    timeout: Duration = _told(timedelta(seconds=10), _LASTS)
    tries: Tries = _told(3, _ONCE)


class ExecBroadcast(_Section):
    """A program that is started."""

    type: Literal["exec"] = _wanted("A program is started; the message comes on its standard input.")
    command: Annotated[tuple[str, ...], Field(min_length=1)] = _wanted("Program and arguments, no shell.")
    timeout: Duration = _told(timedelta(seconds=30), f"{_LASTS} Then it is ended with all that it started.")
    tries: Tries = _told(3, _ONCE)


class FileBroadcast(_Section):
    """A file that is appended to."""

    type: Literal["file"] = _wanted("A line is appended to a file.")
    path: ConfigPath = _wanted("The file.")
    tries: Tries = _told(3, _ONCE)


Broadcast = Annotated[
    KafkaBroadcast | WebhookBroadcast | ExecBroadcast | FileBroadcast, Field(discriminator="type")
]


class MongoToolsConfig(_Section):
    """The installed MongoDB Database Tools, for the engine `mongo_tools`."""

    path: ConfigPath | None = _told(
        None, "Folder of mongodump and mongorestore; else that of MDR_MONGO_TOOLS, else PATH."
    )


class AgentConfig(_Section):
    """The daemon."""

    metrics: Address | None = _told(None, "Where `/metrics` is served, as in `127.0.0.1:9216`.")


class Profile(_Section):
    """How to reach one deployment, and what is promised about it."""

    uri: SecretStr | None = _told(None, "The connection URI. Better in a file of its own: `uri_file`.")
    uri_file: ConfigPath | None = _told(None, "File with the connection URI, mode 0600.")
    uri_env: str | None = _told(None, "Environment variable with the connection URI.")
    environment: str = _told("development", "Paints the banner; part of the identity and of confirmations.")
    engine: Literal["builtin", "mongo_tools", "pbm"] = _told("builtin", "What dumps and restores.")
    access: Access = _told(
        "watch",
        "What may be done, also by the agent: look; back up, verify, stream; also restore and prune.",
    )
    ignore_events: tuple[str, ...] = _told((), "Drops that are nobody's mistake: `db.coll` with `*`.")
    redact: bool = _told(
        False, "Values of documents are never shown; names of fields are. As `--redact`, for good."
    )
    stores: dict[str, StoreConfig] = Field(
        default_factory=dict, description="Where snapshots and segments lie, by name."
    )
    oplog: OplogConfig = _told(OplogConfig(), "Where the oplog is streamed to.")
    targets: Targets = _told(Targets(), "What is promised.")
    thresholds: Thresholds = _told(Thresholds(), "From when on a reading is critical.")
    schedule: Schedule = _told(Schedule(), "When the agent does what.")
    alerts: Alerts = _told(Alerts(), "Who is told.")
    mongo_tools: MongoToolsConfig = _told(MongoToolsConfig(), "Where mongodump and mongorestore are.")
    endpoint: Endpoint | None = _told(None, "How applications are led to another deployment.")
    broadcast: Broadcast | None = _told(None, "How applications are told to connect anew.")
    state_dir: ConfigPath | None = _told(
        None, "Folder for jobs and caches; else the platform's, or MDR_STATE_DIR."
    )
    poll: Poll = _told(
        USUAL_POLL,
        "How often a console asks the members, `500ms` to `1m`; whatever else it asks in proportion.",
    )

    @field_validator("environment")
    @classmethod
    def _typable(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
            raise ValueError("letters, digits, '.', '_' and '-' only: it is typed to confirm a restore")
        return value

    @field_validator("uri")
    @classmethod
    def _scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("a URI begins with mongodb:// or mongodb+srv://")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Profile:
        ways = [w for w in (self.uri, self.uri_file, self.uri_env) if w is not None]
        if len(ways) != 1:
            raise ValueError("exactly one of uri, uri_file and uri_env says how to reach the deployment")
        return self

    @field_validator("oplog")
    @classmethod
    def _known_stores(cls, value: OplogConfig, info: ValidationInfo) -> OplogConfig:
        wanted = value.segments.stores if value.segments else ()
        stores = info.data.get("stores")
        if stores is not None and any(name not in stores for name in wanted):
            known = ", ".join(sorted(stores)) or "none"
            raise ValueError(f"segments.stores names a store that is not there; known: {known}")
        return value

    @model_validator(mode="after")
    def _brokers_for_broadcast(self) -> Profile:
        told = self.broadcast
        if isinstance(told, KafkaBroadcast) and not told.bootstrap and self.oplog.kafka is None:
            raise ValueError("broadcast of type kafka needs bootstrap, since there is no oplog.kafka")
        return self

    @property
    def ignored(self) -> tuple[str, ...]:
        """Drops that are nobody's mistake, as patterns: those of the config, and a drill's own."""
        return (*self.ignore_events, f"{DRILL_DATABASE}.*")

    @property
    def redacts(self) -> bool:
        """Whether values of documents are never shown: by the config, or by ``--redact``."""
        return self.redact or all_redacted()

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
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise WrongUse(
                "uri-missing",
                f"The file with the URI cannot be read: {path}: {why}.",
                "Correct uri_file in the profile.",
            ) from None
        if not value:
            raise WrongUse("uri-missing", f"The file with the URI is empty: {path}.")
        return value

    def secret_files(self) -> list[Path]:
        """Files that hold secrets, and so should be readable by their owner alone."""
        password = self.oplog.kafka.security.password_file if self.oplog.kafka else None
        told = self.broadcast
        webhook = told.url_file if isinstance(told, WebhookBroadcast) else None
        own = told.security if isinstance(told, KafkaBroadcast) else None
        sent = None if own is None else own.password_file
        files = (self.uri_file, password, self.alerts.urls_file, webhook, sent)
        return [file.expanduser() for file in files if file is not None]


class Config(_Section):
    """The whole file."""

    profiles: dict[str, Profile] = Field(default_factory=dict, description="Deployments, by name.")
    default_profile: str | None = _told(None, "The profile that is meant where none is said.")
    theme: str = _told("dark", "The console's colours.")
    keys: dict[str, str] = Field(default_factory=dict, description="The console's keys: binding = keys.")
    agent: AgentConfig = _told(AgentConfig(), "The daemon.")

    @field_validator("default_profile")
    @classmethod
    def _known_default(cls, value: str | None, info: ValidationInfo) -> str | None:
        profiles = info.data.get("profiles")
        if value is not None and profiles is not None and value not in profiles:
            raise ValueError(f"there is no such profile; known: {', '.join(sorted(profiles)) or 'none'}")
        return value


def config_path() -> Path:
    """``MDR_CONFIG``, else ``config.toml`` in the platform's config folder."""
    named = os.environ.get("MDR_CONFIG")
    return Path(named).expanduser() if named else platformdirs.user_config_path(APP) / "config.toml"


def state_path() -> Path:
    """``MDR_STATE_DIR``, else the platform's state folder: jobs, the practice deployment, caches."""
    named = os.environ.get("MDR_STATE_DIR")
    return Path(named).expanduser() if named else platformdirs.user_state_path(APP)


def cache_folder(profile: Profile) -> Path:
    """What may be removed at any time: what was read of stores, for the next look."""
    return (profile.state_dir.expanduser() if profile.state_dir else state_path()) / "cache"


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
    except UnicodeDecodeError:
        raise WrongUse(
            "config-not-toml", f"{path} is not TOML: it is not UTF-8 text.", "Save it as UTF-8."
        ) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUse(
            "config-not-toml", f"{path} is not TOML: {error}.", "Correct that line; strings need quotes."
        ) from None
    try:
        return Config.model_validate(data, context={"folder": path.expanduser().absolute().parent})
    except ValidationError as error:
        problems = [
            Problem(tuple(e["loc"]), e["type"], e["msg"], e.get("ctx", {}))
            for e in error.errors(include_url=False, include_input=False)
        ]
        lines = explain(problems, data, text, Config)
        raise WrongUse(
            "config-wrong",
            f"{path} is wrong:\n" + "\n".join(f"  {line}" for line in lines),
            "All keys: docs/configuration.md",
        ) from None
