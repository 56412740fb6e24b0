"""The incident bundle: no secret is in it, however it got into a journal or a reading, and what is gone is
named."""

from __future__ import annotations

import gzip
import json
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from support.readingkit import reading, set_status

from mongo_dr_console.cli.main import run
from mongo_dr_console.config import Profile
from mongo_dr_console.model.bundledoc import BundleDocument
from mongo_dr_console.model.bundletext import bundle_lines
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.recording import Recorded
from mongo_dr_console.model.scrubbing import Secrets, pieces_of
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.workers import bundle as bundling
from mongo_dr_console.workers.bundle import make_bundle
from mongo_dr_console.workers.jobs import create, jobs_folder
from mongo_dr_console.workers.recordings import read_recording, recordings_folder
from mongo_dr_console.workers.ring import Ring

PASSWORD = 'p"ä/s:w0rd-of-uri'
KAFKA = "kafka-s3cret-pass"
APPRISE_TOKEN = "xoxb-Token4Apprise"
APPRISE = f"slack://{APPRISE_TOKEN}/B1234567X/#dr"
WEBHOOK = "https://hooks.example.com/services/T0LD/Web4hookToken?key=Query0Secret"
ARGUMENT = "--token=Argument0Secret99"
AWS = "Aws/Secret+Access0Key"
RAW = (
    PASSWORD,
    quote(PASSWORD, safe=""),
    KAFKA,
    APPRISE_TOKEN,
    "Web4hookToken",
    "Query0Secret",
    ARGUMENT,
    AWS,
)


def spellings() -> set[bytes]:
    plain = {*RAW, *(json.dumps(s)[1:-1] for s in RAW)}
    return {s.encode() for s in plain}


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    uri = f"mongodb://root:{quote(PASSWORD, safe='')}@127.0.0.1:1/?replicaSet=rs0"
    for name, text in (("kafka", KAFKA), ("apprise", f"# who\n{APPRISE}\n"), ("webhook", WEBHOOK)):
        (secrets / name).write_text(text, encoding="utf-8")
    security = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": "dr"}
    return Profile.model_validate(
        {
            "uri": uri,
            "access": "restore",
            "environment": "production",
            "state_dir": str(tmp_path / "state"),
            "stores": {"gone": {"type": "local", "path": str(tmp_path / "nowhere")}},
            "oplog": {
                "kafka": {
                    "bootstrap": ["127.0.0.1:1"],
                    "security": security | {"password_file": str(secrets / "kafka")},
                }
            },
            "alerts": {"urls_file": str(secrets / "apprise"), "command": ["/bin/notify", ARGUMENT]},
            "broadcast": {"type": "webhook", "url_file": str(secrets / "webhook")},
        }
    )


def leaks(profile: Profile) -> str:
    """Everything that is secret, as an error text might have it."""
    return f"refused: {profile.connection_uri()} {' '.join(RAW)} {WEBHOOK} {APPRISE}"


def lay(profile: Profile) -> None:
    """A job, a recording and the agent's papers, all of which tell every secret."""
    words = leaks(profile)
    folder = create("prod", profile, Path("/etc/config.toml"), "restore", {"note": words})
    line = {"seq": 1, "at": "2026-11-22T02:11:31Z", "type": "note", "code": "a", "text": words, words: 1}
    (folder.path / "journal.jsonl").write_text(json.dumps(line) + "\n" + words + "\n", encoding="utf-8")
    (folder.path / "stderr.log").write_text(words, encoding="utf-8")
    (folder.path / "rejected.jsonl").write_text('{"of": "the applications"}\n')
    ring = Ring(recordings_folder(profile) / "prod")
    failed = reading("set", set_status(), error=SourceError("a", words, words))
    for seconds in (9000, 60, 0):
        ring.take(Recorded(datetime.now(UTC) - timedelta(seconds=seconds), "prod", "production", failed))
    ring.close()
    agent = jobs_folder(profile).parent / "agent"
    (agent / "failover" / "prod").mkdir(parents=True)
    for path in (agent / "prod.json", agent / "prod.alerts.json", agent / "failover" / "prod" / "last.json"):
        path.write_text(json.dumps({"text": words}), encoding="utf-8")


