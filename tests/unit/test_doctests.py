"""The examples in the console's docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import mongo_dr_console


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(mongo_dr_console.__path__, "mongo_dr_console."):
        if not found.name.endswith("__main__"):
            yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
