"""Root spans, read whole in pages beside the batches of their traces.

Where they are asked for by their traces, Phoenix goes through all roots that it has for each request;
in pages it does that once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock

from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.client import Page

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
AFTER_ALL = datetime.max.replace(tzinfo=UTC)


class RootPages:
    """``pages`` of roots, newest first, read as far as the traces begin that any thread asks for.

    ``begins`` are the starts of these traces, in ISO 8601. After an error no further page is read.
    """

    def __init__(self, pages: Iterator[Page], begins: Mapping[str, str]) -> None:
        self._pages = pages
        self._begins = begins
        self._reached = AFTER_ALL
        self._waiting: defaultdict[str, list[JsonObject]] = defaultdict(list)
        self._lock = Lock()

    def take(self, trace_ids: Sequence[str]) -> list[JsonObject]:
        """The roots of these traces that are on the pages, each given once.

        A root is on none that came after its page was read, or where a server orders them otherwise.
        """
        begins = (self._begins[i] for i in trace_ids if i in self._begins)
        oldest = min(map(datetime.fromisoformat, begins), default=None)
        with self._lock:
            # no span of a trace begins before it
            while oldest and self._reached >= oldest:
                self._read_page()
            return [row for i in trace_ids for row in self._waiting.pop(i, ())]

    def _read_page(self) -> None:
        page = next(self._pages, None)
        if page is None or not page.rows:
            self._reached = BEFORE_ALL
            return
        self._reached = datetime.fromisoformat(page.rows[-1]["start_time"])
        for row in page.rows:
            trace_id = row["context"]["trace_id"]
            if trace_id in self._begins:
                self._waiting[trace_id].append(row)
