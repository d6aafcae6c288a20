"""OTLP as protobuf: one message, or many with their lengths before them.

The file exporter of the OpenTelemetry Collector writes each message behind its length, four bytes
with the most significant first, and compresses them one by one where it is told to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from halo_adapters.files.framing.json_text import BrokenText, parse
from halo_adapters.files.framing.streams import ZSTD_MAGIC, Peekable
from halo_adapters.files.records import Problem, Record

LENGTH_BYTES = 4
# The tags of the first field of an export, its resources, and of the fields of these.
EXPORT_TAG, GROUP_TAGS = b"\n", b"\n\x12"
MAX_VARINT = 10


def is_export(head: bytes) -> bool:
    """Whether ``head`` is the beginning of one export in protobuf, and not a line feed in a text."""
    if not head.startswith(EXPORT_TAG):
        return False
    length = head[1 : 1 + MAX_VARINT]
    ends = next((at for at, byte in enumerate(length, 2) if byte < 0x80), 0)
    return bool(ends) and head[ends : ends + 1] in GROUP_TAGS and is_binary(head[:100])


def is_binary(head: bytes) -> bool:
    """Whether ``head`` holds bytes that no text has."""
    return any(byte < 0x20 and byte not in b"\t\n\r\f" for byte in head)


def is_delimited(head: bytes) -> bool:
    """Whether ``head`` is the length of a message and its beginning, plain or compressed."""
    length, start = head[:LENGTH_BYTES], head[LENGTH_BYTES : LENGTH_BYTES + len(ZSTD_MAGIC)]
    return length[:1] == b"\0" and any(length) and start.startswith((EXPORT_TAG, ZSTD_MAGIC))


def export_records(stream: Peekable, limit: int) -> Iterator[Record]:
    """The export that is the whole of ``stream``, if it is not longer than ``limit`` bytes."""
    message = stream.read(limit + 1)
    if len(message) > limit:
        yield Record(1, problem=Problem(f"is a message longer than {limit} bytes."))
    else:
        yield message_record(1, message, limit)


def delimited_records(stream: Peekable, limit: int) -> Iterator[Record]:
    """The messages in ``stream``, each after its length."""
    number = 0
    while prefix := stream.read(LENGTH_BYTES):
        number += 1
        length = int.from_bytes(prefix, "big")
        if length > limit:
            what = f"is a message of {length} bytes, more than {limit}, or follows a broken one."
            yield Record(number, problem=Problem(what))
            return
        message = stream.read(length)
        if len(prefix) < LENGTH_BYTES or len(message) < length:
            yield Record(number, problem=Problem("is a message that breaks off."))
            return
        yield message_record(number, message, limit)


def message_record(number: int, message: bytes, limit: int) -> Record:
    """One message as a record: protobuf, or JSON where the exporter compresses that."""
    try:
        plain = uncompressed(message, limit)
        if plain.startswith(b"{"):
            return Record(number, parse(plain).value, len(message))
        return Record(number, otlp_document(plain), len(message))
    except (BrokenText, pa.ArrowException, OSError) as error:
        return Record(number, problem=Problem(f"cannot be decompressed or read: {error}"))
    except ValueError as error:
        return Record(number, problem=Problem(f"is not OTLP in protobuf: {error}."))


def uncompressed(message: bytes, limit: int) -> bytes:
    """``message``, decompressed if it is Zstandard; raises ``ValueError`` where it is too long."""
    if not message.startswith(ZSTD_MAGIC):
        return message
    with pa.CompressedInputStream(pa.BufferReader(message), "zstd") as stream:
        plain = bytes(stream.read(limit + 1))
    if len(plain) > limit:
        raise ValueError(f"it is longer than {limit} bytes")
    return plain


def otlp_document(message: bytes) -> dict[str, Any]:
    """An export of spans or of log records, in protobuf's JSON mapping.

    Both have the same outer fields, so what they hold tells them apart. Raises ``ValueError`` where
    it is neither.
    """
    # Imported here, since protobuf takes time to import and few files need it.
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        traces = TracesData.FromString(message)
        scopes = [scope for group in traces.resource_spans for scope in group.scope_spans]
        if any(span.trace_id for scope in scopes for span in scope.spans):
            return dict(MessageToDict(traces))
        return dict(MessageToDict(LogsData.FromString(message)))
    except DecodeError as error:
        raise ValueError(str(error)) from error