def opened(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = {m.name.partition("/")[2]: archive.extractfile(m) for m in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def made(profile: Profile, path: Path, **more: Any) -> tuple[BundleDocument, dict[str, bytes]]:
    document = make_bundle("prod", profile, path.parent / "config.toml", path, **more)
    return document, opened(path)


def test_no_secret_is_in_it_and_with_everything_down_the_rest_is(profile: Profile, tmp_path: Path) -> None:
    lay(profile)
    path = tmp_path / "b.tar.gz"
    document, files = made(profile, path)

    everything = gzip.decompress(path.read_bytes())
    assert [s for s in spellings() if s in everything] == []
    assert path.stat().st_mode & 0o777 == 0o600

    (job,) = {name.split("/")[1] for name in files if name.startswith("jobs/")}
    assert {f"jobs/{job}/{n}" for n in ("plan.json", "journal.jsonl", "stderr.log")} <= set(files)
    assert not any("rejected" in name for name in files)
    assert {"status.json", "events.txt", "config.json", "doctor.json", "MANIFEST.json"} <= set(files)
    assert {"agent/stream.json", "agent/alerts.json", "agent/failover/last.json"} <= set(files)
    for name, content in files.items():
        if name.endswith(".json"):
            json.loads(content)
    assert json.loads(files[f"jobs/{job}/journal.jsonl"].splitlines()[0])["code"] == "a"
    assert json.loads(files["status.json"])["verdict"]["level"] == "critical"
    config = json.loads(files["config.json"])
    assert config["environment"] == "production" and config["alerts"]["command"] == ["/bin/notify", "***"]

    manifest = json.loads(files["MANIFEST.json"])
    assert {f["name"] for f in manifest["files"]} == set(files) - {"MANIFEST.json"}
    assert all(len(files[f["name"]]) == f["bytes"] for f in manifest["files"])
    missing = " ".join(f"{m['what']}: {m['why']}" for m in manifest["missing"])
    assert "holds: Store gone" in missing and "schedule" in missing
    assert "alerts, as mdr alerts list --json: Store gone" in missing
    assert manifest["versions"]["mdr"] and manifest["since"].endswith("Z")
    assert len(document.missing) == len(manifest["missing"])
    assert any("Missing: holds: Store gone" in line for line in bundle_lines(document))

    # What a console saw plays, from the moment on that was asked for.
    (recording,) = [name for name in files if name.startswith("recordings/")]
    (tmp_path / "r.jsonl").write_bytes(files[recording])
    found = read_recording(tmp_path / "r.jsonl")
    assert [r.source for r in found.readings] == ["set"] * 3 and found.lost == 0

    with pytest.raises(Refused) as told:
        made(profile, path)
    assert told.value.code == "bundle-exists"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked."""
    monkeypatch.setattr(bundling, "asked_parts", lambda *_: [])
    monkeypatch.setattr(bundling, "gather_once", lambda *_: None)


@pytest.mark.usefixtures("quick")
def test_what_is_older_than_was_asked_for_is_left_out(profile: Profile, tmp_path: Path) -> None:
    lay(profile)
    _, files = made(profile, tmp_path / "a.tar.gz", since=timedelta(0))
    assert not any(name.startswith("recordings/") for name in files)
    ring = Ring(recordings_folder(profile) / "other")
    ring.take(Recorded(datetime.now(UTC), "other", "production", reading("lock", None)))
    ring.close()
    _, files = made(profile, tmp_path / "b.tar.gz", since=timedelta(hours=3))
    assert len([name for name in files if name.startswith("recordings/")]) == 1


@pytest.mark.usefixtures("quick")
def test_what_hangs_or_fails_is_named_and_holds_up_nothing(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from mongo_dr_console.workers.bundle_parts import Found, Part

    never = threading.Event()

    def hangs() -> list[Found]:
        never.wait(60)
        return []

    def fails() -> list[Found]:
        raise Failed("a", f"not with {PASSWORD}")

    parts = [Part("x", hangs), Part("y", fails), Part("z", lambda: [Found("z.txt", b"there\n")])]
    monkeypatch.setattr(bundling, "asked_parts", lambda *_: parts)
    document, files = made(profile, tmp_path / "b.tar.gz", seconds=0.3)
    never.set()
    gaps = {m.what: m.why for m in document.missing}
    assert gaps["x"] == "it did not answer in time"
    assert "not with ***" in gaps["y"]
    assert files["z.txt"] == b"there\n"


@pytest.mark.usefixtures("quick")
def test_a_file_from_which_a_secret_cannot_be_taken_is_left_out(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(profile)
    monkeypatch.setattr(Secrets, "clean", lambda _, content: content)
    document, files = made(profile, tmp_path / "b.tar.gz")
    assert not any(name.endswith("journal.jsonl") for name in files)
    assert any("journal.jsonl" in m.what and "secret" in m.why for m in document.missing)


@pytest.mark.usefixtures("quick")
def test_where_it_cannot_be_written_nothing_is_left(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(Failed) as told:
        made(profile, tmp_path / "no" / "b.tar.gz")
    assert told.value.code == "bundle-unwritten"
    assert not list(tmp_path.glob("*tar*"))


@pytest.mark.usefixtures("quick")
def test_no_value_of_a_document_is_in_it_where_the_profile_redacts(profile: Profile, tmp_path: Path) -> None:
    folder = create("prod", profile, Path("/etc/config.toml"), "restore", {"text": "insert a.b _id='jane'"})
    line = {"seq": 1, "type": "note", "text": 'a.b: dup key: { mail: "jane" }'}
    (folder.path / "journal.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (folder.path / "stderr.log").write_text('Failed: a.b _id="jane\n', encoding="utf-8")
    made(profile, tmp_path / "whole.tar.gz")
    _, files = made(profile.model_copy(update={"redact": True}), tmp_path / "b.tar.gz")
    assert b"jane" in gzip.decompress((tmp_path / "whole.tar.gz").read_bytes())
    assert b"jane" not in gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    assert json.loads(files[f"jobs/{folder.id}/journal.jsonl"])["text"] == "a.b: dup key: <value>"


@pytest.mark.usefixtures("quick")
def test_a_profile_whose_uri_is_gone_still_gives_what_there_is(profile: Profile, tmp_path: Path) -> None:
    lay(profile)
    lost = profile.model_copy(update={"uri": None, "uri_file": tmp_path / "none"})
    _, files = made(lost, tmp_path / "b.tar.gz")
    assert "config.json" in files and KAFKA.encode() not in files["agent/stream.json"]


@pytest.mark.usefixtures("quick")
def test_the_command_says_where_it_is_or_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.prod]\nuri = "mongodb://h/"\nstate_dir = "{tmp_path}"\n', encoding="utf-8")
    monkeypatch.setenv("MDR_CONFIG", str(config))
    monkeypatch.chdir(tmp_path)

    def mdr(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            run(["bundle", *words])
        assert isinstance(ended.value.code, int)
        told = capsys.readouterr()
        return ended.value.code, told.out or told.err

    code, told = mdr("--json", "--since", "30m")
    document = json.loads(told)
    assert code == 0 and document["schema"] == "mdr.bundle" and document["missing"] == []
    assert Path(document["path"]).name.startswith("mdr-bundle-prod-2")
    assert "config.json" in opened(tmp_path / document["path"])
    code, told = mdr("--output", "b.tar.gz")
    assert code == 0 and told.startswith("Written: b.tar.gz, ")
    assert mdr("--output", "b.tar.gz")[0] == 4
    code, told = mdr("--since", "yesterday")
    assert code == 2 and "a duration is a number" in told


# Taking secrets out


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": ["x hunter-22 y", {"hunter-22": 1}]}',
        b'{"seq": 1, "t": "hunter-22"}\n{"seq": 2}\nno json hunter-22\n',
        b"plain hunter-22",
        b'{"u": "mongodb://u:other@h/"}',
    ],
)
def test_it_is_taken_out_and_json_stays_json(content: bytes) -> None:
    cleaned = Secrets.of(["hunter-22"]).clean(content)
    assert b"hunter-22" not in cleaned and b"other" not in cleaned and b"***" in cleaned
    if content.startswith(b'{"a"') or content.startswith(b'{"u"'):
        json.loads(cleaned)
    elif content.startswith(b'{"seq"'):
        assert [json.loads(line)["seq"] for line in cleaned.splitlines()[:2]] == [1, 2]


@pytest.mark.parametrize("written", ["{}", '{{"text": "{}"}}', "a line with {}"])
def test_every_spelling_is_taken_out(written: str) -> None:
    secret = 'hü"nt er/22'
    for spelling in (
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        cleaned = Secrets.of([secret]).clean(written.format(spelling).encode()).decode()
        assert "22" not in cleaned and "***" in cleaned, spelling


def test_a_short_secret_does_not_break_the_documents() -> None:
    cleaned = Secrets.of(["seq", "a"]).clean(b'{"seq": 1, "text": "a seq"}')
    assert json.loads(cleaned) == {"seq": 1, "text": "a ***"}


def test_without_a_secret_nothing_is_touched() -> None:
    content = b'{ "odd":   "spaces" }'
    assert Secrets.of(["hunter-22"]).clean(content) == content


def test_words_of_a_url_are_no_secrets_and_tokens_are() -> None:
    found = pieces_of(WEBHOOK)
    assert {"Web4hookToken", "Query0Secret", WEBHOOK} <= found
    assert not found & {"services", "hooks.example.com", "T0LD"}
    assert APPRISE_TOKEN in pieces_of(APPRISE)
    assert {"pa%20ss", "pa ss"} <= pieces_of("mailto://jane:pa%20ss@example.com")
