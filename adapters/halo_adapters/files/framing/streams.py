"""Byte streams without what is wrapped around their content: compression, UTF-16 and UTF-32."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from typing import cast

import pyarrow as pa

BUFFER = 1 << 20
HEAD_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# What reading raises where a file is broken, or its disk is.
READ_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException)

# The marks that a text in another encoding starts with, the longest first. A mark of UTF-16 is the
# beginning of one of UTF-32.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# How JSON starts in these encodings without a mark.
UNMARKED = tuple(
    (bracket.encode(encoding), encoding)
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
    for bracket in "{["
)

Peekable = io.BufferedReader | io.BufferedRandom | gzip.GzipFile


def decompressed(raw: Peekable) -> Peekable:
    """``raw``, decompressed if its first bytes are those of gzip or Zstandard."""
    head = raw.peek(len(ZSTD_MAGIC))
    if head.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=raw)
    if head.startswith(ZSTD_MAGIC):
        return buffered(pa.CompressedInputStream(raw, "zstd"))
    return raw


def buffered(stream: object) -> io.BufferedReader:
    """``stream``, which has ``readinto``, with a buffer in front of it."""
    return io.BufferedReader(cast("io.RawIOBase", stream), BUFFER)


def as_utf8(stream: Peekable) -> Peekable:
    """``stream`` as UTF-8, where its first bytes say that it is UTF-16 or UTF-32."""
    head = stream.peek(HEAD_BYTES)
    for start, encoding in (*MARKS, *UNMARKED):
        if head.startswith(start):
            return buffered(Utf8Bytes(stream, encoding))
    return stream


class Utf8Bytes(io.RawIOBase):
    """A stream of text in another encoding as UTF-8; what cannot be decoded becomes U+FFFD."""

    def __init__(self, stream: Peekable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as possible; 0 at the end."""
        chunk = b"-"
        while not self._ready and chunk:
            chunk = self._stream.read1(BUFFER)
            self._ready = self._decoder.decode(chunk, final=not chunk).encode()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size
