"""The texts of a store in which a regular expression of RE2 matches.

Its parts are searched side by side, by Arrow: it lets other threads work meanwhile, and its RE2 takes
half as long as that of DuckDB. Of a text that matches only its hit is kept, since there may be one in
every trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import re2

from halo_engine.errors import EngineError
from halo_engine.executors.cores import available_cores
from halo_engine.store.manifest import SPANS_FILE
from halo_engine.store.parts import PartReader, part_errors
from halo_engine.store.views import SNIPPET_CHARS, Hit

# How much of one match is returned.
MAX_MATCH = 1000

# Nothing interrupts a call of Arrow, and there are patterns for which RE2 takes a second for 1 MB, in
# which it mostly searches 1 GB. So the first call gets so little, and each later one what takes about
# so long at the speed of the last that tells it.
FIRST_BYTES = 1 << 19
TELLING_BYTES = FIRST_BYTES // 8
CALL_SECONDS = 1.0

SPAN_KEYS = ("trace_id", "span_id", "start_time_unix_nano")
# A match: its span, the column that holds the text, the text, of which many are more than 2 GB.
MATCH = pa.schema(
    [
        *((name, pa.string()) for name in ("trace_id", "span_id")),
        ("start_time_unix_nano", pa.int64()),
        ("field", pa.string()),
        ("text", pa.large_string()),
    ]
)
BY_SPAN = [(name, "ascending") for name in ("trace_id", "span_id", "field")]
BY_START = [(name, "ascending") for name in ("trace_id", *SPAN_KEYS[:0:-1], "field")]

BY_KEYS = attrgetter("trace_id", "span_id", "field")


class Question(NamedTuple):
    """What is searched for: an ``expression``, in the columns ``fields``, for so many ``seconds``."""

    expression: re2._Regexp
    fields: Sequence[str]
    seconds: float


class Kept(Protocol):
    """What is kept of all matches; several threads may ask and add."""

    def wanted(self, trace_ids: pa.ChunkedArray) -> pa.Array:
        """Of which of ``trace_ids``, in their order, a match might be kept."""

    def narrow(self, matches: pa.Table) -> pa.Table:
        """Those of some matches in a part that are kept, as far as these tell."""

    def add(self, hits: Iterable[Hit]) -> None:
        """Keep what is to be kept of ``hits``: all that ``narrow`` left of a part."""


class Pace:
    """How long a search still has, and how much it searches in one call.

    ``clock`` gives seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._deadline = clock() + seconds
        self._speed = 0.0  # bytes a second

    def require(self, seconds: float = 0.0) -> None:
        """Raise ``EngineError`` where ``seconds`` more are too long."""
        if self._clock() + seconds > self._deadline:
            raise EngineError(f"The query takes longer than {self._seconds:g} s: narrow it.")

    def matching(self, texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
        """Whether ``pattern`` matches in each of ``texts``; raises ``EngineError`` as ``require``.

        One text cannot be divided: the beginning of a long one tells how long it will take.
        """
        size = texts.nbytes
        if size > max(FIRST_BYTES, self._speed * CALL_SECONDS):
            if len(texts) > 1:
                half = len(texts) // 2
                halves = (self.matching(part, pattern) for part in (texts[:half], texts[half:]))
                return pa.chunked_array([c for part in halves for c in part.chunks], pa.bool_())
            self._timed(pc.utf8_slice_codeunits(texts, 0, FIRST_BYTES), pattern)
            self.require(size / self._speed)
        return self._timed(texts, pattern)

    def _timed(self, texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
        begun = self._clock()
        found = pc.match_substring_regex(texts, pattern)
        if (size := texts.nbytes) > TELLING_BYTES:
            self._speed = size / max(1e-6, self._clock() - begun)
        self.require()
        return found


def search_parts(
    store: Path,
    parts: Mapping[str, Collection[str] | None],
    question: Question,
    kept: Kept,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Add to ``kept`` the matches in ``parts``, each with the traces that count there (None: all).

    Raises ``EngineError`` where it takes too long, which is noticed about once a second.
    """
    pace = Pace(question.seconds, clock)

    def search(part: str) -> None:
        found = [
            kept.narrow(matches)
            for matches in part_matches(store / part, parts[part], question, kept, pace)
            if matches.num_rows
        ]
        if found:
            kept.add(hits_of(kept.narrow(pa.concat_tables(found)), question.expression, pace))

    with part_errors(store), ThreadPoolExecutor(available_cores()) as threads:
        for _ in threads.map(search, parts):
            pass


def part_matches(
    part: Path, trace_ids: Collection[str] | None, question: Question, kept: Kept, pace: Pace
) -> Iterator[pa.Table]:
    """The matches in each column of a part, a batch of row groups at a time.

    Each call of Arrow builds its automaton anew, so that few should have much to search.
    """
    reader = PartReader(part / SPANS_FILE)
    counted = None if trace_ids is None else pa.array(trace_ids, pa.string())
    for groups in reader.batches():
        spans = reader.groups_of(groups, SPAN_KEYS)
        chosen = kept.wanted(spans["trace_id"])
        if counted is not None:
            chosen = pc.and_(chosen, pc.is_in(spans["trace_id"], value_set=counted))
        rows = pc.indices_nonzero(chosen)
        for field in question.fields if len(rows) else ():
            texts = reader.groups_of(groups, [field])[field]
            if len(rows) < len(texts):
                texts = texts.take(rows)
            found = pc.indices_nonzero(pace.matching(texts, question.expression.pattern))
            keys = spans.take(rows.take(found)).columns
            names, matched = pa.repeat(field, len(found)), texts.take(found)
            yield pa.table([*keys, names, matched.cast(pa.large_string())], schema=MATCH)


def hits_of(matches: pa.Table, expression: re2._Regexp, pace: Pace) -> Iterator[Hit]:
    """A hit for each row of ``matches``."""
    for row in matches.to_pylist():
        pace.require()
        # Two builds of RE2 can know different versions of Unicode.
        if found := expression.search(row["text"]):
            begin = max(0, found.start() - SNIPPET_CHARS // 2)
            words = found.group()[:MAX_MATCH]
            yield Hit(
                trace_id=row["trace_id"],
                span_id=row["span_id"],
                field=row["field"],
                offset=found.start(),
                match=words,
                snippet=row["text"][begin : begin + SNIPPET_CHARS + len(words)],
            )


class FirstSpans:
    """Keeps the first ``number`` matches by trace, span and field, in this order, as ``hits``."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = Lock()
        self.hits: list[Hit] = []

    def wanted(self, trace_ids: pa.ChunkedArray) -> pa.Array:
        """See ``Kept``: once there are enough, only of traces up to that of the last."""
        hits = self.hits
        if not hits or len(hits) < self._number:
            return pa.repeat(True, len(trace_ids))
        return pc.less_equal(trace_ids, hits[-1].trace_id)

    def narrow(self, matches: pa.Table) -> pa.Table:
        """See ``Kept``."""
        return matches.take(pc.select_k_unstable(matches, self._number, BY_SPAN))

    def add(self, hits: Iterable[Hit]) -> None:
        """See ``Kept``."""
        found = list(hits)
        with self._lock:
            self.hits = sorted([*self.hits, *found], key=BY_KEYS)[: self._number]


class FirstOfEachTrace:
    """Keeps the first match in each trace, by start, span and field, as ``hits`` by trace."""

    def __init__(self) -> None:
        self._hits: list[Hit] = []

    @property
    def hits(self) -> list[Hit]:
        """What was kept."""
        return sorted(self._hits, key=BY_KEYS)

    def wanted(self, trace_ids: pa.ChunkedArray) -> pa.Array:
        """See ``Kept``: of every trace."""
        return pa.repeat(True, len(trace_ids))

    def narrow(self, matches: pa.Table) -> pa.Table:
        """See ``Kept``."""
        ordered = matches.take(pc.sort_indices(matches, BY_START))
        ids = ordered["trace_id"].combine_chunks()
        begins = pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])])
        return ordered.filter(begins)

    def add(self, hits: Iterable[Hit]) -> None:
        """See ``Kept``."""
        self._hits.extend(hits)


def require_expression(expression: str) -> None:
    """Raise ``ValueError`` where RE2 does not accept ``expression``."""
    pc.match_substring_regex(pa.array([""]), expression)
