"""What the manifests and the ledger of a store say, in one object of the store: whoever looks for the first
time reads it instead of thousands of small ones.

Never trusted over the store: an entry counts only where the store says the same size and time of the file
that it was made from. It is written by those who write anyway. Lost or damaged it costs time and nothing
else, and it may be removed at any time.
"""

from __future__ import annotations

from contextlib import suppress

import zstandard

from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.store import Store

PATH = "index/catalogue.json.zst"
WORTH = 64
"""So many small objects to be read one by one are worth a look into the index, and a new one."""
_MOST = 256 * 1024 * 1024


def is_worth_it(store: Store) -> bool:
    """Whether an index saves anything: in a directory files are read as fast as one."""
    return bool(getattr(store, "dear_heads", False))


def take_in(store: Store, known: Remembered) -> bool:
    """Adds what the index says and ``known`` does not; False where there is none that can be read."""
    with suppress(Failed, ValueError, zstandard.ZstdError):
        packed = b"".join(store.read(PATH))
        known.take_in(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MOST))
        return True
    return False


def publish(store: Store, known: Remembered) -> bool:
    """Writes the index anew where it lacks much of what is known; says whether it did. That it could not is
    nobody's trouble."""
    if not is_worth_it(store):
        return False
    with suppress(Trouble):
        there = Remembered()
        take_in(store, there)
        if known.lacking_in(there) >= WORTH:
            store.write(PATH, [zstandard.ZstdCompressor(level=3).compress(known.content())])
            return True
    return False
