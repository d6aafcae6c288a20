"""Short ids of traces and spans, so that a model need not copy long ones.

``T17`` is the seventeenth trace in the store by start time, ``T17.5`` its fifth span. Full ids are
accepted as well.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from halo_engine.chunks import chunks
from halo_engine.schema import Trace
from halo_engine.store import TraceFilter, TraceStore

BATCH = 200
REFERENCE = re.compile(r"\s*T(\d+)(?:\.(\d+))?\s*", re.IGNORECASE)


class ShortIds:
    """The short ids of all traces and spans in ``store``, and cached access to the traces.

    Thread-safe.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store
        self.trace_ids = [trace_id for trace_id, _ in store.trace_sizes()]
        self._numbers = {trace_id: n for n, trace_id in enumerate(self.trace_ids, start=1)}
        self._lock = threading.Lock()
        self.trace = lru_cache(maxsize=256)(self._read)

    def name(self, trace_id: str) -> str:
        """The short id of a trace; raises ``KeyError`` if it is not in the store."""
        return f"T{self._numbers[trace_id]}"

    def span_name(self, trace_id: str, span_id: str) -> str:
        """The short id of a span; raises ``KeyError`` if it is not in the store."""
        return self.span_names([(trace_id, span_id)])[trace_id, span_id]

    def span_names(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The short id for each pair of trace id and span id that is in the store."""
        wanted = set(ids)
        with self._lock:
            orders = self._store.span_ids([t for t in {t for t, _ in wanted} if t in self._numbers])
        return {
            (trace_id, span_id): f"{self.name(trace_id)}.{number}"
            for trace_id, span_ids in orders.items()
            for number, span_id in enumerate(span_ids, start=1)
            if (trace_id, span_id) in wanted
        }

    def trace_id(self, reference: object) -> str | None:
        """The full id of the trace; ``reference`` is an id of it, or the short id of a span in it.

        None if there is no such trace.
        """
        text = str(reference).strip()
        if text in self._numbers:
            return text
        match = REFERENCE.fullmatch(text)
        number = int(match[1]) if match else 0
        return self.trace_ids[number - 1] if 0 < number <= len(self.trace_ids) else None

    def span(self, reference: object, trace: object = None) -> tuple[str, str] | None:
        """Trace id and span id of the span ``reference``, a short id, or a full one in ``trace``.

        None if there is no such span.
        """
        match = REFERENCE.fullmatch(str(reference))
        if match and match[2]:
            trace_id = self.trace_id(f"T{match[1]}")
            spans = self.trace(trace_id).spans if trace_id else ()
            number = int(match[2])
            if trace_id and 0 < number <= len(spans):
                return trace_id, spans[number - 1].span_id
            return None
        trace_id = self.trace_id(trace)
        if trace_id and str(reference) in self.trace(trace_id).by_id:
            return trace_id, str(reference)
        return None

    def traces(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """The traces in the order of their short ids, read from the store in batches."""
        wanted = sorted(trace_ids, key=self._numbers.__getitem__)
        for part in chunks(wanted, BATCH):
            with self._lock:
                found = list(self._store.traces(TraceFilter(ids=tuple(part))))
            yield from found

    def _read(self, trace_id: str) -> Trace:
        with self._lock:
            trace = self._store.trace(trace_id)
        return trace if trace is not None else Trace(trace_id=trace_id)
