"""The texts of a store in which a regular expression of RE2 matches.

Its parts are searched side by side, by Arrow: it lets other threads work meanwhile, and its RE2 takes
half as long as that of DuckDB. Of a text that matches only its hit is kept, since there may be one in
every trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import attrgetter
from pathlib import Path

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

# What is kept of some matches.
Narrow = Callable[[pa.Table], pa.Table]


def hits_in(
    store: Path,
    parts: Mapping[str, Collection[str] | None],
    expression: re2._Regexp,
    fields: Sequence[str],
    narrow: Narrow,
    *,
    seconds: float,
) -> list[Hit]:
    """What ``narrow`` keeps of the matches of ``expression`` in ``fields`` of each part, as hits.

    They are ordered by trace, span and field. ``parts`` has those that are searched, and of each the
    traces that count there (None: all). Narrowing what was narrowed, together with more, must be the
    same as narrowing everything at once. Raises ``EngineError`` after ``seconds``, which is noticed
    between two columns of a row group.
    """
    deadline = time.monotonic() + seconds

    def hits(part: str) -> list[Hit]:
        found: list[pa.Table] = []
        for matches in part_matches(store / part, parts[part], expression.pattern, fields):
            if time.monotonic() > deadline:
                raise EngineError(f"The query took longer than {seconds:g} s: narrow it.")
            if matches.num_rows:
                found.append(narrow(matches))
        return list(hits_of(narrow(pa.concat_tables(found)), expression)) if found else []

    with part_errors(store), ThreadPoolExecutor(available_cores()) as threads:
        in_all = chain.from_iterable(threads.map(hits, parts))
        return sorted(in_all, key=attrgetter("trace_id", "span_id", "field"))


def part_matches(
    part: Path, trace_ids: Collection[str] | None, expression: str, fields: Sequence[str]
) -> Iterator[pa.Table]:
    """The matches in each column of each row group of a part."""
    counted = None if trace_ids is None else pa.array(trace_ids, pa.string())
    for spans in PartReader(part / SPANS_FILE).row_groups([*SPAN_KEYS, *fields]):
        for field in fields:
            is_match = pc.match_substring_regex(spans[field], expression)
            if counted is not None:
                is_match = pc.and_(is_match, pc.is_in(spans["trace_id"], value_set=counted))
            found = spans.select([*SPAN_KEYS, field]).take(pc.indices_nonzero(is_match))
            *keys, texts = found.columns
            names = pa.repeat(field, found.num_rows)
            yield pa.table([*keys, names, texts.cast(pa.large_string())], schema=MATCH)


def hits_of(matches: pa.Table, expression: re2._Regexp) -> Iterator[Hit]:
    """A hit for each row of ``matches``."""
    for row in matches.to_pylist():
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


def first_spans(number: int) -> Narrow:
    """Keeps the first ``number`` matches by trace, span and field."""

    def narrow(matches: pa.Table) -> pa.Table:
        return matches.take(pc.select_k_unstable(matches, number, BY_SPAN))

    return narrow


def first_of_each_trace(matches: pa.Table) -> pa.Table:
    """Keeps the first match in each trace, by start, span and field."""
    ordered = matches.take(pc.sort_indices(matches, BY_START))
    ids = ordered["trace_id"].combine_chunks()
    return ordered.filter(pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])]))


def require_expression(expression: str) -> None:
    """Raise ``ValueError`` where RE2 does not accept ``expression``."""
    pc.match_substring_regex(pa.array([""]), expression)
