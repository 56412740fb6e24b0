"""The config file: what is accepted, and errors that say where, what and what instead."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.cli.main import run
from mongo_dr_console.config import Config, load_config
from mongo_dr_console.model.configerrors import lines_of
from mongo_dr_console.model.maskeduri import mask_uri
from mongo_dr_console.model.tomltext import to_toml
from mongo_dr_console.model.trouble import WrongUse

ROOT = Path(__file__).parents[2]

FULL = """\
default_profile = "prod"
theme = "dark"

[keys]
quit = "ctrl+q"

[profiles.prod]
uri_file = "~/.secrets/prod.uri"
environment = "production"
engine = "builtin"
access = "restore"
ignore_events = ["tmp_*.*"]

[profiles.prod.stores.local]
type = "local"
path = "/backups/mongodb"
retention_days = 7

[profiles.prod.stores.s3]
type = "s3"
bucket = "caas-backups"
prefix = "mongodb"
endpoint = "https://minio.internal:9000"
region = "eu-central-1"
sse = "AES256"
retention_days = 30

[profiles.prod.oplog.kafka]
bootstrap = ["kafka-1:9092"]
topic = "oplog-backup"
codec = "bson"
security = { protocol = "SASL_SSL", mechanism = "SCRAM-SHA-512", username = "dr", password_file = "~/kafka" }

[profiles.prod.oplog.segments]
stores = ["s3"]
seconds = 30
bytes = "16 MiB"

[profiles.prod.targets]
rpo = "60s"
rto = "1h"

[profiles.prod.thresholds]
backup_age = "24h"
size_delta = "50%"
restore_test_age = "30d"
oplog_lag = { warning = "10s", critical = "60s" }
margin = "12h"

[profiles.prod.schedule]
backup = "0 2 * * *"
drill = "0 4 1 * *"

[profiles.prod.alerts]
urls_file = "~/.secrets/apprise"

[profiles.prod.endpoint]
type = "file"
path = "/etc/app/mongo-endpoint.json"

[profiles.prod.broadcast]
type = "kafka"
topic = "mongo-reconnect"

[agent]
metrics = "127.0.0.1:9216"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MDR_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("MDR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("MDR_PROFILE", raising=False)
    return tmp_path / "config.toml"


def wrong(path: Path, text: str) -> WrongUse:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongUse) as caught:
        load_config(path)
    return caught.value


