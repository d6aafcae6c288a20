"""What the store answers, and what it can be asked."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from halo_engine.schema import FrozenModel, UnixNano, datetime_of


class TraceFilter(FrozenModel):
    """Which traces; every given condition must hold.

    ``name`` is that of the root span, ``tool`` a tool that a span of the trace ran, ``score`` the
    name of an existing score or annotation, ``since`` included and ``until`` excluded.
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
    """One line about a trace. Tokens and cost are sums over its spans, None where none says."""

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
        """Start as an aware datetime in UTC."""
        return datetime_of(self.start_time_unix_nano)


class OutlineRow(FrozenModel):
    """One span without its texts; ``input_chars`` and ``output_chars`` say how long they are."""

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


# Text around a match, in characters.
SNIPPET_CHARS = 120


class Hit(FrozenModel):
    """A place where a search matched: the ``match`` itself, and the text around it.

    ``field`` is the column that matched; those of messages and events are searched as JSON text.
    """

    trace_id: str
    span_id: str
    field: str
    offset: int
    match: str
    snippet: str

    @property
    def snippet_offset(self) -> int:
        """Where the snippet begins in the text."""
        return max(0, self.offset - SNIPPET_CHARS // 2)


class Count(FrozenModel):
    """How many spans share a value."""

    value: str
    spans: int


class Overview(FrozenModel):
    """What is in the store."""

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
