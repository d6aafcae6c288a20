"""Short ids of traces and spans, so that a model need not copy long ones.

``T17`` is the seventeenth trace in the store by start time, ``T17.5`` its fifth span, and so is
``T17.5b``, the name of the second text of that span on a page. Full ids are accepted as well.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from halo_engine.schema import Span, Trace
from halo_engine.store import TraceFilter, TraceStore
from halo_engine.store.reading import batches

# The traces that are kept in memory may hold so many characters together.
CACHE_CHARS = 64_000_000
REFERENCE = re.compile(r"\s*T(\d{1,9})(?:\.(\d{1,9})[a-z]{0,2})?\s*", re.IGNORECASE)


class ShortIds:
    """The short ids of all traces and spans in ``store``, and cached access to the traces.

    Thread-safe.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store
        self._sizes = dict(store.trace_sizes())
        self.trace_ids = list(self._sizes)
        self._numbers = {trace_id: n for n, trace_id in enumerate(self.trace_ids, start=1)}
        self._lock = threading.Lock()
        self._cache = TraceCache(self._sizes, CACHE_CHARS)

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
        names: dict[tuple[str, str], str] = {}
        for trace_id, span_ids in orders.items():
            for number, span_id in enumerate(span_ids, start=1):
                if (trace_id, span_id) in wanted:
                    names.setdefault((trace_id, span_id), f"{self.name(trace_id)}.{number}")
        return names

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

    def span(self, reference: object, trace: object = None) -> Span | None:
        """The span ``reference``, a short id, or a full one in ``trace``; None if there is none."""
        match = REFERENCE.fullmatch(str(reference))
        if match and match[2]:
            trace_id = self.trace_id(f"T{match[1]}")
            spans = self.trace(trace_id).spans if trace_id else ()
            number = int(match[2])
            return spans[number - 1] if 0 < number <= len(spans) else None
        trace_id = self.trace_id(trace)
        return self.trace(trace_id).by_id.get(str(reference)) if trace_id else None

    def trace(self, trace_id: str) -> Trace:
        """A trace, without spans if it is not in the store."""
        with self._lock:
            trace = self._cache.get(trace_id)
            if trace is None:
                trace = self._store.trace(trace_id) or Trace(trace_id=trace_id)
                self._cache.add(trace)
        return trace

    def traces(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """The traces in the order of ``trace_ids``, read from the store in batches."""
        for batch in batches([(trace_id, self._sizes[trace_id]) for trace_id in trace_ids]):
            with self._lock:
                found = {t.trace_id: t for t in self._store.traces(TraceFilter(ids=tuple(batch)))}
            yield from (found[trace_id] for trace_id in batch)


class TraceCache:
    """The traces used last, of at most ``limit`` characters together; one may be larger alone."""

    def __init__(self, sizes: Mapping[str, int], limit: int) -> None:
        self._sizes = sizes
        self._limit = limit
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._chars = 0

    def get(self, trace_id: str) -> Trace | None:
        """The trace, if it is in the cache."""
        if trace_id not in self._traces:
            return None
        self._traces.move_to_end(trace_id)
        return self._traces[trace_id]

    def add(self, trace: Trace) -> None:
        """Add a trace that is not in the cache; those used least recently make room."""
        self._traces[trace.trace_id] = trace
        self._chars += self._sizes.get(trace.trace_id, 0)
        while self._chars > self._limit and len(self._traces) > 1:
            trace_id, _ = self._traces.popitem(last=False)
            self._chars -= self._sizes.get(trace_id, 0)