def test_everything_of_the_design_is_accepted(path: Path) -> None:
    path.write_text(FULL, encoding="utf-8")
    profile = load_config(path).profiles["prod"]
    assert profile.oplog.segments is not None
    assert profile.oplog.segments.bytes == 16 * 2**20
    assert profile.thresholds.oplog_lag.warning is not None
    assert [f.name for f in profile.secret_files()] == ["prod.uri", "kafka", "apprise"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'theme = "dark"',
            'them = "dark"',
            ("them", "unknown key", "did you mean 'theme'", "default_profile"),
        ),
        ('engine = "builtin"', 'engin = "builtin"', ("profiles.prod.engin", "did you mean 'engine'")),
        (
            "retention_days = 7",
            "retention = 7",
            ("profiles.prod.stores.local.retention", "did you mean 'retention_days'", "path"),
        ),
        ("bucket =", "bukket =", ("bukket", "'bucket'")),
        ('engine = "builtin"', 'engine = "pg"', ("profiles.prod.engine", "'builtin'", "'mongo_tools'")),
        ('access = "restore"', "access = 3", ("profiles.prod.access", "'watch'")),
        ('type = "s3"', 'type = "gcs"', ("profiles.prod.stores.s3.type", "'local'", "'s3'")),
        ('endpoint = "https://minio', 'endpoint = "minio', ("stores.s3.endpoint", "https://minio:9000")),
        ('sse = "AES256"', 'addressing = "dns"', ("stores.s3.addressing", "'virtual'")),
        ('rpo = "60s"', 'rpo = "60"', ("profiles.prod.targets.rpo", "'60s'")),
        ('rpo = "60s"', "rpo = 60", ("profiles.prod.targets.rpo", "'60s'")),
        ('warning = "10s"', 'warnin = "10s"', ("oplog_lag.warnin", "did you mean 'warning'")),
        ('size_delta = "50%"', "size_delta = 50", ("thresholds.size_delta:", "'50%'")),
        ('backup = "0 2 * * *"', 'backup = "daily"', ("schedule.backup", "cron")),
        ('metrics = "127.0.0.1:9216"', 'metrics = "9216"', ("agent.metrics", "host:port")),
        ('stores = ["s3"]', 'stores = ["gone"]', ("profiles.prod.oplog: segments.stores", "local, s3")),
        ('default_profile = "prod"', 'default_profile = "x"', ("default_profile", "known: prod")),
        ('protocol = "SASL_SSL"', 'protocol = "TLS"', ("security.protocol", "'SASL_SSL'")),
        ('bytes = "16 MiB"', 'bytes = "16 megs"', ("segments.bytes", "'16 MiB'")),
        ('environment = "production"', 'environment = "pro duction"', ("environment", "typed")),
        ("retention_days = 7", "retention_days = 0", ("retention_days", "greater")),
    ],
)
def test_an_error_names_line_key_and_what_is_allowed(
    path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    assert FULL.count(old) == 1
    text = FULL.replace(old, new)
    error = wrong(path, text)
    assert error.code == "config-wrong"
    line = next(n for n, line in enumerate(text.splitlines(), 1) if new in line)
    assert f"line {line}: " in error.message or new == 'stores = ["gone"]'
    for word in words:
        assert word in error.message


def test_all_errors_are_told_in_the_order_of_the_file(path: Path) -> None:
    text = FULL.replace('rpo = "60s"', 'rpo = "x"').replace('theme = "dark"', 'them = "dark"')
    message = wrong(path, text).message
    assert message.index("line 2:") < message.index("line 40:")


@pytest.mark.parametrize(
    "body",
    [
        "",
        'uri = "mongodb://a"\nuri_env = "X"',
    ],
)
def test_exactly_one_way_leads_to_the_deployment(path: Path, body: str) -> None:
    message = wrong(path, f"[profiles.p]\n{body}\n").message
    assert "line 1: profiles.p: exactly one of uri" in message


@pytest.mark.parametrize(
    "text",
    [
        '[profiles.p]\nuri = "mongodb//root:hunter2@db1"',
        '[profiles.p]\nuri = ["mongodb://root:hunter2@db1"]',
        '[profiles.p]\nuri_env = "X"\nengine = "mongodb://root:hunter2@db1"',
        '[profiles.p]\nuri = "mongodb://root:hunter2@db1"\nuri_env = "X"',
        '[profiles.p]\nuri = "mongodb://root:hunter2@db1"\nretention = 1',
        '[profiles.p]\nuri = "mongodb://root:hunter2@db1',
        '[profiles.p]\nuri_env = "X"\nstores = "mongodb://root:hunter2@db1"',
        'profiles = "mongodb://root:hunter2@db1"',
        '[profiles.p.stores.s]\ntype = "s3"\nbucket = "b"\nendpoint = "https://root:hunter2@minio:9000"',
    ],
)
def test_no_error_shows_a_secret(path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        run(["config", "check", "--json"])
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert "hunter2" not in told.out + told.err
    assert json.loads(told.out)["error"]["code"]
    assert "Traceback" not in told.err


def test_what_is_not_toml_or_not_there_is_told(path: Path) -> None:
    assert wrong(path, "a = = 1").code == "config-not-toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUse, match="UTF-8"):
        load_config(path)
    path.unlink()
    with pytest.raises(WrongUse) as caught:
        load_config(path)
    assert "mdr config init" in caught.value.hint


def test_lines_are_counted_past_strings_and_arrays_over_several_lines() -> None:
    text = 'a = """\n[not.a.table]\nb = 1\n"""\nc = [\n  "]", # [\n  2,\n]\n'
    text += '[ x . "y.z" ]\n"d e" = 1\nf.g = { h = 1 }\n'
    assert dict(lines_of(text)) == {
        ("a",): 1,
        ("c",): 5,
        ("x", "y.z"): 9,
        ("x", "y.z", "d e"): 10,
        ("x", "y.z", "f", "g"): 11,
    }
    assert tomllib.loads(text)["x"]["y.z"]["d e"] == 1


# mdr config


def test_init_writes_a_file_for_its_owner_alone_that_passes(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "uri"
    for words in (["config", "init", "--name", "prod", "--uri-file", str(secret)], ["config", "path"]):
        with pytest.raises(SystemExit) as ended:
            run(words)
        assert ended.value.code == 0
        assert str(path) in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    secret.write_text("mongodb://root:hunter2@db1/")
    secret.chmod(0o644)
    with pytest.raises(SystemExit) as ended:
        run(["config", "check"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"chmod 600 {secret}" in told
    assert "1 profile, nothing wrong" in told


def test_init_refuses_to_overwrite(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("theme = 'mine'")
    with pytest.raises(SystemExit) as ended:
        run(["config", "init"])
    assert ended.value.code == 4
    assert path.read_text() == "theme = 'mine'"
    assert "left as it is" in capsys.readouterr().err


def test_the_starters_comments_are_all_valid_keys(path: Path) -> None:
    from mongo_dr_console.cli.config import write_starter

    write_starter(path, "main", "~/uri")
    text = path.read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") if line.startswith("# ") else line for line in text.splitlines()[3:]]
    kept = [line for line in lines if "=" in line or line.startswith("[")]
    path.write_text("\n".join(kept), encoding="utf-8")
    assert (
        load_config(path).profiles["main"].thresholds
        == Config().model_validate({"profiles": {"p": {"uri_env": "X"}}}).profiles["p"].thresholds
    )


def test_show_masks_secrets_and_reads_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FULL.replace(
        'uri_file = "~/.secrets/prod.uri"', 'uri = "mongodb://root:hunter2@db1,db2/?tls=true"'
    )
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit):
        run(["config", "show"])
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert "mongodb://root:***@db1,db2/?tls=true" in shown
    again = tomllib.loads(shown)
    assert Config.model_validate(again).profiles["prod"].targets == load_config(path).profiles["prod"].targets
    with pytest.raises(SystemExit):
        run(["--profile", "prod", "config", "show", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "mdr.config"
    assert document["config"]["profiles"]["prod"]["targets"] == {"rpo": "1m", "rto": "1h"}
    assert "hunter2" not in json.dumps(document)


_plain = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=("Cs",)))
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
_tables = st.recursive(
    st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), _plain, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b.c", "d"]), inner | _plain, min_size=1, max_size=3),
    max_leaves=5,
)


def _without_empty_tables(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {k: _without_empty_tables(v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if v != {}}


@given(_tables)
def test_toml_reads_back(data: dict[str, Any]) -> None:
    assert _without_empty_tables(tomllib.loads(to_toml(data))) == _without_empty_tables(data)


@pytest.mark.parametrize(
    ("uri", "masked"),
    [
        ("mongodb://db1,db2/?tls=true", "mongodb://db1,db2/?tls=true"),
        ("mongodb://root@db1/", "mongodb://root@db1/"),
        ("mongodb+srv://root:hun@ter2@db1/", "mongodb+srv://root:***@db1/"),
        ("mongodb://root:hun/te?r2@db1/a", "mongodb://root:***@db1/a"),
        ("mongodb://db1/?tlsCertificateKeyFilePassword=hunter2&w=1", None),
        ("mongodb://db1/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2", None),
        ("hunter2", "***"),
    ],
)
def test_no_password_survives_masking(uri: str, masked: str | None) -> None:
    assert "hunter2" not in mask_uri(uri)
    assert masked is None or mask_uri(uri) == masked


_password = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=3).map(lambda p: f"<<{p}>>")


@given(_password, st.sampled_from(["mongodb://root:{}@db1/", "mongodb+srv://r:{}@db1,db2/a?b=c"]))
def test_whatever_is_in_a_password_it_is_masked(password: str, uri: str) -> None:
    shown = mask_uri(uri.replace("{}", password))
    assert "<<" not in shown
    assert ">>" not in shown


def test_the_reference_is_current() -> None:
    script = ROOT / "scripts" / "make_config_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_home_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.one]\nuri_file = "~nobody-by-this-name/uri"\n')
    with pytest.raises(WrongUse, match="no such home folder"):
        load_config(path)
