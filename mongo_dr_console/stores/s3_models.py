"""What botocore knows of services lies in large JSON files. Its own way to them opens the folders of some 400
services and orders every object anew: half of what making a client takes."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader


class Models(Loader):  # type: ignore[misc]
    """Finds the files of a service by its name alone."""

    def __init__(self) -> None:
        super().__init__(file_loader=_Files())

    def list_available_services(self, type_name: str) -> list[str]:
        folders = [Path(path) for path in self.search_paths]
        return sorted({each.name for folder in folders if folder.is_dir() for each in folder.iterdir()})


class _Files(JSONFileLoader):  # type: ignore[misc]
    def load_file(self, file_path: str) -> Any:
        with suppress(FileNotFoundError):
            return json.loads(Path(f"{file_path}.json").read_bytes())
        with suppress(FileNotFoundError):
            return json.loads(gzip.decompress(Path(f"{file_path}.json.gz").read_bytes()))
        return None
