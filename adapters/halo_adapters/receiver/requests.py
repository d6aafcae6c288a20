"""Bodies of requests: by their length or in chunks, compressed or not, bounded in size and time."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase

from halo_adapters.receiver.refusals import BROKEN_OFF, Refused, malformed, too_large

# The most that OpenTelemetry's SDK for Python sends at once.
MAX_BODY = 64 << 20
BODY_SECONDS = 60
PIECE = 64 << 10
MAX_LINE = 1024
MAX_TRAILERS = 100
SIZE = re.compile(rb"([0-9a-fA-F]{1,15})\s*(?:;.*)?\r?\n", re.DOTALL)
LENGTH = re.compile(r"\d{1,15}", re.ASCII)
# What zlib has to be told of each content coding.
WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
NOT_COMPRESSED = ("", "identity")


def read_body(stream: BufferedIOBase, headers: Message) -> bytes:
    """The body of the request with these ``headers``, decompressed.

    One that is too long is read to its end nevertheless, and forgotten: a client that still sends
    would not see the answer. Raises ``Refused``.
    """
    body, size, end = bytearray(), 0, time.monotonic() + BODY_SECONDS
    try:
        for piece in pieces_of(stream, headers):
            size += len(piece)
            if size <= MAX_BODY:
                body += piece
            elif body:
                body = bytearray()
            if time.monotonic() > end:
                raise TimeoutError
    except TimeoutError:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT, "The body of the request took too long."
        ) from None
    if size > MAX_BODY:
        raise too_large(MAX_BODY)
    return without_coding(bytes(body), headers.get("content-encoding", "").strip().lower())


def pieces_of(stream: BufferedIOBase, headers: Message) -> Iterator[bytes]:
    """The body as it comes."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        yield from chunked(stream)
        return
    length = headers.get("content-length", "0").strip()
    if not LENGTH.fullmatch(length):
        raise malformed("The Content-Length of the request is no number.")
    yield from exactly(stream, int(length))


def exactly(stream: BufferedIOBase, length: int) -> Iterator[bytes]:
    """The next ``length`` bytes."""
    while length:
        piece = stream.read1(min(length, PIECE))
        if not piece:
            raise malformed(BROKEN_OFF)
        length -= len(piece)
        yield piece


def chunked(stream: BufferedIOBase) -> Iterator[bytes]:
    """The content of a body in chunks (RFC 9112, section 7.1)."""
    while size := chunk_size(stream.readline(MAX_LINE)):
        yield from exactly(stream, size)
        if stream.readline(MAX_LINE).strip():
            raise malformed("A chunk of the request is longer than it says.")
    trailers = (stream.readline(MAX_LINE).strip() for _ in range(MAX_TRAILERS))
    for _ in iter(trailers.__next__, b""):
        continue


def chunk_size(line: bytes) -> int:
    """The length that the first line of a chunk gives."""
    found = SIZE.fullmatch(line)
    if not found:
        raise malformed("A chunk of the request has no length." if line else BROKEN_OFF)
    return int(found[1], 16)


def without_coding(body: bytes, coding: str) -> bytes:
    """``body`` decompressed, no further than the limit of its size."""
    if coding in NOT_COMPRESSED:
        return body
    if coding not in WINDOW_BITS:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The compression of the request is unknown: OTEL_EXPORTER_OTLP_COMPRESSION=gzip is read.",
            headers={"Accept-Encoding": "gzip, deflate"},
        )
    unpacker = zlib.decompressobj(WINDOW_BITS[coding])
    try:
        plain = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise malformed(f"The body of the request is not {coding}.", error) from None
    if len(plain) > MAX_BODY:
        raise too_large(MAX_BODY)
    if not unpacker.eof:
        raise malformed(BROKEN_OFF)
    return plain
