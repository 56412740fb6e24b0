"""The shared set as the tool, and as an application, connects to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from mongo_dr_console.mongo.client import connect


@pytest.fixture
def client(replica_set: Any) -> Iterator[Any]:
    with closing(replica_set.client()) as client:
        yield client


@pytest.fixture
def app(replica_set: Any) -> Iterator[Any]:
    """As an application connects: it does not pass a write block."""
    with closing(connect(replica_set.user_uri(replica_set.options.users[0]))) as client:
        yield client


@pytest.fixture
def prepared(profile_for: Any, replica_set: Any) -> Any:
    return profile_for(replica_set)
