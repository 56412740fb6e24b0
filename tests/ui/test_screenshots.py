"""The screenshots show the console as it is: made anew they are the same."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SHOWN_IN_TEXTS = re.compile(r"screenshots/([\w.-]+)")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    path = ROOT / "scripts" / "make_screenshots.py"
    spec = importlib.util.spec_from_file_location("make_screenshots", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_screenshots"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["wizard-5-plan-small", "result"])
def test_a_screenshot_made_anew_is_the_same(maker: ModuleType, name: str) -> None:
    (shot,) = [shot for shot in maker.SHOTS if shot.name == name]
    made = maker.take(shot)
    kept = (maker.OUT / f"{name}.svg").read_text(encoding="utf-8")
    assert made == kept, "Make them anew: python scripts/make_screenshots.py"


def test_every_screenshot_is_there_and_tells_nothing_of_this_machine(maker: ModuleType) -> None:
    assert {p.stem for p in maker.OUT.glob("*.svg")} == {shot.name for shot in maker.SHOTS}
    for path in maker.OUT.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "/tmp/" not in text and "127.0.0.1" not in text and "root@" not in text, path


def test_every_picture_that_a_text_shows_is_there() -> None:
    for text in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in SHOWN_IN_TEXTS.findall(text.read_text(encoding="utf-8")):
            assert (ROOT / "screenshots" / name).exists(), (text, name)
