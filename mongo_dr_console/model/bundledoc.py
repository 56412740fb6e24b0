"""What an incident bundle says of itself. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class BundledFile(_Document):
    """A file of a bundle."""

    name: str = Field(description="Within the bundle.")
    bytes: int = Field(description="Its size, not compressed.")
    about: str = Field(description="What it is, in a few words.")


class NotBundled(_Document):
    """What a bundle could not get."""

    what: str = Field(description="What is missing.")
    why: str = Field(description="Why, in words.")


class BundleManifest(_Document):
    """`MANIFEST.json` of a bundle: what is in it, and what is missing."""

    schema_name: Literal["mdr.bundle-manifest"] = Field(default="mdr.bundle-manifest", alias="schema")
    profile: str
    environment: str
    made_at: datetime = Field(description="When it was made.")
    made_by: str = Field(description="`user@host` of whoever made it.")
    since: datetime = Field(description="What is older is left out: recordings, and jobs that have ended.")
    versions: dict[str, str] = Field(description="Of mdr, Python, libraries, the system, the server.")
    files: tuple[BundledFile, ...] = Field(description="Everything in it but this file.")
    missing: tuple[NotBundled, ...] = Field(description="What could not be had.")


class BundleDocument(_Document):
    """``mdr bundle``."""

    schema_name: Literal["mdr.bundle"] = Field(default="mdr.bundle", alias="schema")
    profile: str
    path: str = Field(description="Where it lies.")
    bytes: int = Field(description="Its size, compressed.")
    since: datetime = Field(description="What is older is left out.")
    files: tuple[BundledFile, ...] = Field(description="What is in it.")
    missing: tuple[NotBundled, ...] = Field(description="What could not be had.")
