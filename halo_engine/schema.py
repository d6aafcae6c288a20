"""The platform-independent data model of traces: spans, messages, scores; all immutable.

Names follow OpenTelemetry and OpenInference. A value that the platform did not record is ``None``,
never a guess. The original attributes are kept beside the fields that were extracted from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, TypeVar, dataclass_transform

from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_SECONDS = 24 * 60 * 60

# No agent nests its steps deeper, but for one that calls itself without end.
MOST_ANCESTORS = 100

# Nanoseconds since 1970-01-01 UTC as a signed 64-bit integer: the years 1677 to 2262.
UnixNano = int


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class FrozenStruct(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Base of what there are many of: traces and what they are made of. Immutable.

    Its types are checked where JSON is decoded, not where Python code makes one: whoever reads
    values of others gives each field what it declares.
    """


class FrozenModel(BaseModel):
    """Base of the other data models: immutable, types are checked, unknown fields are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class SpanKind(StrEnum):
    """The OpenInference span kinds.

    ``UNKNOWN`` is recorded by the platform itself; where it records no kind, ``Span.kind`` is None.
    """

    AGENT = "AGENT"
    CHAIN = "CHAIN"
    EMBEDDING = "EMBEDDING"
    EVALUATOR = "EVALUATOR"
    GUARDRAIL = "GUARDRAIL"
    LLM = "LLM"
    PROMPT = "PROMPT"
    RERANKER = "RERANKER"
    RETRIEVER = "RETRIEVER"
    TOOL = "TOOL"
    UNKNOWN = "UNKNOWN"


class StatusCode(StrEnum):
    """The OpenTelemetry span status codes."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


ERROR = StatusCode.ERROR  # a member of an enumeration takes longer to look up


class Status(FrozenStruct):
    """The OpenTelemetry status of a span; ``code`` is None where the platform records none."""

    code: StatusCode | None = None
    message: str | None = None


class ToolCall(FrozenStruct):
    """A tool call that a model requested. ``arguments`` is the raw text that the model generated."""

    id: str | None = None
    name: str | None = None
    arguments: str | None = None


def no_calls() -> tuple[ToolCall, ...]:
    """The default of ``Message.tool_calls``; by a function, so that JSON has it: SQL counts calls."""
    return ()


class Message(FrozenStruct):
    """One chat message; the text parts of a multi-part content are joined by newlines.

    ``is_error`` is what a tool message says of the call that it answers: whether it failed.
    """

    role: str | None = None
    content: str | None = None
    name: str | None = None
    tool_call_id: str | None = None
    is_error: bool | None = None
    tool_calls: tuple[ToolCall, ...] = field(default_factory=no_calls)


class ToolDefinition(FrozenStruct):
    """A tool declared to the model; ``parameters`` is the JSON Schema of its arguments."""

    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Document(FrozenStruct):
    """A retrieved document; the range and meaning of ``score`` depend on the retriever."""

    id: str | None = None
    content: str | None = None
    score: float | None = None


