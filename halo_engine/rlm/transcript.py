"""A trace as a reader wants it: every text once, in order, each with the place it stands in.

The messages sent to a model hold the whole conversation again and again, and a tool's result comes
back as the next message. Here each is shown where it happened, and its repetition is left out.
What an agent did twice is shown twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import partial
from typing import NamedTuple

from halo_engine.schema import Message, Span, SpanKind, Trace
from halo_engine.text.sanitize import strip_invisible
from halo_engine.text.secrets import redact

# A text this long that an earlier trace on the same page was given too is referred to, not repeated.
SHARED_CHARS = 400
# Instructions and templates differ from run to run in a date, a name or a document: such texts are
# compared by line with the last ones that were shown in full, and told by their differences. Not so
# the result of a tool, in which a line says little without those around it.
COMPARED = ("system", "developer", "user")
COMPARED_TEXTS = 5
COMPARED_LINES = range(5, 2000)
DIFFERENT = 0.5
# What an agent was told decides whether what it did was right: so much more is shown of it.
INSTRUCTIONS = 5
INSTRUCTORS = ("system", "developer")


@dataclass(frozen=True)
class Passage:
    """One text of a trace: ``field`` of ``span``, said by ``who``."""

    span: Span
    field: str
    who: str
    text: str

    @property
    def is_instruction(self) -> bool:
        """Whether it tells the agent what to do, in all its runs."""
        return self.who in INSTRUCTORS

    @property
    def is_given(self) -> bool:
        """Whether the agent was given it. What it did itself is shown wherever it did it."""
        is_result = self.span.kind is SpanKind.TOOL and self.field == "output"
        return is_result or self.field.startswith(("input_messages.", "documents."))


def passages(trace: Trace) -> list[Passage]:
    """The texts of ``trace`` in the order in which they came about."""
    reader = Reader()
    found: list[Passage] = []
    containers = [span for span in trace.spans if span.span_id in trace.children]
    inside = set(map(id, containers))
    for span in trace.spans:
        found += reader.opening(span) if id(span) in inside else reader.whole(span)
    for span in containers:
        found += reader.closing(span)
    return [passage for passage in found if passage.text.strip()]


class Reader:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()
        self._called: Counter[str] = Counter()

    def opening(self, span: Span) -> Iterator[Passage]:
        """What a span with spans inside it was asked, and how it failed."""
        if span.kind is SpanKind.LLM:
            yield from self.whole(span)
            return
        yield from self._once(span, "input", "input", span.input)
        yield from self._errors(span)

    def closing(self, span: Span) -> Iterator[Passage]:
        """What a span with spans inside it answered, unless one of those did."""
        if span.kind is not SpanKind.LLM:
            yield from self._once(span, "output", "output", span.output)

    def whole(self, span: Span) -> Iterator[Passage]:
        """A span that did something itself."""
        if span.input_messages or span.output_messages:
            yield from self._messages(span)
        else:
            yield from self._input(span)
            yield from self._always(span, "output", "output", span.output)
        for n, document in enumerate(span.documents or ()):
            yield from self._once(span, f"documents.{n}.content", "document", document.content)
        yield from self._errors(span)

    def _messages(self, span: Span) -> Iterator[Passage]:
        seen: Counter[str] = Counter()
        for n, message in enumerate(span.input_messages):
            text = (message.content or "").strip()
            seen[text] += 1
            if seen[text] > self._shown[text]:
                field = f"input_messages.{n}.content"
                yield from self._always(span, field, message.role or "message", message.content)
        for n, message in enumerate(span.output_messages):
            field = f"output_messages.{n}"
            who = message.role or "assistant"
            yield from self._always(span, f"{field}.content", who, message.content)
            yield from self._calls(span, field, message)
        if not span.output_messages:
            yield from self._always(span, "output", "output", span.output)

    def _calls(self, span: Span, field: str, message: Message) -> Iterator[Passage]:
        for n, call in enumerate(message.tool_calls):
            arguments = call.arguments or ""
            self._called[arguments.strip()] += 1
            place = f"{field}.tool_calls.{n}.{'arguments' if arguments else 'name'}"
            yield Passage(span, place, f"calls {call.name}", arguments or call.name or "")

    def _input(self, span: Span) -> Iterator[Passage]:
        """The input, unless the model's call that led here was just shown."""
        text = (span.input or "").strip()
        if self._called[text]:
            self._called[text] -= 1
        elif span.kind is SpanKind.TOOL:
            yield from self._always(span, "input", "input", span.input)
        else:
            yield from self._once(span, "input", "input", span.input)

    def _errors(self, span: Span) -> Iterator[Passage]:
        if span.status.message:
            yield Passage(span, "status.message", "error", span.status.message)
        for n, event in enumerate(span.events):
            text = event.attributes.get("exception.message")
            if event.name == "exception" and isinstance(text, str):
                field = f"events.{n}.attributes.exception.message"
                yield from self._once(span, field, "exception", text)

    def _once(self, span: Span, field: str, who: str, text: str | None) -> Iterator[Passage]:
        if text and not self._shown[text.strip()]:
            yield from self._always(span, field, who, text)

    def _always(self, span: Span, field: str, who: str, text: str | None) -> Iterator[Passage]:
        if text:
            self._shown[text.strip()] += 1
            yield Passage(span, field, who, text)


