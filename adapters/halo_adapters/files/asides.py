"""What other records of a file say of a span or of its trace.

OpenTelemetry writes messages into log records that name their span, and some tracers describe a
trace beside its spans. Both can come before the spans or after them, and be as large.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from halo_adapters.files.temporary import temporary_folder
from halo_adapters.json_values import JsonObject, json_safe
from halo_engine.sqlite_files import Schema, storage_errors

TABLE = """
CREATE TABLE asides (trace_id TEXT, span_id TEXT, said BLOB);
CREATE INDEX places ON asides (trace_id, span_id);
"""
SCHEMA = Schema("asides", (TABLE,), if_damaged="Give the same command again.")
ON_SPAN = """
SELECT span_id, said FROM asides WHERE trace_id = ? AND span_id IN ('', ?) ORDER BY span_id, rowid
"""


class Aside(NamedTuple):
    """Something said of a span: attributes, or an event. ``span_id`` is "" for the whole trace."""

    trace_id: str
    span_id: str
    attributes: JsonObject
    event: JsonObject | None = None


class Asides:
    """Asides by their place, in a temporary database on disk: memory does not grow with them."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None
        self._is_complete = False

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._db is not None

    def add(self, aside: Aside) -> None:
        """Keep ``aside``, unless all were read before; raises ``StorageError`` for a full disk."""
        if self._is_complete:
            return
        said = orjson.dumps(json_safe([aside.attributes, aside.event]))
        with storage_errors(temporary_folder(), SCHEMA):
            if self._db is None:
                self._db = sqlite3.connect("", check_same_thread=False)
                self._db.executescript(*SCHEMA.scripts)
            self._db.execute("INSERT INTO asides VALUES (?, ?, ?)", (*aside[:2], said))

    def complete(self) -> None:
        """Say that all were read: where files are read again, each would come again."""
        self._is_complete = True

    def take(self) -> tuple[Aside, ...]:
        """All of them, in the order in which they came; none are left."""
        if self._db is None:
            return ()
        rows = self._db.execute("SELECT trace_id, span_id, said FROM asides ORDER BY rowid")
        found = tuple(Aside(*place, *orjson.loads(said)) for *place, said in rows)
        self.close()
        return found

    def on(self, trace_id: str, span_id: str) -> list[Aside]:
        """Those on the trace, then those on the span, in the order in which they came."""
        if self._db is None:
            return []
        rows: Iterator[tuple[str, Any]] = self._db.execute(ON_SPAN, (trace_id, span_id))
        return [Aside(trace_id, place, *orjson.loads(said)) for place, said in rows]

    def has(self, trace_id: str, span_id: str) -> bool:
        """Whether there is one on the trace or on the span."""
        return bool(self.on(trace_id, span_id))

    def close(self) -> None:
        """Forget them all."""
        if self._db is not None:
            self._db.close()
            self._db = None
