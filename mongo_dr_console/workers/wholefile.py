"""Small files of one document each that an agent keeps of itself: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mongo_dr_console.model.trouble import Failed

M = TypeVar("M", bound=BaseModel)


def write_document(path: Path, document: BaseModel, *, sync: bool = False) -> None:
    """With ``sync`` it is on the disk when this returns.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as file:
        file.write(document.model_dump_json(by_alias=True))
        if sync:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)


def read_document(path: Path, model: type[M], about: str, again: str) -> M | None:
    """None where there is none.

    Args:
        about: What the agent wrote about.
        again: Within what time a running agent writes it again.

    Raises:
        Failed: ``agent-state-damaged``.
        OSError: It cannot be read.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise damaged(path, about, again) from None


def damaged(path: Path, about: str, again: str) -> Failed:
    return Failed(
        "agent-state-damaged",
        f"What the agent wrote about {about} cannot be understood: {path}.",
        f"A running agent writes it again within {again}.",
    )
