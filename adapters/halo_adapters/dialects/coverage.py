"""What the dialects made of some spans: how many were understood, and what is missing in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from halo_adapters.attributes import by_dotted_name
from halo_adapters.dialects.plans import event_names, reading_plans
from halo_engine.findings import UnreadSpans
from halo_engine.instrumentations import Library, RecordedPart, libraries_of, scope_name
from halo_engine.schema import Span, SpanKind, Trace, Usage
from halo_engine.unread import unread_groups

NO_USAGE = Usage()


class SpanSource(NamedTuple):
    """Where spans come from: the dialect that reads them, and the library that recorded them.

    ``dialect`` is None where all that is known of them stands beside their attributes.
    """

    dialect: str | None
    scope: str | None


class Missing(NamedTuple):
    """A part that is missing: in how many of those spans, or traces, that could have it."""

    part: RecordedPart
    missing: int
    of: int


class SourceCoverage:
    """The spans of one source: how many of each kind, and what is missing in them."""

    def __init__(self, libraries: tuple[Library, ...]) -> None:
        self.libraries = libraries
        self.kinds: Counter[str] = Counter()
        self._asked: Counter[RecordedPart] = Counter()
        self._missing: Counter[RecordedPart] = Counter()

    def add(self, span: Span) -> None:
        """Count ``span``."""
        self.kinds[span.kind.value if span.kind else "of no kind"] += 1
        for part, is_there in parts_of_span(span):
            self._asked[part] += 1
            self._missing[part] += not is_there

    def missing(self) -> list[Missing]:
        """What is missing in these spans, in the order of ``RecordedPart``."""
        return [
            Missing(p, self._missing[p], self._asked[p]) for p in RecordedPart if self._missing[p]
        ]


def parts_of_span(span: Span) -> Iterator[tuple[RecordedPart, bool]]:
    """The parts that ``span`` could have, and whether it has them.

    A run of a tool that failed has no result, and of a model call that failed libraries keep little.
    """
    if span.kind is SpanKind.LLM and not span.is_error:
        yield RecordedPart.MESSAGES, bool(span.input_messages and span.output_messages)
        yield RecordedPart.FINISH_REASONS, span.finish_reason is not None
        yield RecordedPart.TOKENS, span.usage != NO_USAGE
    elif span.kind is SpanKind.TOOL:
        yield RecordedPart.ARGUMENTS, span.input is not None
        if not span.is_error:
            yield RecordedPart.RESULTS, span.output is not None


class Coverage:
    """The coverage of all spans that are added, by their source."""

    def __init__(self) -> None:
        self.sources: dict[SpanSource, SourceCoverage] = {}
        self._unread: Counter[tuple[tuple[str, ...], str | None]] = Counter()
        self._sessions: dict[str, bool] = {}  # trace id -> whether it has one

    def add(self, trace: Trace) -> None:
        """Count the spans of ``trace``, or of a part of it."""
        has_session = self._sessions.get(trace.trace_id, False) or trace.session_id is not None
        self._sessions[trace.trace_id] = has_session
        for span in trace.spans:
            if not is_understood(span):
                self._unread[tuple(span.attributes), span.name] += 1
                continue
            source = SpanSource(dialect_of(span), scope_name(span))
            if source not in self.sources:
                self.sources[source] = SourceCoverage(libraries_of(span))
            self.sources[source].add(span)

    @property
    def sessions(self) -> Missing:
        """In how many of the traces the session is missing."""
        without = sum(not has_session for has_session in self._sessions.values())
        return Missing(RecordedPart.SESSIONS, without, len(self._sessions))

    @property
    def unread(self) -> tuple[UnreadSpans, ...]:
        """The spans of which nothing was understood, the commonest first."""
        return unread_groups((names, name, n) for (names, name), n in self._unread.items())


def is_understood(span: Span) -> bool:
    """Whether anything of ``span`` was understood; the store has the same rule in SQL."""
    usage = span.usage
    texts = (span.input, span.output, span.tool_name, span.agent_name, span.model_name)
    numbers = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    return (
        span.kind not in (None, SpanKind.UNKNOWN)
        or any((span.input_messages, span.output_messages, span.tools))
        or any(v is not None for v in (*texts, *numbers, span.documents, span.finish_reason))
    )


def dialect_of(span: Span) -> str | None:
    """The dialect that ``span`` is written in; see ``ReadingPlan.written_in``."""
    names = tuple(by_dotted_name(span.attributes))
    return reading_plans().plan(names, event_names(span.events)).written_in
