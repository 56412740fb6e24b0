"""The client of a bucket: made once, and its shorter way through a page of a list."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest
from botocore.parsers import RestXMLParser

from mongo_dr_console.config import S3StoreConfig
from mongo_dr_console.stores import s3_client
from mongo_dr_console.stores.patience import QUICK
from mongo_dr_console.stores.s3_pages import PageParsers

CONFIG = S3StoreConfig(type="s3", bucket="b", endpoint="http://127.0.0.1:1", region="us-east-1")
THREADS = 6


def test_threads_that_need_the_client_at_once_make_one() -> None:
    s3_client._client.cache_clear()
    together = threading.Barrier(THREADS)

    def make(_: int) -> Any:
        together.wait(30)
        return s3_client._client_of(CONFIG, QUICK)

    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(make, range(THREADS)))
    assert len({id(client) for client in made}) == 1
    s3_client._client.cache_clear()


NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ONE = (
    "<Contents><Key>{}</Key><LastModified>2026-11-22T02:00:0{}.123Z</LastModified>"
    "<ETag>&quot;x&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
PAGES = {
    "objects": "<Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>n+/=</NextContinuationToken><EncodingType>url</EncodingType>"
    + ONE.format("p/a%20b%2Bc", 1, 0)
    + ONE.format("p/&lt;é", 2, 5_000_000_000),
    "folders": "<Prefix/><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>"
    "<CommonPrefixes><Prefix>p/20261122_020000/</Prefix></CommonPrefixes>"
    "<CommonPrefixes><Prefix>p/oplog/</Prefix></CommonPrefixes>" + ONE.format("p/x", 3, 7),
    "nothing": "<Prefix>p/</Prefix><IsTruncated>false</IsTruncated>",
}
USED = ("Key", "Size", "LastModified", "Prefix")


def used(page: dict[str, Any]) -> dict[str, Any]:
    """What of a page is looked at."""
    top = ("IsTruncated", "NextContinuationToken", "EncodingType", "Delimiter")
    found = {name: page.get(name) for name in top}
    for rows in ("Contents", "CommonPrefixes"):
        found[rows] = [{k: v for k, v in row.items() if k in USED} for row in page.get(rows, ())]
    return found


def answer(text: str, status: int = 200) -> dict[str, Any]:
    return {"status_code": status, "headers": {}, "body": text.encode()}


@pytest.fixture(scope="module")
def shape() -> Any:
    model = botocore.session.Session().get_service_model("s3")
    return model.operation_model("ListObjectsV2").output_shape


@pytest.mark.parametrize("namespace", [NAMESPACE, ""])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_as_botocore_reads_it(shape: Any, name: str, namespace: str) -> None:
    text = f'<?xml version="1.0"?><ListBucketResult{namespace}>{PAGES[name]}</ListBucketResult>'
    parsers = PageParsers()
    parsers.set_parser_defaults(timestamp_parser=s3_client._time_of)
    ours = parsers.create_parser("rest-xml").parse(answer(text), shape)
    theirs = RestXMLParser(timestamp_parser=s3_client._time_of).parse(answer(text), shape)
    assert used(ours) == used(theirs)
    assert ours["ResponseMetadata"] == theirs["ResponseMetadata"]


def test_an_error_is_botocore_s_to_read(shape: Any) -> None:
    text = "<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>"
    found = PageParsers().create_parser("rest-xml").parse(answer(text, 404), shape)
    assert found["Error"]["Code"] == "NoSuchBucket"
