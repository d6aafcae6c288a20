"""The parameters and results of queries on the trace store."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from halo_engine.schema import FrozenModel, FrozenStruct, UnixNano, datetime_of


class TraceFilter(FrozenModel):
    """A filter on traces: every condition that is not None must hold.

    ``name`` is that of the root span, ``tool`` the tool name of any span, ``score`` the name of an
    existing score or annotation. The start is at or after ``since`` and before ``until``.
    """

    ids: tuple[str, ...] | None = None
    has_error: bool | None = None
    name: str | None = None
    session_id: str | None = None
    tool: str | None = None
    score: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_spans: int | None = None


TraceOrder = Literal["start", "duration", "spans", "errors", "tokens", "cost"]


class TraceSummary(FrozenModel):
    """One trace in numbers, None where no span records a value.

    ``errors`` counts failed spans (``Span.is_error``); ``tokens`` and ``cost``, in USD, are those of
    its model calls (of one around another, which records the same again, the inner one), or what
    agents record where these record nothing; ``size`` is the length of all texts in characters.
    """

    trace_id: str
    name: str | None
    session_id: str | None
    start_time_unix_nano: UnixNano | None
    end_time_unix_nano: UnixNano | None
    spans: int
    errors: int
    tokens: int | None
    cost: float | None
    size: int

    @property
    def start_time(self) -> datetime | None:
        """The start as an aware UTC datetime, truncated to microseconds."""
        return datetime_of(self.start_time_unix_nano)


class TraceLabels(FrozenStruct):
    """When one trace was, its cost in USD, and what it is of, as far as it is recorded.

    ``agent`` is the name of the first agent, else of the service; ``release`` and ``environment`` are
    those of the root span, or of the first one.
    """

    trace_id: str
    start_time_unix_nano: UnixNano | None
    end_time_unix_nano: UnixNano | None
    cost: float | None
    agent: str | None
    models: tuple[str, ...]
    release: str | None
    environment: str | None

    @property
    def start_time(self) -> datetime | None:
        """The start as an aware UTC datetime, truncated to microseconds."""
        return datetime_of(self.start_time_unix_nano)

    @property
    def seconds(self) -> float | None:
        """From the start of the first span to the end of the last; None where one is missing."""
        if self.start_time_unix_nano is None or self.end_time_unix_nano is None:
            return None
        return max(0, self.end_time_unix_nano - self.start_time_unix_nano) / 1e9


class AgentCounts(FrozenModel):
    """Numbers of spans: of tool runs, with status ERROR, and with another status."""

    tools: int
    failed: int
    not_failed: int

    @property
    def marks_errors_only(self) -> bool:
        """Whether failed spans have a status, and no other span has one."""
        return self.failed > 0 and self.not_failed == 0


class OutlineRow(FrozenModel):
    """One span without its texts; ``input_chars`` and ``output_chars`` are their lengths."""

    span_id: str
    parent_span_id: str | None
    name: str | None
    kind: str | None
    start_time_unix_nano: UnixNano | None
    end_time_unix_nano: UnixNano | None
    status_code: str | None
    status_message: str | None
    tool_name: str | None
    input_chars: int
    output_chars: int


# How much text around a match is in a snippet, in characters.
SNIPPET_CHARS = 120


class Hit(FrozenModel):
    """A match of a search: the matched text (its beginning, if it is long), and a snippet around it.

    ``field`` is the column that matched (messages and events are searched as JSON text), ``offset``
    the character position in it.
    """

    trace_id: str
    span_id: str
    field: str
    offset: int
    match: str
    snippet: str

    @property
    def snippet_offset(self) -> int:
        """The character position at which the snippet begins in the text."""
        return max(0, self.offset - SNIPPET_CHARS // 2)


class Count(FrozenModel):
    """A value and the number of spans that have it."""

    value: str
    spans: int


class Overview(FrozenModel):
    """Totals over all traces of a store, and the most frequent values.

    ``errors`` counts failed spans (``Span.is_error``); ``first`` and ``last`` are start times.
    """

    traces: int
    spans: int
    sessions: int
    errors: int
    first: datetime | None
    last: datetime | None
    kinds: tuple[Count, ...]
    names: tuple[Count, ...]
    tools: tuple[Count, ...]
    models: tuple[Count, ...]
