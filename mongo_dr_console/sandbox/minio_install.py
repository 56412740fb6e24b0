"""MinIO for tests and for trying out an S3 store: built once by Go into the user's cache folder.

``python -m mongo_dr_console.sandbox.minio_install`` builds it ahead of its first use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mongo_dr_console.model.trouble import Failed, Trouble, WrongUse
from mongo_dr_console.sandbox.cached import cached

VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"

_MODULE = "github.com/minio/minio"
_SECONDS = 1800
_HINT = (
    "Install Go 1.24 or newer (on Debian and Ubuntu: apt-get install golang-go), or name a MinIO: MDR_MINIO"
)


def find_minio() -> Path:
    """The binary that ``MDR_MINIO`` names, else the one in the cache, built first where it is not there.

    Raises:
        WrongUse: ``MDR_MINIO`` names none.
        Failed: ``go-missing``, ``minio-not-built``.
    """
    named = os.environ.get("MDR_MINIO", "")
    if named:
        binary = Path(named).expanduser().absolute()
        if not os.access(binary, os.X_OK) or binary.is_dir():
            raise WrongUse("minio-binary", f"MDR_MINIO names {binary}, and that cannot be run.")
        return binary
    return cached(f"minio-{VERSION.rpartition('-')[2]}", _build)


def _build(binary: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise Failed("go-missing", "MinIO is built by Go, and there is none on this machine.", _HINT)
    with tempfile.TemporaryDirectory(prefix="minio-", dir=binary.parent) as folder:
        try:
            done = subprocess.run(
                [go, "install", "-trimpath", "-ldflags=-s -w", f"{_MODULE}@{VERSION}"],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed("minio-not-built", f"Go did not build MinIO: {type(error).__name__}.") from None
        built = Path(folder, "minio")
        if done.returncode or not built.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            why = " ".join(last)[:300] or f"exit code {done.returncode}"
            raise Failed("minio-not-built", f"Go did not build MinIO: {why}", _HINT)
        built.rename(binary)


def main() -> int:
    try:
        find_minio()
    except Trouble as trouble:
        sys.stderr.write(f"{trouble}\n")
        return int(trouble.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
