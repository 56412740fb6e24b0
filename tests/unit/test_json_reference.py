"""docs/json.md is made from the models that the commands print, is current, and leaves nothing unsaid."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mongo_dr_console.model.drill import RECORD

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "make_json_reference.py"
    spec = importlib.util.spec_from_file_location("make_json_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(script: ModuleType) -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert page == script.reference(), "run scripts/make_json_reference.py"


def test_every_field_says_what_it_means_or_leads_to_what_does(script: ModuleType) -> None:
    rows = [line for line in script.reference().splitlines() if line.startswith("| `")]
    unsaid = [r for r in rows if r.endswith("|  |") and "](#" not in r and "`mdr." not in r]
    assert len(rows) > 200
    assert not unsaid


def test_every_part_that_is_linked_to_is_there_and_says_what_it_is(script: ModuleType) -> None:
    page = script.reference()
    lines = page.splitlines()
    headings = {line[3:].lower().replace(" ", "-") for line in lines if line.startswith("## ")}
    links = {part.partition(")")[0] for part in page.split("](#")[1:]}
    assert links and links <= headings
    without = [
        line for line, text in zip(lines, lines[2:], strict=False) if line.startswith("## ") and not text
    ]
    assert not without
    assert "BaseModel" not in page


def test_every_schema_that_the_package_prints_is_on_the_page(script: ModuleType) -> None:
    import re

    package = ROOT / "mongo_dr_console"
    sources = [
        f.read_text(encoding="utf-8") for f in (*package.glob("cli/*.py"), *package.glob("model/*.py"))
    ]
    named = {name for text in sources for name in re.findall(r'"(mdr\.[a-z.-]+)"', text)}
    kept_in_files = {"mdr.manifest", "mdr.job-plan", "mdr.hold-record", "mdr.hold-release", RECORD}
    assert named - kept_in_files <= {script.schema_of(model) for _, model in script.DOCUMENTS}
