"""Reading of whole traces from Phoenix.

A span read whole costs the server about four times as much as a row of a span query, in which one
column can be a whole branch of the attributes ("llm", "input", ...). But a query has to name the
branches, nothing lists their names, and no column holds events. So the reader lists the traces and
reads the first ones whole, which shows what spans of this project have. Of the others it reads one
in some whole, the roots, which have what an application says of the whole run (``roots``), and those
of the rest of which columns may lack something (``shapes``). Where that shows a new name, traces that
have it and were read without it are read again.

What the server answers is kept as it came, in batches of which any process can make traces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import chain, islice, repeat
from threading import Lock
from typing import NamedTuple
from zlib import crc32

import orjson

from halo_adapters.attribute_filter import spellings
from halo_adapters.base import (
    Project,
    TraceQuery,
    is_own_annotation,
)
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.attribute_names import (
    branches_with_values,
    column_of,
    has_any,
    known_branches,
)
from halo_adapters.phoenix.batches import PhoenixBatch
from halo_adapters.phoenix.client import (
    PAGE,
    TITLE,
    Page,
    PhoenixClient,
    Table,
    window_params,
)
from halo_adapters.phoenix.mapping import (
    COLUMNS,
    SPAN_ID,
    TRACE_ID,
    ColumnRow,
    attributes_found,
    rows_of_table,
)
from halo_adapters.phoenix.roots import RootPages
from halo_adapters.phoenix.shapes import SpanShapes
from halo_adapters.transport.divide import Divider, TooMuch
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.statistics.sampling import sample_ids

# How many spans are read whole before columns are asked for: all of a small project. After them one
# trace in so many is read whole; in fewer after the first ones, which show what most of them have.
WHOLE_SPANS = 500
ONE_IN = 16
FIRST_TRACES = 1000
ONE_IN_LATER = 64
# Traces that one request reads whole: their ids are in its URL.
WHOLE_BATCH = 180

# Limits of a span query: in effect none, and one that an answer must stay below to be complete.
ALL_SPANS = 100_000_000
MAX_ROWS = 20_000

# Traces per query, adapted so that an answer comes near one of the targets. Towards the end they
# become fewer, but each query costs as much as some rows.
FIRST_BATCH = 20
LARGEST_BATCH = 500
SMALLEST_BATCH = 100
TARGET_ROWS = 4_000
TARGET_BYTES = 8_000_000
# A second request at the same time takes the server more than it saves: its Python runs one of them.
READERS = 1

IDS_PER_URL = 250

TRACES_VERSION = (13, 15)
SPAN_FILTER_VERSION = (19, 6)
TRACE_FILTER_VERSION = (20, 3)


class Tables(NamedTuple):
    """Spans in columns: what are no attributes, and these, parsed as to which spans have any."""

    plain: Table[list[ColumnRow]]
    attributes: Table[dict[str, bool]]


class PhoenixReader:
    """Reads the traces of one project, with less than ``max_rows`` spans per query.

    The first ``whole_spans`` of them are read whole.
    """

    def __init__(
        self,
        client: PhoenixClient,
        project: Project,
        max_rows: int = MAX_ROWS,
        whole_spans: int = WHOLE_SPANS,
    ) -> None:
        self._client = client
        self._project = project
        self._max_rows = max_rows
        self._whole_spans = whole_spans
        self._shapes = SpanShapes()
        self._looks_for_known = Lock()
        self._unsought: list[str] | Window | None = None  # where known branches were not sought
        self._sample: frozenset[str] = frozenset()
        self._begins: dict[str, str] = {}  # of traces by their ids
        self._roots = RootPages(iter(()), {})
        self._annotated: set[str] | None = None
        self._has_annotated_traces = True
        self._divider = client.divider()
        self._batch_size = FIRST_BATCH

    def batches(self, query: TraceQuery) -> Iterator[PhoenixBatch]:
        """What is answered about every matching trace; newest first."""
        wanted = self._trace_ids(query)
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        window = Window(query.since, None, "the spans with known attributes")
        self._unsought = window if is_of_all(query) else list(missing)
        self._sample = sample_of(missing)
        if is_of_newest(query):
            self._roots = RootPages(self._root_pages(query.since, len(missing)), self._begins)
        self._annotated = self._annotated_spans(query)
        self._has_annotated_traces = self._annotation_names("trace") != []
        total = len(wanted)
        yield PhoenixBatch(self._project.name, (), total=total)
        for batches in chain(self._first_batches(missing), self._further_batches(missing)):
            incomplete = self._incomplete(query)
            missing.extend(incomplete)
            total += len(incomplete)
            if failures := self._divider.take_failures():
                yield PhoenixBatch(self._project.name, (), failures=failures, total=total)
            yield from (replace(batch, total=total) for batch in batches)

    def _first_batches(self, missing: deque[str]) -> Iterator[list[PhoenixBatch]]:
        """What is answered about the traces that are read whole to learn from, a few at a time."""
        while missing and self._is_learning:
            yield self._read([missing.popleft() for _ in range(min(FIRST_BATCH, len(missing)))])

    def _further_batches(self, missing: deque[str]) -> Iterator[list[PhoenixBatch]]:
        """What is answered about all other traces."""
        return prefetch(missing, lambda: self._next_size(len(missing)), self._read, READERS)

    # -- ids of matching traces ------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> list[str]:
        """The ids of the matching traces, newest first (given ids alone: as given)."""
        if query.has_only_ids:
            return list(dict.fromkeys(query.trace_ids))
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return list(islice(matching, query.limit))

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the matching traces, each once."""
        allowed = list(self._filtered_ids(query))
        seen: set[str] = set()
        for trace_id in self._list_trace_ids(query):
            if trace_id not in seen and all(trace_id in ids for ids in allowed):
                seen.add(trace_id)
                yield trace_id

    def _list_trace_ids(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the traces in the window, newest first; some may come twice."""
        self._client.require(TRACES_VERSION, "Listing traces")
        params: JsonObject = {}
        if query.session_id:
            params["session_identifier"] = query.session_id
        if query.errors_only:
            self._client.require(TRACE_FILTER_VERSION, "Reading only traces with errors")
            params["filter"] = "error_count > 0"

        def ask(part: Window) -> tuple[list[JsonObject], Window | None]:
            bounds = window_params(part.since, part.until)
            cursor = None if part.cursor is None else str(part.cursor)
            page = self._client.traces_page(self._project, {**params, **bounds}, cursor)
            if page.next_cursor is None:
                return page.rows, None
            rows = page.rows
            last = datetime.fromisoformat(rows[-1]["start_time"]) if rows else part.reached
            return rows, replace(part, cursor=page.next_cursor, reached=last)

        window = Window(query.since, query.until, "the traces")
        for rows in self._divider.answers(window, ask):
            self._begins.update((t["trace_id"], t["start_time"]) for t in rows if "start_time" in t)
            yield from (trace["trace_id"] for trace in rows)

    def _filtered_ids(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that the list of traces lacks, the ids of the traces that pass it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.names:
            roots = f"parent_id is None and name in {list(query.names)!r}"
            yield self._trace_ids_where(roots, query)
        user = {} if query.user_id is None else {"user.id": query.user_id}
        for key, value in {**user, **query.metadata}.items():
            attribute = f"attributes[{list(key.split('.'))!r}]"
            any_literal = " or ".join(f"{attribute} == {text}" for text in literals(value))
            yield self._trace_ids_where(any_literal, query)

    def _trace_ids_where(self, condition: str, query: TraceQuery) -> set[str]:
        """The ids of the traces in which some span, even a later one, meets ``condition``."""
        return self._trace_ids_of(condition, Window(query.since, None, "the spans for a filter"))

    def _trace_ids_of(self, condition: str, window: Window) -> set[str]:
        """The ids of the traces in which some span in ``window`` meets ``condition``."""
        return {row[TRACE_ID] for row in self._spans_where(condition, window)}

    def _spans_where(
        self,
        condition: str,
        window: Window,
        columns: Sequence[str] = ("trace_id",),
        divider: Divider | None = None,
    ) -> Iterator[ColumnRow]:
        """Columns of the spans in ``window`` that meet ``condition``."""

        def ask(part: Window) -> tuple[list[ColumnRow], None]:
            bounds = window_params(part.since, part.until)
            table = self._client.select(
                self._project, columns, condition, ALL_SPANS, rows_of_table, bounds
            )
            return table.parsed, None

        for rows in (divider or self._divider).answers(window, ask):
            yield from rows

    # -- spans -----------------------------------------------------------------------------------

    def _incomplete(self, query: TraceQuery) -> list[str]:
        """The traces that were read without an attribute that they have: it was not known yet."""
        window = Window(query.since, None, "the spans with a new attribute")
        found: set[str] = set()
        for branch, read_without in self._shapes.late_branches().items():
            found |= read_without & self._trace_ids_of(has_any([branch]), window)
        return sorted(found)

    def _branches_to_ask_for(self) -> tuple[str, ...]:
        """The branches that are known to be there; those of dialects are sought before the first."""
        with self._looks_for_known:
            if self._unsought is not None:
                unseen = sorted(known_branches() - set(self._shapes.branches()))
                columns = [f"attributes[{branch!r}]" for branch in unseen]
                rows = self._selected(self._unsought, columns, has_any(unseen))
                self._shapes.add_branches(branches_with_values(unseen, rows))
                self._unsought = None
        return self._shapes.branches()

    def _selected(
        self, where: Sequence[str] | Window, columns: Sequence[str], condition: str
    ) -> Iterator[ColumnRow]:
        """Columns of the spans that meet a condition, of these traces or in this window.

        Where the server cannot answer for some of them, they are left out: this is to find names.
        """
        divider = self._divider.aside()
        if isinstance(where, Window):
            yield from self._spans_where(condition, where, columns, divider)
            return

        def ask(part: Ids) -> tuple[list[ColumnRow], None]:
            of_part = f"trace_id in {list(part.ids)!r} and ({condition})"
            table = self._client.select(self._project, columns, of_part, ALL_SPANS, rows_of_table)
            return table.parsed, None

        for ids in chunks(where, LARGEST_BATCH):
            for rows in divider.answers(Ids.of(ids, 1), ask):
                yield from rows

    def _read(self, trace_ids: Sequence[str]) -> list[PhoenixBatch]:
        """What is answered about these traces; what cannot be is a failure of the divider."""
        return list(self._divider.answers(Ids.of(trace_ids, PAGE), self._read_part))

    def _read_part(self, part: Ids) -> tuple[PhoenixBatch, None]:
        """What is answered about these traces."""
        if self._is_learning or part.rows < part.page:
            pages = self._whole_traces(part.ids, part.rows)
            self._adapt(len(part.ids), sum(len(page.rows) for page in pages), 0)
            return self._annotated_batch(part.ids, pages), None
        sample = tuple(i for i in part.ids if i in self._sample)
        others = replace(part, ids=tuple(i for i in part.ids if i not in self._sample))
        whole = self._whole_traces(sample, part.rows)
        if not others.ids:
            return self._annotated_batch(part.ids, whole), None
        return self._batch_with_columns(part.ids, others, whole), None

    @property
    def _is_learning(self) -> bool:
        """Whether too few spans were read whole to ask for columns."""
        return self._shapes.spans < self._whole_spans

    def _whole_traces(self, trace_ids: Sequence[str], rows: int) -> list[Page]:
        """All spans of these traces, whole, ``rows`` on a page."""
        return self._whole("trace_id", trace_ids, WHOLE_BATCH, {"limit": rows})

    def _batch_with_columns(
        self, trace_ids: Sequence[str], part: Ids, whole: list[Page]
    ) -> PhoenixBatch:
        """A batch of ``trace_ids``, of which those of ``part`` are not in ``whole``.

        ``TooMuch`` where an answer is not whole. Roots on pages come first, since they can show names
        that columns are asked for by; the others come last: what was there when the first query was
        answered is in one of all.
        """
        on_pages = self._roots.take(part.ids)
        branches = self._branches_to_ask_for()
        tables = self._tables(part, branches) if branches else None
        if tables is None:
            pages = self._whole_traces(part.ids, part.rows)
            return self._annotated_batch(trace_ids, [*whole, *pages])
        self._shapes.was_read(part.ids, len(branches))
        found = {row["context"]["trace_id"] for row in on_pages}
        absent = [i for i in part.ids if i not in found]
        roots = self._whole("trace_id", absent, WHOLE_BATCH, {"parent_id": "null"})
        rest = self._beyond_columns(tables, part.rows)
        pages = [*whole, Page(on_pages, None, orjson.dumps({"data": on_pages})), *roots, *rest]
        return self._annotated_batch(trace_ids, pages, tables, branches)

    def _root_pages(self, since: datetime | None, most: int) -> Iterator[Page]:
        """All roots since then, newest first, ``most`` on a page; what they show is learned."""
        order = {"sort": "start_time", "limit": min(PAGE, most)}
        params = {"parent_id": "null", **order, **window_params(since, None)}
        for page in self._client.full_spans(self._project, params):
            self._shapes.learn(page.rows)
            yield page

    def _tables(self, part: Ids, branches: Sequence[str]) -> Tables | None:
        """The spans of ``part`` that are no roots; None where one trace has too many."""
        condition = f"trace_id in {list(part.ids)!r} and parent_id is not None"
        plain = self._client.select_plain(self._project, COLUMNS, condition, self._max_rows)
        columns = list(map(column_of, branches))
        attributes = self._client.select(
            self._project, columns, condition, self._max_rows, attributes_found
        )
        self._adapt(len(part.ids), len(plain.parsed), len(attributes.content))
        if max(len(plain.parsed), len(attributes.parsed)) < self._max_rows:
            return Tables(plain, attributes)
        if len(part.ids) > 1:
            raise TooMuch(f"There are {self._max_rows} spans or more.", platform=TITLE)
        return None

    def _beyond_columns(self, tables: Tables, page: int) -> Iterator[Page]:
        """The spans of ``tables`` of which columns may lack something, whole, so many on a page.

        What those show can make others of their shape to be read whole too.
        """
        has_any = tables.attributes.parsed
        rows = [row for row in tables.plain.parsed if row[SPAN_ID] in has_any]
        while lacking := self._shapes.to_read_whole(rows, has_any):
            chosen = {row[SPAN_ID] for row in lacking}
            if self._can_choose_spans:
                yield from self._whole("span_id", sorted(chosen), min(IDS_PER_URL, page), {})
            else:
                ids = sorted({row[TRACE_ID] for row in lacking})
                yield from self._whole("trace_id", ids, WHOLE_BATCH, {"limit": page})
            rows = [row for row in rows if row[SPAN_ID] not in chosen]

    def _whole(self, name: str, ids: Sequence[str], at_once: int, params: JsonObject) -> list[Page]:
        """The spans with these ids, called ``name``, with all their fields; what they show is
        learned."""
        found = []
        for some in chunks(ids, at_once):
            for page in self._client.full_spans(self._project, {name: some, **params}):
                self._shapes.learn(page.rows)
                found.append(page)
        return found

    @cached_property
    def _can_choose_spans(self) -> bool:
        """Whether spans can be asked for by their ids; an older server would give all it has."""
        return self._client.version() >= SPAN_FILTER_VERSION

    def _next_size(self, left: int) -> int:
        """How many of the traces that are left to read next.

        Towards the end half of them, so that little is left to be done with the last answer.
        """
        return min(self._batch_size, max((left + 1) // 2, SMALLEST_BATCH))

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Set the next batch size so that its answer comes near a target."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.25)
        self._batch_size = max(1, min(LARGEST_BATCH, int(traces / fill)))

    # -- scores ----------------------------------------------------------------------------------

    def _annotated_spans(self, query: TraceQuery) -> set[str] | None:
        """The ids of spans that something else annotated; None where the server cannot list names.

        Annotations are read for as many spans per request as a URL can hold, which is too slow to
        do for the many spans that have none.
        """
        names = self._annotation_names("span")
        if not names:
            return None if names is None else set()
        is_annotated = " or ".join(
            f"annotations[{name!r}].{part} is not None"
            for name in names
            for part in ("label", "score", "explanation")
        )
        window = Window(query.since, None, "the spans with annotations")
        return {row[SPAN_ID] for row in self._spans_where(is_annotated, window)}

    def _annotation_names(self, kind: str) -> list[str] | None:
        """The names of what others put on the spans or traces (``kind``), where they are listed."""
        names = self._client.annotation_names(self._project, kind)
        return None if names is None else [n for n in names if not is_own_annotation(n)]

    def _annotated_batch(
        self,
        trace_ids: Sequence[str],
        whole: Iterable[Page],
        tables: Tables | None = None,
        branches: tuple[str, ...] = (),
    ) -> PhoenixBatch:
        """A batch with what others annotated in it."""
        pages = list(whole)
        span_ids = dict.fromkeys(row["context"]["span_id"] for page in pages for row in page.rows)
        rows = tables.plain.parsed if tables else ()
        span_ids.update(dict.fromkeys(row[SPAN_ID] for row in rows))
        return PhoenixBatch(
            project=self._project.name,
            trace_ids=tuple(trace_ids),
            whole=tuple(page.content for page in pages),
            plain=tables and tables.plain.content,
            attributes=tables and tables.attributes.content,
            branches=branches,
            span_annotations=tuple(self._span_annotations(span_ids)),
            trace_annotations=tuple(self._trace_annotations(trace_ids)),
        )

    def _span_annotations(self, span_ids: Iterable[str]) -> Iterator[JsonObject]:
        """Every annotation on these spans."""
        annotated = [i for i in span_ids if self._annotated is None or i in self._annotated]
        for ids in chunks(annotated, IDS_PER_URL):
            yield from self._client.annotations(self._project, "span", ids=ids)

    def _trace_annotations(self, trace_ids: Sequence[str]) -> Iterator[JsonObject]:
        """Every annotation on these traces as a whole."""
        for ids in chunks(trace_ids, IDS_PER_URL) if self._has_annotated_traces else ():
            yield from self._client.annotations(self._project, "trace", ids=ids)


def is_of_all(query: TraceQuery) -> bool:
    """Whether all traces since a time are wanted."""
    return query == TraceQuery(project=query.project, since=query.since, seed=query.seed)


def is_of_newest(query: TraceQuery) -> bool:
    """Whether all traces since a time are wanted, or so many of the newest."""
    return is_of_all(query.model_copy(update={"limit": None}))


def literals(value: str) -> list[str]:
    """Python literals of what a person writes as ``value``: texts, a number or a boolean."""
    spelled = {"true": "True", "false": "False"}.get(value.lower())
    if spelled is None and value.replace(".", "", 1).lstrip("-").isdecimal():
        spelled = value
    return [*map(repr, spellings(value)), *([] if spelled is None else [spelled])]


def sample_of(trace_ids: Iterable[str]) -> frozenset[str]:
    """Those of ``trace_ids``, newest first, that are read whole."""
    rates = chain(repeat(ONE_IN, FIRST_TRACES), repeat(ONE_IN_LATER))
    pairs = zip(trace_ids, rates, strict=False)
    return frozenset(i for i, one_in in pairs if crc32(i.encode()) % one_in == 0)