class ShownText(NamedTuple):
    """A text that stands on a page in full, and where."""

    reference: str
    lines: tuple[str, ...]


class TranscriptPage:
    """Traces written one under the other, for a model to read.

    ``passage_chars`` is the most that is shown of one text, ``INSTRUCTIONS`` times that of one that
    instructs the agent; ``shortened`` counts those cut to it.
    """

    def __init__(self, passage_chars: int) -> None:
        self._passage_chars = passage_chars
        self._shared: dict[str, str] = {}
        self._in_full: dict[str, deque[ShownText]] = defaultdict(
            partial(deque, maxlen=COMPARED_TEXTS)
        )
        self.shortened = 0

    def lines(self, name: str, trace: Trace) -> list[str]:
        """``trace``, called ``name``: a line for each text, the n-th span called ``name.n``."""
        numbers = {span.span_id: n for n, span in enumerate(trace.spans, start=1)}
        return [
            self._line(f"{name}.{numbers[passage.span.span_id]}", passage)
            for passage in passages(trace)
        ]

    def _line(self, reference: str, passage: Passage) -> str:
        span = passage.span
        what = " ".join(str(part) for part in (span.kind or "", span.tool_name or "") if part)
        text = redact_for_prompt(passage.text)
        if passage.is_given and len(text) > SHARED_CHARS:
            text = self._as_before(reference, passage.who, text)
        limit = self._passage_chars * (INSTRUCTIONS if passage.is_instruction else 1)
        return f"[{reference}] {what} {passage.who}: {self._fitting(text, limit)}"

    def _as_before(self, reference: str, who: str, text: str) -> str:
        """``text``, or where it stands already, or how it differs from one that does."""
        first = self._shared.setdefault(text, reference)
        if first != reference:
            return f"(the same text as in {first})"
        lines = tuple(text.splitlines())
        if who not in COMPARED or len(lines) not in COMPARED_LINES:
            return text
        earlier = self._in_full[who]
        for told in sorted(earlier, key=lambda told: -len(set(told.lines) & set(lines)))[:1]:
            changes = "\n".join(changed(told.lines, lines))
            if len(changes) < DIFFERENT * len(text):
                return f"(the same text as in {told.reference}, but for these lines)\n{changes}"
        earlier.append(ShownText(reference, lines))
        return text

    def _fitting(self, text: str, limit: int) -> str:
        if len(text) <= limit:
            return text
        self.shortened += 1
        half = limit // 2
        return f"{text[:half]} [... {len(text) - 2 * half} characters ...] {text[-half:]}"


def changed(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The lines of ``before`` that went, led by "-", and those that came, led by "+"."""
    header, places = 2, "@@"
    diff = list(unified_diff(before, after, n=0, lineterm=""))[header:]
    return [line for line in diff if not line.startswith(places)]


def redact_for_prompt(text: str) -> str:
    """``text`` as a model may see it: no secrets, no characters that do not show."""
    return redact(strip_invisible(text))


def total(lines: Iterable[str]) -> int:
    """Characters of ``lines`` with their line breaks."""
    return sum(len(line) + 1 for line in lines)
