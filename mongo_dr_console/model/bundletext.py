"""A bundle in words. Pure."""

from __future__ import annotations

from mongo_dr_console.model.bundledoc import BundleDocument
from mongo_dr_console.model.words import size


def bundle_lines(made: BundleDocument) -> list[str]:
    """Where it is, what it lacks, and what to look at before it is given away."""
    return [
        f"Written: {made.path}, {len(made.files)} files, {size(made.bytes)}.",
        *(f"Missing: {gap.what}: {gap.why}" for gap in made.missing),
        "No password, token or URI is in it; names of hosts, databases and collections are.",
    ]
