"""The texts of a store in which a regular expression of RE2 matches.

Its parts are searched side by side, by Arrow: it lets other threads work meanwhile, and its RE2 takes
half as long as that of DuckDB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halo_engine.errors import EngineError
from halo_engine.executors.cores import available_cores
from halo_engine.store.manifest import SPANS_FILE
from halo_engine.store.parts import PartReader, part_errors

SPAN_KEYS = ("trace_id", "span_id", "start_time_unix_nano")
# A match: its span, the column that holds the text, the text.
MATCH = pa.schema(
    [
        *((name, pa.string()) for name in ("trace_id", "span_id")),
        ("start_time_unix_nano", pa.int64()),
        *((name, pa.string()) for name in ("field", "text")),
    ]
)
BY_SPAN = [(name, "ascending") for name in ("trace_id", "span_id", "field")]
BY_START = [(name, "ascending") for name in ("trace_id", *SPAN_KEYS[:0:-1], "field")]

# What is kept of some matches.
Narrow = Callable[[pa.Table], pa.Table]


def matches_in(
    store: Path,
    parts: Mapping[str, Collection[str] | None],
    expression: str,
    fields: Sequence[str],
    narrow: Narrow,
    *,
    seconds: float,
) -> pa.Table:
    """What ``narrow`` keeps of the matches of ``expression`` in ``fields``, as rows of ``MATCH``.

    ``parts`` has those that are searched, and of each the traces that count there (None: all).
    Narrowing what was narrowed, together with more, must be the same as narrowing everything at
    once. Raises ``EngineError`` after ``seconds``, which is noticed between two columns of a part.
    """
    deadline = time.monotonic() + seconds

    def matched(part: str) -> pa.Table:
        found = MATCH.empty_table()
        for more in part_matches(store / part, parts[part], expression, fields):
            if time.monotonic() > deadline:
                raise EngineError(f"The query took longer than {seconds:g} s: narrow it.")
            found = narrow(pa.concat_tables([found, more])) if more.num_rows else found
        return found

    kept = MATCH.empty_table()
    with part_errors(store), ThreadPoolExecutor(available_cores()) as threads:
        for found in threads.map(matched, parts):
            kept = narrow(pa.concat_tables([kept, found])) if found.num_rows else kept
    return kept


def part_matches(
    part: Path, trace_ids: Collection[str] | None, expression: str, fields: Sequence[str]
) -> Iterator[pa.Table]:
    """The matches in each column of a part; as a whole, since each call builds its automaton anew."""
    reader = PartReader(part / SPANS_FILE)
    keys = reader.whole(SPAN_KEYS)
    counted = None if trace_ids is None else pa.array(trace_ids, pa.string())
    for field in fields:
        texts = reader.whole([field])[field]
        is_match = pc.match_substring_regex(texts, expression)
        if counted is not None:
            is_match = pc.and_(is_match, pc.is_in(keys["trace_id"], value_set=counted))
        rows = pc.indices_nonzero(is_match)
        names = pa.repeat(field, len(rows))
        yield pa.table([*keys.take(rows).columns, names, texts.take(rows)], schema=MATCH)


def first_spans(number: int) -> Narrow:
    """Keeps the first ``number`` matches by trace, span and field, in this order."""

    def narrow(matches: pa.Table) -> pa.Table:
        return matches.take(pc.select_k_unstable(matches, max(0, number), BY_SPAN))

    return narrow


def first_of_each_trace(matches: pa.Table) -> pa.Table:
    """Keeps the first match in each trace, by start, span and field; by trace."""
    ordered = matches.take(pc.sort_indices(matches, BY_START))
    ids = ordered["trace_id"].combine_chunks()
    return ordered.filter(pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])]))


def require_expression(expression: str) -> None:
    """Raise ``ValueError`` where RE2 does not accept ``expression``."""
    pc.match_substring_regex(pa.array([""]), expression)
