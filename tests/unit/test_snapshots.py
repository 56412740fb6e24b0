"""The catalogue, reading and verifying, without a server: our own snapshots and the real tool's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bson
import pytest
from bson import Timestamp

from mongo_dr_console.model import catalogue as facts
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import CollectionEntry, Compression, Manifest, Window
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.model.trouble import Failed, Trouble, WrongUse
from mongo_dr_console.stores.catalogue import list_snapshots, read_manifest, window_of
from mongo_dr_console.stores.compression import SUFFIXES, compressor, decompress
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.verification import verify

RECORDED = Path(__file__).parents[1] / "data" / "dump"
ROWS = [bson.encode({"_id": i, "x": "y" * i}) for i in range(50)]
ENTRIES = [
    bson.encode({"op": "n", "ns": "", "o": {}, "ts": Timestamp(1700000000 + i, 1), "t": 3}) for i in range(4)
]
IDENTITY = Identity(environment="test", set_name="rs", replica_set_id="0" * 24)


class Free:
    def check(self) -> None:
        return


def quiet(_: Progress) -> None:
    return


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "store")


def write(store: LocalStore, name: str = "20231114_221320", compression: Compression = "gzip") -> Manifest:
    suffix = SUFFIXES[compression]
    window = window_of([b"".join(ENTRIES)])
    assert window is not None
    oplog = "oplog.bson.zst" if compression == "zstd" else "oplog.bson"
    with SnapshotWriter(store, name) as writer:
        data = writer.open(f"shop/c.bson{suffix}", compression)
        for row in ROWS:
            data.write(row)
        files = [
            data.finish(),
            writer.put(
                f"shop/c.metadata.json{suffix}",
                b'{"indexes":[{"v":{"$numberInt":"2"}}],"collectionName":"c","type":"collection"}',
                compression,
            ),
            writer.put(oplog, b"".join(ENTRIES), compression),
            writer.put(f"prelude.json{suffix}", b'{"ToolVersion":"mongo-dr-console 1"}', compression),
        ]
        manifest = Manifest(
            name=name,
            identity=IDENTITY,
            engine="builtin",
            server_version="6.0.5",
            tool_version="1",
            compression=compression,
            window=window,
            started_at=datetime.now(UTC),
            finished_at=datetime.now(UTC),
            documents=len(ROWS),
            bytes=len(b"".join(ROWS)),
            stored_bytes=sum(f.size for f in files),
            files=files,
            collections=[
                CollectionEntry(
                    database="shop",
                    name="c",
                    kind="collection",
                    uuid=None,
                    documents=len(ROWS),
                    bytes=len(b"".join(ROWS)),
                    options={},
                    indexes=[],
                    data_path=f"shop/c.bson{suffix}",
                    metadata_path=f"shop/c.metadata.json{suffix}",
                )
            ],
        ).sealed()
        writer.finish(manifest)
    return manifest


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_was_written_is_read(store: LocalStore, compression: Compression) -> None:
    manifest = write(store, compression=compression)
    reader = open_snapshot(store, manifest.name)
    (collection,) = reader.collections
    assert b"".join(reader.documents(collection)) == b"".join(ROWS)
    assert b"".join(reader.oplog()) == b"".join(ENTRIES)
    assert [bson.decode(i) for i in collection.indexes] == [{"v": 2}]
    assert reader.window == manifest.window
    assert verify(store, manifest.name, 3, quiet, Free()).problems == ()
    (entry,) = list_snapshots(store)
    assert (entry.documents, entry.verified, entry.problem) == (50, True, None)


@pytest.mark.parametrize("level", [2, 3])
@pytest.mark.parametrize(
    "path", ["shop/c.bson.gz", "shop/c.metadata.json.gz", "oplog.bson", "prelude.json.gz"]
)
def test_one_changed_byte_is_found(store: LocalStore, path: str, level: int) -> None:
    manifest = write(store)
    file = store.root / manifest.name / path
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = verify(store, manifest.name, level, quiet, Free())
    assert not result.good
    assert path in result.problems[0]
    assert not list_snapshots(store)[0].verified


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_truncated_or_missing_file_is_found(
    store: LocalStore, compression: Compression, level: int
) -> None:
    manifest = write(store, compression=compression)
    file = store.root / manifest.name / f"shop/c.bson{SUFFIXES[compression]}"
    file.write_bytes(file.read_bytes()[:-3])
    assert not verify(store, manifest.name, level, quiet, Free()).good
    reader = open_snapshot(store, manifest.name)
    with pytest.raises(Failed) as caught:
        list(reader.documents(reader.collections[0]))
    assert caught.value.code == "snapshot-corrupt"
    assert "shop/c.bson" in caught.value.message
    file.unlink()
    assert not verify(store, manifest.name, level, quiet, Free()).good
    with pytest.raises(Failed, match="missing"):
        list(reader.documents(reader.collections[0]))


def _edit(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def edit(text: bytes) -> bytes:
        data = json.loads(text)
        change(data)
        return json.dumps(data).encode()

    return edit


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (_edit(lambda d: d.update(documents=51)), "manifest-changed"),
        (_edit(lambda d: d.update(checksum="")), "manifest-changed"),
        (_edit(lambda d: d.pop("window")), "manifest-unreadable"),
        (_edit(lambda d: d.update(extra=1)), "manifest-unreadable"),
        (_edit(lambda d: d.update(format_version=99)), "manifest-newer"),
        (lambda text: text[:-20], "manifest-unreadable"),
        (lambda text: b"", "manifest-unreadable"),
        (lambda text: b"\xff" + text, "manifest-unreadable"),
    ],
)
def test_a_changed_manifest_is_told(store: LocalStore, edit: Callable[[bytes], bytes], code: str) -> None:
    name = write(store).name
    path = store.root / name / "manifest.json"
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(Failed) as caught:
        open_snapshot(store, name)
    assert caught.value.code == code
    (entry,) = list_snapshots(store)
    assert entry.problem is not None
    assert not entry.restorable
    with pytest.raises(Trouble):
        facts.choose([entry], name=name)


def test_without_its_manifest_ours_is_unfinished(store: LocalStore) -> None:
    name = write(store).name
    (store.root / name / "manifest.json").unlink()
    (entry,) = list_snapshots(store)
    assert entry.problem is not None
    assert entry.problem.code == "snapshot-unfinished"
    with pytest.raises(Failed):
        open_snapshot(store, name)


def test_the_checksum_follows_the_files(store: LocalStore) -> None:
    one = open_snapshot(store, write(store, "20231114_221320").name)
    same = open_snapshot(store, write(store, "20231114_221321").name)
    other = open_snapshot(store, write(store, "20231114_221322", "none").name)
    assert one.checksum == same.checksum != other.checksum


def test_a_copy_is_the_same_snapshot(store: LocalStore, tmp_path: Path) -> None:
    manifest = write(store)
    target = LocalStore("second", tmp_path / "second")
    copy_snapshot(store, manifest.name, target, quiet, Free())
    assert read_manifest(target, manifest.name) == manifest
    (row,) = facts.rows([*list_snapshots(store), *list_snapshots(target)])
    assert row.to_json(datetime.now(UTC))["stores"] == ["local", "second"]
    with pytest.raises(Failed) as caught:
        copy_snapshot(store, manifest.name, target, quiet, Free())
    assert caught.value.code == "snapshot-exists"
    damaged = store.root / manifest.name / "oplog.bson"
    damaged.write_bytes(damaged.read_bytes()[::-1])
    third = LocalStore("third", tmp_path / "third")
    with pytest.raises(Failed):
        copy_snapshot(store, manifest.name, third, quiet, Free())
    assert list_snapshots(third) == []


@pytest.mark.parametrize("form", ["plain", "gzip"])
def test_the_real_mongodumps_folder_is_a_snapshot(store: LocalStore, form: str) -> None:
    shutil.copytree(RECORDED / form, store.root / "20261122_164301")
    (entry,) = list_snapshots(store)
    assert (entry.origin, entry.problem, entry.verified) == ("mongodump", None, False)
    assert entry.restorable
    reader = open_snapshot(store, entry.name)
    expected = {
        "orders": 3000 if form == "plain" else 3002,
        "checked": 20,
        "clustered": 100,
        "empty": 0,
        "log": 500,
        "names": 5,
        "weather": 3,
    }
    for name, documents in expected.items():
        collection = reader.collection(Namespace("shop", name))
        assert collection is not None
        assert sum(map(rawbson.count, reader.documents(collection))) == documents
    weather = reader.collection(Namespace("shop", "weather"))
    assert weather is not None
    assert weather.kind == "timeseries"
    view = reader.collection(Namespace("shop", "v_paid"))
    assert view is not None
    assert (view.kind, list(reader.documents(view))) == ("view", [])
    pipeline = bson.decode(view.options)["pipeline"]
    assert pipeline[0]["$match"]["email"] == {"$regex": "^u1", "$options": "i"}
    assert reader.collection(Namespace("odd-db", 'we ird/na%me+*"qé')) is not None
    assert len(reader.collections) == 19
    assert reader.window == entry.window
    assert entry.window is not None
    assert sum(map(rawbson.count, reader.oplog())) == entry.window.operations
    assert verify(store, entry.name, 3, quiet, Free()).good


def test_a_mongodump_that_was_touched_has_another_checksum(store: LocalStore) -> None:
    shutil.copytree(RECORDED / "plain", store.root / "20261122_164301")
    before = open_snapshot(store, "20261122_164301").checksum
    with (store.root / "20261122_164301" / "shop" / "orders.bson").open("ab") as file:
        file.write(b"\0")
    assert open_snapshot(store, "20261122_164301").checksum != before


def test_a_mongodump_without_an_oplog_is_listed_and_not_restorable_to_a_point(store: LocalStore) -> None:
    shutil.copytree(RECORDED / "gzip", store.root / "20261122_164301")
    (store.root / "20261122_164301" / "oplog.bson").unlink()
    (entry,) = list_snapshots(store)
    assert (entry.window, entry.restorable, entry.problem) == (None, False, None)
    with pytest.raises(Failed) as caught:
        open_snapshot(store, entry.name).oplog()
    assert caught.value.code == "snapshot-without-oplog"


def test_other_folders_are_no_snapshots(store: LocalStore) -> None:
    for folder in ("oplog/rs/20261122", "20261122_990000/x", "20261122_164302", "notes"):
        (store.root / folder).mkdir(parents=True)
    (store.root / "notes" / "a.bson").write_bytes(b"")
    (store.root / "20261122_164302" / "note.txt").write_text("x")
    assert list_snapshots(store) == []


def entry(name: str, end: int, **more: object) -> facts.SnapshotEntry:
    window = Window(start=Position(end - 10, 1), end=Position(end, 1), end_term=1, end_hash="", operations=3)
    given = {"store": "local", "origin": "mongo-dr-console", "stored_bytes": 1, "checksum": name}
    return facts.SnapshotEntry(  # type: ignore[arg-type]
        name=name, modified_at=datetime.now(UTC), window=window, **{**given, **more}
    )


def test_the_newest_snapshot_before_a_position_is_chosen() -> None:
    known = [entry("a", 100), entry("b", 200), entry("c", 300), entry("d", 250, scope=("shop",))]
    assert facts.choose(known).name == "c"
    assert facts.choose(known, at=Position(299, 9)).name == "b"
    assert facts.choose(known, at=Position(200, 1)).name == "b"
    assert facts.choose(known, name="d").name == "d"
    with pytest.raises(WrongUse):
        facts.choose(known, at=Position(99, 1))
    with pytest.raises(WrongUse):
        facts.choose(known, name="e")


def test_a_damaged_snapshot_is_not_proposed() -> None:
    known = [entry("a", 100), entry("b", 200, problem=Failed("x", "damaged"))]
    assert facts.choose(known).name == "a"
    with pytest.raises(Failed):
        facts.choose(known, name="b")
    copies = [entry("b", 200, problem=Failed("x", "damaged")), entry("b", 200, store="second")]
    assert facts.choose(copies, name="b").store == "second"


def test_a_copy_that_was_found_bad_is_passed_over() -> None:
    bad = facts.Verification(2, datetime.now(UTC), good=False)
    known = [entry("b", 200, verification=bad), entry("b", 200, store="second"), entry("a", 100)]
    assert facts.choose(known).store == "second"
    assert facts.choose(known, name="b").store == "second"
    assert facts.rows(known)[0].to_json(datetime.now(UTC))["damaged_in"] == ["local"]
    with pytest.raises(Failed):
        facts.choose(known[:1], name="b")
    with pytest.raises(WrongUse):
        facts.choose(known[:1])


def test_a_bad_verification_counts_until_a_good_one_of_its_level() -> None:
    def record(minute: int, level: int, good: bool) -> dict[str, object]:
        at = datetime(2026, 11, 22, 2, minute, tzinfo=UTC)
        return {"snapshot": "a", "checksum": "", "level": level, "good": good, "at": facts.utc(at)}

    def newest(*records: dict[str, object]) -> facts.Verification:
        return facts.latest_verifications(records)["a", ""]

    assert newest(record(1, 3, True), record(2, 1, True)).level == 3
    assert not newest(record(1, 3, True), record(2, 1, False)).good
    assert not newest(record(1, 2, False), record(2, 1, True)).good
    assert newest(record(1, 2, False), record(2, 3, True)).good


def test_tests_by_restores_are_read_from_the_ledger() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    later = at + timedelta(hours=1)
    records = [
        {"snapshot": "a", "success": True, "finished_at": facts.utc(at)},
        {"snapshot": "a", "success": False, "finished_at": facts.utc(later)},
        {"snapshot": "b", "state": "done", "at": "nonsense"},
    ]
    assert facts.latest_tests(records) == {"a": at}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_stream_that_expands_far_is_given_in_pieces(compression: Compression) -> None:
    stream = compressor(compression)
    packed = b"".join(stream.compress(b"\0" * 1_000_000) for _ in range(64)) + stream.flush()
    assert len(packed) < 1_000_000
    sizes = [len(piece) for piece in decompress([packed], compression)]
    assert sum(sizes) == 64_000_000
    if compression == "gzip":
        assert max(sizes) <= 4 * 1024 * 1024