class Usage(FrozenStruct):
    """Token counts of one model call, and its ``cost`` in USD."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost: float | None = None


class SpanEvent(FrozenStruct):
    """An OpenTelemetry span event, for example an exception."""

    name: str | None = None
    time_unix_nano: UnixNano | None = None
    attributes: dict[str, Any] = {}


class Score(FrozenStruct):
    """A score, annotation or assessment that the platform held when the trace was read.

    ``span_id`` is None for one on the whole trace. ``source`` is the kind of evaluator: ``HUMAN``,
    ``LLM``, ``CODE`` or another value of the platform.
    """

    name: str
    span_id: str | None = None
    label: str | None = None
    value: float | None = None
    explanation: str | None = None
    source: str | None = None
    identifier: str | None = None
    created_at: datetime | None = None
    metadata: dict[str, Any] = {}


class Origin(FrozenStruct):
    """Where a span was read from.

    ``reference`` locates it there: a Phoenix node id, or ``file:line``. ``keeps_empty_texts`` is
    False where the platform stores an empty text as it stores none.
    """

    platform: str
    project: str | None = None
    reference: str | None = None
    keeps_empty_texts: bool = True


class Span(FrozenStruct):
    """One operation within a trace: a model call, a tool call, a retrieval, an agent step.

    ``input`` and ``output`` are the raw texts; messages, tools, documents and usage are extracted
    from the attributes. Times are nanoseconds since 1970 in UTC, as in OpenTelemetry;
    ``start_time`` and ``end_time`` are the same as datetimes, truncated to microseconds.
    ``tool_error`` is whether the result of a tool is marked as an error, which frameworks do beside
    the status of the span, or in its place.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str | None = None
    kind: SpanKind | None = None
    start_time_unix_nano: UnixNano | None = None
    end_time_unix_nano: UnixNano | None = None
    status: Status = Status()
    input: str | None = None
    output: str | None = None
    input_messages: tuple[Message, ...] = ()
    output_messages: tuple[Message, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    documents: tuple[Document, ...] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    tool_error: bool | None = None
    agent_name: str | None = None
    model_name: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    session_id: str | None = None
    user_id: str | None = None
    events: tuple[SpanEvent, ...] = ()
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    origin: Origin | None = None

    @property
    def start_time(self) -> datetime | None:
        """The start as an aware UTC datetime, truncated to microseconds."""
        return datetime_of(self.start_time_unix_nano)

    @property
    def end_time(self) -> datetime | None:
        """The end as an aware UTC datetime, truncated to microseconds."""
        return datetime_of(self.end_time_unix_nano)

    @property
    def exceptions(self) -> tuple[SpanEvent, ...]:
        """The events that record an exception, by the event name of OpenTelemetry."""
        return tuple(e for e in self.events if e.name == "exception") if self.events else ()

    @property
    def keeps_empty_texts(self) -> bool:
        """Whether an ``input`` or ``output`` that is None was not recorded.

        Where False, it may as well have been empty, and neither can be said of it.
        """
        return self.origin is None or self.origin.keeps_empty_texts

    @property
    def is_error(self) -> bool:
        """Whether the span is recorded as failed: status ERROR, or an exception event."""
        return self.status.code is ERROR or bool(self.events and self.exceptions)


class Trace(FrozenStruct, dict=True):
    """The spans that share a trace id, by start time, parents before their children.

    A trace is one request to an application. For an agent this is typically one turn or one task: a
    conversation of several turns is several traces with the same ``session_id``. ``scores`` are
    those on the trace or on any of its spans.
    """

    trace_id: str
    spans: tuple[Span, ...] = ()
    scores: tuple[Score, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Span]:
        """Span id -> span, the first one where several have that id."""
        found: dict[str, Span] = {}
        for span in self.spans:
            found.setdefault(span.span_id, span)
        return found

    @cached_property
    def spans_by_id(self) -> dict[str, tuple[Span, ...]]:
        """Span id -> the spans with that id: more than one where a recording is faulty."""
        spans: dict[str, list[Span]] = {}
        for span in self.spans:
            spans.setdefault(span.span_id, []).append(span)
        return {span_id: tuple(same) for span_id, same in spans.items()}

    @cached_property
    def children(self) -> dict[str | None, tuple[Span, ...]]:
        """Span id -> its direct children in order; ``None`` -> the spans without a parent."""
        children: dict[str | None, list[Span]] = {}
        for span in self.spans:
            children.setdefault(span.parent_span_id, []).append(span)
        return {parent_id: tuple(spans) for parent_id, spans in children.items()}

    @cached_property
    def root(self) -> Span | None:
        """The first span without a parent by ``root_order``, or None if none was recorded."""
        roots = self.children.get(None, ())
        return roots[0] if len(roots) == 1 else min(roots, key=root_order, default=None)

    @property
    def session_id(self) -> str | None:
        """The session that the trace belongs to, from the first span that records one."""
        return next((s.session_id for s in self.spans if s.session_id), None)

    def ancestors(self, span: Span) -> list[Span]:
        """The recorded ancestors of ``span``, parent first, up to a missing parent or a cycle.

        At most ``MOST_ANCESTORS``: rules ask this of many spans, and some traces are nested without
        end.
        """
        found: list[Span] = []
        seen = {span.span_id}
        parent = self.by_id.get(span.parent_span_id or "")
        while parent is not None and parent.span_id not in seen and len(found) < MOST_ANCESTORS:
            found.append(parent)
            seen.add(parent.span_id)
            parent = self.by_id.get(parent.parent_span_id or "")
        return found


class Failure(FrozenModel):
    """One item that could not be read, analysed or written, while the run continued.

    ``stage`` is the step of the run, ``where`` locates the item (``file:line``, a trace id or a
    span id), and ``what`` describes the failure in a sentence. ``trace_id`` names a trace that can
    be read again by its id.
    """

    stage: str
    where: str
    what: str
    trace_id: str | None = None


def datetime_of(unix_nano: int | None) -> datetime | None:
    """``unix_nano`` as an aware UTC datetime, truncated to microseconds; None stays None."""
    return None if unix_nano is None else EPOCH + timedelta(microseconds=unix_nano // 1000)


def unix_nano_of(moment: datetime | None) -> int | None:
    """``moment`` as nanoseconds since 1970 in UTC; a naive one is taken as UTC, None stays None."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - EPOCH
    return (since.days * DAY_SECONDS + since.seconds) * 10**9 + since.microseconds * 1000


class SpanLike(Protocol):
    """The fields that determine the position of a span in its trace."""

    @property
    def span_id(self) -> str:
        """The id of the span."""

    @property
    def parent_span_id(self) -> str | None:
        """The id of its parent; None for a root."""

    @property
    def start_time_unix_nano(self) -> int | None:
        """Its start in nanoseconds since 1970 in UTC; None where it was not recorded."""

    @property
    def end_time_unix_nano(self) -> int | None:
        """Its end, likewise."""


S = TypeVar("S", bound=SpanLike)


def root_order(span: SpanLike) -> tuple[int, str]:
    """The sort key by which the root of a trace is its first span without a parent.

    By start time (a missing one counts as 0), then by id. The store has the same rule in SQL.
    """
    return span.start_time_unix_nano or 0, span.span_id


def sort_spans(spans: Sequence[S]) -> list[S]:
    """``spans`` by start time (a missing one counts as 0), depth in the tree and end time, stably.

    Of two steps that start in the same millisecond, which is all that some platforms keep, the one
    that ended first came first.
    """
    depths = depths_of({s.span_id: s.parent_span_id for s in spans})

    def position(span: S) -> tuple[int, int, float]:
        end = math.inf if span.end_time_unix_nano is None else span.end_time_unix_nano
        return span.start_time_unix_nano or 0, depths[span.span_id], end

    return sorted(spans, key=position)


def depths_of(parents: dict[str, str | None]) -> dict[str, int]:
    """Span id -> number of recorded ancestors, given span id -> parent id.

    The spans of a cycle have all others of it as ancestors. Linear in the number of spans.
    """
    depths: dict[str, int] = {}
    for start in parents:
        path: dict[str, int] = {}
        current: str | None = start
        while current in parents and current not in depths and current not in path:
            path[current] = len(path)
            current = parents[current]
        ids = list(path)
        if current in path:
            cycle = ids[path[current] :]
            depths.update(dict.fromkeys(cycle, len(cycle) - 1))
            ids = ids[: path[current]]
        depth = depths.get(current or "", -1)
        for span_id in reversed(ids):
            depth += 1
            depths[span_id] = depth
    return depths
