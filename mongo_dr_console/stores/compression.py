"""Compressing and decompressing streams: gzip by igzip, zstd, or as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import zstandard
from isal import isal_zlib

from mongo_dr_console.model.manifest import Compression

GZIP_LEVEL = 1
ZSTD_LEVEL = 3

_GZIP_WINDOW = 31
_DAMAGE: Any = isal_zlib.error
_PIECE = 32 * 1024
_OUTPUT = 4 * 1024 * 1024

SUFFIXES: dict[Compression, str] = {"gzip": ".gz", "zstd": ".zst", "none": ""}


class DamagedStream(ValueError):
    """Compressed bytes that are cut off or changed."""


class Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes | memoryview: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes | memoryview, /) -> bytes | memoryview:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(compression: Compression) -> Compressor:
    """A fresh stream; ``flush`` ends it."""
    if compression == "gzip":
        stream: Any = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
        return stream  # type: ignore[no-any-return]
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    return _Plain()


def of_path(path: str) -> Compression:
    """The compression that a file's name tells."""
    for compression, suffix in SUFFIXES.items():
        if suffix and path.endswith(suffix):
            return compression
    return "none"


def decompress(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The bytes of a compressed stream, in pieces of bounded size however well it is packed. Several streams
    one after another are read as one.

    Raises:
        DamagedStream: Cut off, or not what was written.
    """
    if compression == "gzip":
        return _gunzip(chunks)
    if compression == "zstd":
        return _unzstd(chunks)
    return iter(chunks)


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    stream: Any = None
    begun = False
    for chunk in chunks:
        data = chunk
        begun = begun or bool(chunk)
        while data:
            if stream is None:
                stream = isal_zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = stream.decompress(data, _OUTPUT)
            except _DAMAGE as error:
                raise DamagedStream(f"not gzip: {error}") from None
            if piece:
                yield piece
            if stream.eof:
                data, stream = stream.unused_data, None
            else:
                data = stream.unconsumed_tail
    if stream is not None:
        yield from _rest(stream)
    elif not begun:
        raise DamagedStream("the file is empty, and no gzip stream is")


def _rest(stream: Any) -> Iterator[bytes]:
    while not stream.eof:
        try:
            piece = stream.decompress(b"", _OUTPUT)
        except _DAMAGE as error:
            raise DamagedStream(f"not gzip: {error}") from None
        if not piece:
            raise DamagedStream("the gzip stream is cut off")
        yield piece


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    stream: Any = None
    begun = False
    for chunk in chunks:
        begun = begun or bool(chunk)
        # Small pieces bound the memory: this decompressor gives out all that a piece holds at once.
        for at in range(0, len(chunk), _PIECE):
            data = chunk[at : at + _PIECE]
            while data:
                if stream is None:
                    stream = zstandard.ZstdDecompressor().decompressobj()
                try:
                    piece = stream.decompress(data)
                except zstandard.ZstdError as error:
                    raise DamagedStream(f"not zstd: {error}") from None
                if piece:
                    yield piece
                data = b""
                if stream.eof:
                    data, stream = stream.unused_data, None
    if stream is not None:
        raise DamagedStream("the zstd stream is cut off")
    if not begun:
        raise DamagedStream("the file is empty, and no zstd stream is")
