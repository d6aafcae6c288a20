"""What spans that were read whole show of those that are read in columns.

Phoenix has no list of the names of attributes, and a query for columns has to name them. It has no
column for events at all.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.attribute_names import KIND_BRANCH
from halo_adapters.phoenix.mapping import (
    NAME,
    SPAN_ID,
    SPAN_KIND,
    STATUS_CODE,
    TRACE_ID,
    ColumnRow,
)
from halo_engine.schema import StatusCode

# How many spans of a shape are read whole before the others of it are trusted to be alike.
ENOUGH_OF_A_SHAPE = 3
# Parts of a name that differ from span to span: ids and numbers.
VARIABLE = re.compile(r"[0-9a-f-]{8,}|\d+")
# A branch with one of these in its name cannot be put into a query.
UNQUOTABLE = re.compile(r'["\\]')

Shape = tuple[str | None, str]


class SpanShapes:
    """The branches of attributes that spans have, and the shapes (kind and name) that have events.

    Branches are only ever added, at the end. All methods may run in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._branches: dict[str, None] = {}
        self._seen: Counter[Shape] = Counter()
        self._beyond_columns: set[Shape] = set()
        self._failed_traces: set[str] = set()
        self._asked: dict[str, int] = {}  # trace id -> how many branches it was read with

    @property
    def spans(self) -> int:
        """How many spans were read whole."""
        with self._lock:
            return self._seen.total()

    def branches(self) -> tuple[str, ...]:
        """The first steps of the names of attributes, in the order in which they were found."""
        with self._lock:
            return tuple(self._branches)

    def add_branches(self, branches: Iterable[str]) -> None:
        """Note that some spans have attributes in ``branches``."""
        with self._lock:
            self._branches.update((branch, None) for branch in branches)

    def learn(self, rows: Iterable[JsonObject]) -> None:
        """Note what these spans have, which were read whole."""
        with self._lock:
            for row in rows:
                found = {name.partition(".")[0] for name in row["attributes"]} - {KIND_BRANCH}
                quotable = {branch for branch in found if not UNQUOTABLE.search(branch)}
                self._branches.update((branch, None) for branch in sorted(quotable))
                shape = shape_of(row["span_kind"], row["name"])
                self._seen[shape] += 1
                if row["events"] or quotable != found:
                    self._beyond_columns.add(shape)
                if has_failed_otherwise(row):
                    self._failed_traces.add(row["context"]["trace_id"])

    def was_read(self, trace_ids: Iterable[str], branches: int) -> None:
        """Note that these traces were read in columns, with the first so many branches."""
        with self._lock:
            self._asked.update(dict.fromkeys(trace_ids, branches))

    def late_branches(self) -> dict[str, set[str]]:
        """Branches that were found since the last call, with the traces that were read without."""
        with self._lock:
            first = min(self._asked.values(), default=len(self._branches))
            late = {
                branch: {trace_id for trace_id, number in self._asked.items() if number <= at}
                for at, branch in enumerate(self._branches)
                if at >= first
            }
            self._asked = dict.fromkeys(self._asked, len(self._branches))
            return late

    def to_read_whole(
        self, rows: Iterable[ColumnRow], has_any: Mapping[str, bool]
    ) -> list[ColumnRow]:
        """Those of ``rows``, spans read in columns, of which columns may lack something.

        They failed, so that they have events; are in a trace in which a span has failed whose
        status does not say so; are of a shape that has more than columns; have no attribute that was
        asked for, which ``has_any`` says of each; or are the first ones of their shape.
        """
        with self._lock:
            chosen = Counter[Shape]()
            found = []
            for row in rows:
                shape = shape_of(row[SPAN_KIND], row[NAME])
                is_first = self._seen[shape] + chosen[shape] < ENOUGH_OF_A_SHAPE
                has_failed = (
                    row[STATUS_CODE] == StatusCode.ERROR or row[TRACE_ID] in self._failed_traces
                )
                if (
                    is_first
                    or has_failed
                    or shape in self._beyond_columns
                    or not has_any[row[SPAN_ID]]
                ):
                    chosen[shape] += 1
                    found.append(row)
            return found


@lru_cache(maxsize=1024)  # most spans have the names of others
def shape_of(kind: str | None, name: str | None) -> Shape:
    """What spans that are recorded at one place of a program share."""
    return kind, VARIABLE.sub("*", name or "")


def has_failed_otherwise(row: JsonObject) -> bool:
    """Whether a span has an exception without the status ERROR, as instrumentations leave it that
    record exceptions by themselves."""
    is_told = row["status_code"] == StatusCode.ERROR
    return not is_told and any(event["name"] == "exception" for event in row["events"])
