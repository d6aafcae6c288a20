"""Values as the bytes of files."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exports.run import Row


def document(value: Any, indent: int | None = 1) -> bytes:
    return json.dumps(value, indent=indent).encode()


def lines(values: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def archive(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, member in members.items():
            packed.writestr(name, member)
    return content.getvalue()


def delimited(messages: Iterable[bytes]) -> bytes:
    """Messages behind their lengths, as the Collector's file exporter writes them."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def zstd(content: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(content)
    return bytes(packed.getvalue())


def parquet(rows: list[Row], types: dict[str, pa.DataType] | None = None) -> bytes:
    table = pa.Table.from_pylist(rows)
    for name, kind in (types or {}).items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(kind))
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def quoted_csv(rows: list[Row]) -> bytes:
    """A table as Langfuse writes it as CSV: every cell quoted, objects as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([as_text(value) for value in row.values()] for row in rows)
    return text.getvalue().encode()


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def with_texts(rows: list[Row]) -> list[Row]:
    """``rows`` with every object and list as JSON text, as bulk exports have them in Parquet."""
    return [
        {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()}
        for row in rows
    ]
