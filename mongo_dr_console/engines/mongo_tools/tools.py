"""Finding mongodump and mongorestore, and which version they are."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mongo_dr_console.model.trouble import Failed

ToolName = Literal["mongodump", "mongorestore"]

VARIABLE = "MDR_MONGO_TOOLS"

_VERSION = re.compile(r"^mongo\w+ version:\s*(.+?)\s*$", re.MULTILINE)
_INSTALL = (
    "Install the MongoDB Database Tools, or name their folder in the profile: "
    "[profiles.NAME.mongo_tools] path; or use the builtin engine: --engine builtin"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that runs here. A build without a version says ``built-without-version-string``."""

    path: Path
    version: str


def find_tool(name: ToolName, folder: Path | None = None) -> Tool:
    """In the folder that is configured, else in the one that MDR_MONGO_TOOLS names, else on PATH.

    Raises:
        Failed: ``tool-missing``, ``tool-broken``.
    """
    named = str(folder) if folder is not None else os.environ.get(VARIABLE, "")
    return _found(name, named, os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=16)
def _found(name: ToolName, folder: str, path: str) -> Tool:
    where = str(Path(folder).expanduser()) if folder else path
    found = shutil.which(name, path=where)
    if found is None:
        place = f"in {where}" if folder else "on PATH"
        raise Failed(
            "tool-missing", f"There is no {name} {place}, which the engine mongo_tools needs.", _INSTALL
        )
    return Tool(Path(found).absolute(), _version(Path(found)))


def _version(tool: Path) -> str:
    try:
        done = subprocess.run(
            [str(tool), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        reason = "it did not answer within 60 s"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"it ended with {error.returncode}"])[-1]
    except OSError as error:
        reason = str(error.strerror or error)
    else:
        match = _VERSION.search(done.stdout)
        return match[1] if match else "unknown"
    raise Failed("tool-broken", f"{tool} does not run here: {reason}.", _INSTALL)
