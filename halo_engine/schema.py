"""What a trace is: frozen values, the same for every platform.

Names follow OpenTelemetry and OpenInference. What a platform did not say is ``None``, never a
guess, and the attributes as they came are kept beside the fields that were read from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# A signed 64-bit count of nanoseconds: 1677 to 2262.
UnixNano = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class FrozenModel(BaseModel):
    """Base of every value in the engine: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SpanKind(StrEnum):
    """The OpenInference span kinds. ``UNKNOWN`` is what a platform itself calls unknown."""

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
    """The OpenTelemetry status codes."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


class Status(FrozenModel):
    """The status of a span; ``code`` is None where the platform has none."""

    code: StatusCode | None = None
    message: str | None = None


class ToolCall(FrozenModel):
    """A call the model asked for. ``arguments`` is the text as the model wrote it."""

    id: str | None = None
    name: str | None = None
    arguments: str | None = None


class Message(FrozenModel):
    """One chat message; parts of a multi-part content that are text are joined by newlines."""

    role: str | None = None
    content: str | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class ToolDefinition(FrozenModel):
    """A tool declared to the model, with the JSON Schema of its arguments if it was given."""

    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Document(FrozenModel):
    """A retrieved document; ``score`` is whatever the retriever calls its score."""

    id: str | None = None
    content: str | None = None
    score: float | None = None


class Usage(FrozenModel):
    """Tokens and money of one model call; ``cost`` in USD."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost: float | None = None


class SpanEvent(FrozenModel):
    """An OpenTelemetry span event, for example an exception."""

    name: str | None = None
    time_unix_nano: UnixNano | None = None
    attributes: dict[str, Any] = {}


class Score(FrozenModel):
    """A judgement that stood on the platform when the trace was read.

    A Phoenix annotation or a Langfuse score. ``span_id`` is None for one on the whole trace.
    ``source`` says who judged: ``HUMAN``, ``LLM``, ``CODE`` or the platform's own word.
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


class Origin(FrozenModel):
    """Where a span was read: platform, project, and its place there.

    ``reference`` is the platform's own handle: a Phoenix node id, or ``file:line``.
    """

    platform: str
    project: str | None = None
    reference: str | None = None


class Span(FrozenModel):
    """One step of an agent's run.

    ``input`` and ``output`` are the raw texts; messages, tools, documents and usage are what
    could be read from the attributes. Times are nanoseconds since 1970 in UTC, as in
    OpenTelemetry; ``start_time`` and ``end_time`` give them as datetimes (microseconds).
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
        """Start as an aware datetime in UTC."""
        return datetime_of(self.start_time_unix_nano)

    @property
    def end_time(self) -> datetime | None:
        """End as an aware datetime in UTC."""
        return datetime_of(self.end_time_unix_nano)

    @property
    def exceptions(self) -> tuple[SpanEvent, ...]:
        """The events that record an exception."""
        return tuple(e for e in self.events if e.name == "exception")

    @property
    def is_error(self) -> bool:
        """Whether the span says itself that it failed: status ERROR, or an exception event."""
        return self.status.code is StatusCode.ERROR or bool(self.exceptions)


class Trace(FrozenModel):
    """One run of an agent: its spans in order of start, parents before their children."""

    trace_id: str
    spans: tuple[Span, ...] = ()
    scores: tuple[Score, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Span]:
        """Span id -> span."""
        return {span.span_id: span for span in self.spans}

    @cached_property
    def children(self) -> dict[str | None, tuple[Span, ...]]:
        """Span id -> its direct children in order; ``None`` -> the roots."""
        families: dict[str | None, list[Span]] = {}
        for span in self.spans:
            families.setdefault(span.parent_span_id, []).append(span)
        return {parent: tuple(spans) for parent, spans in families.items()}

    @property
    def root(self) -> Span | None:
        """The first span without a parent, or None when it was not recorded."""
        return next(iter(self.children.get(None, ())), None)

    @property
    def session_id(self) -> str | None:
        """The session the trace belongs to, from the first span that names one."""
        return next((s.session_id for s in self.spans if s.session_id), None)

    def ancestors(self, span: Span) -> list[Span]:
        """The recorded ancestors of ``span``, parent first; ends at a missing parent or a cycle."""
        found: list[Span] = []
        seen = {span.span_id}
        parent = self.by_id.get(span.parent_span_id or "")
        while parent is not None and parent.span_id not in seen:
            found.append(parent)
            seen.add(parent.span_id)
            parent = self.by_id.get(parent.parent_span_id or "")
        return found


class Failure(FrozenModel):
    """One item that could not be read, analysed or written, while the run went on.

    ``where`` locates the item (``file:line``, a trace or a span id); ``what`` is a sentence.
    """

    stage: str
    where: str
    what: str


def datetime_of(unix_nano: int | None) -> datetime | None:
    """``unix_nano`` as an aware UTC datetime, cut to microseconds; None stays None."""
    return None if unix_nano is None else EPOCH + timedelta(microseconds=unix_nano // 1000)


def unix_nano_of(moment: datetime | None) -> int | None:
    """``moment`` (aware; a naive one is read as UTC) as nanoseconds since 1970."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND * 1000


class Positioned(Protocol):
    """What says where a span stands in its trace."""

    @property
    def span_id(self) -> str:
        """Its own id."""

    @property
    def parent_span_id(self) -> str | None:
        """The id of the span that it is part of; None for a root."""

    @property
    def start_time_unix_nano(self) -> int | None:
        """When it began; None where nobody said."""


P = TypeVar("P", bound=Positioned)


def in_order(spans: Sequence[P]) -> list[P]:
    """``spans`` by start time; where that ties or is missing, parents before their children."""
    depths = depths_of({s.span_id: s.parent_span_id for s in spans})
    return sorted(spans, key=lambda s: (s.start_time_unix_nano or 0, depths[s.span_id]))


def depths_of(parents: dict[str, str | None]) -> dict[str, int]:
    """How many recorded ancestors each span has; a cycle is counted once round.

    Each span is walked over once, however deep the trace.
    """
    depths: dict[str, int] = {}
    for start in parents:
        path: dict[str, int] = {}
        at: str | None = start
        while at in parents and at not in depths and at not in path:
            path[at] = len(path)
            at = parents[at]
        ids = list(path)
        if at in path:
            cycle = ids[path[at] :]
            depths.update(dict.fromkeys(cycle, len(cycle) - 1))
            ids = ids[: path[at]]
        above = depths.get(at or "", -1)
        depths.update((span_id, above + n) for n, span_id in enumerate(reversed(ids), start=1))
    return depths
