"""Transcripts: a trace as text for a model, each text once, in order, with the id of its span.

LLM spans repeat the whole conversation in their messages, and the result of a tool appears again in
the next message. A transcript shows a text where it first occurred and omits the repetitions. What
the agent itself did twice is shown twice.
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

# An input of the agent longer than this that is on the page already is replaced by a reference.
SHARED_CHARS = 400
# Instructions and prompt templates differ from run to run in a date, a name or a document. Such
# texts are shown as a line diff to one of the last that were shown in full. Results of tools are
# not: a line of one means little without the lines around it.
DIFFED_ROLES = ("system", "developer", "user")
DIFFED_TEXTS = 5
DIFFED_LINES = range(5, 2000)
MAX_DIFF_SHARE = 0.5
# Instructions decide whether the agent acted correctly, so that more of them is shown.
INSTRUCTION_FACTOR = 5
INSTRUCTION_ROLES = ("system", "developer")


@dataclass(frozen=True)
class TranscriptPassage:
    """One text of a trace: ``field`` of ``span``, with the role of its author."""

    span: Span
    field: str
    role: str
    text: str

    @property
    def is_instruction(self) -> bool:
        """Whether it instructs the agent, presumably in all its runs."""
        return self.role in INSTRUCTION_ROLES

    @property
    def is_agent_input(self) -> bool:
        """Whether the agent received it, as opposed to what it produced itself."""
        is_result = self.span.kind is SpanKind.TOOL and self.field == "output"
        return is_result or self.field.startswith(("input_messages.", "documents."))


def transcript_passages(trace: Trace) -> list[TranscriptPassage]:
    """The texts of ``trace`` in chronological order, without repetitions."""
    collector = PassageCollector()
    found: list[TranscriptPassage] = []
    parents = [span for span in trace.spans if span.span_id in trace.children]
    parent_objects = set(map(id, parents))
    for span in trace.spans:
        is_parent = id(span) in parent_objects
        found += collector.parent_input(span) if is_parent else collector.all_texts(span)
    for span in parents:
        found += collector.parent_output(span)
    return [passage for passage in found if passage.text.strip()]


class PassageCollector:
    """Yields the texts of spans as passages, skipping those that it has yielded before."""

    def __init__(self) -> None:
        self._yielded: Counter[str] = Counter()
        self._call_arguments: Counter[str] = Counter()

    def parent_input(self, span: Span) -> Iterator[TranscriptPassage]:
        """The input and errors of a span with children; all texts if it is an LLM span."""
        if span.kind is SpanKind.LLM:
            yield from self.all_texts(span)
            return
        yield from self._if_new(span, "input", "input", span.input)
        yield from self._errors(span)

    def parent_output(self, span: Span) -> Iterator[TranscriptPassage]:
        """The output of a span with children, unless one of them had the same."""
        if span.kind is not SpanKind.LLM:
            yield from self._if_new(span, "output", "output", span.output)

    def all_texts(self, span: Span) -> Iterator[TranscriptPassage]:
        """Messages or input and output, documents and errors of a span."""
        if span.input_messages or span.output_messages:
            yield from self._messages(span)
        else:
            yield from self._input(span)
            yield from self._passage(span, "output", "output", span.output)
        for n, document in enumerate(span.documents or ()):
            yield from self._if_new(span, f"documents.{n}.content", "document", document.content)
        yield from self._errors(span)

    def _messages(self, span: Span) -> Iterator[TranscriptPassage]:
        occurrences: Counter[str] = Counter()
        for n, message in enumerate(span.input_messages):
            text = (message.content or "").strip()
            occurrences[text] += 1
            if occurrences[text] > self._yielded[text]:
                field = f"input_messages.{n}.content"
                yield from self._passage(span, field, message.role or "message", message.content)
        for n, message in enumerate(span.output_messages):
            field = f"output_messages.{n}"
            role = message.role or "assistant"
            yield from self._passage(span, f"{field}.content", role, message.content)
            yield from self._tool_calls(span, field, message)
        if not span.output_messages:
            yield from self._passage(span, "output", "output", span.output)

    def _tool_calls(self, span: Span, field: str, message: Message) -> Iterator[TranscriptPassage]:
        for n, call in enumerate(message.tool_calls):
            arguments = call.arguments or ""
            self._call_arguments[arguments.strip()] += 1
            path = f"{field}.tool_calls.{n}.{'arguments' if arguments else 'name'}"
            yield TranscriptPassage(span, path, f"calls {call.name}", arguments or call.name or "")

    def _input(self, span: Span) -> Iterator[TranscriptPassage]:
        """The input, unless it is the arguments of a tool call that was yielded."""
        text = (span.input or "").strip()
        if self._call_arguments[text]:
            self._call_arguments[text] -= 1
        elif span.kind is SpanKind.TOOL:
            yield from self._passage(span, "input", "input", span.input)
        else:
            yield from self._if_new(span, "input", "input", span.input)

    def _errors(self, span: Span) -> Iterator[TranscriptPassage]:
        if span.status.message:
            yield TranscriptPassage(span, "status.message", "error", span.status.message)
        for n, event in enumerate(span.events):
            text = event.attributes.get("exception.message")
            if event.name == "exception" and isinstance(text, str):
                field = f"events.{n}.attributes.exception.message"
                yield from self._if_new(span, field, "exception", text)

    def _if_new(
        self, span: Span, field: str, role: str, text: str | None
    ) -> Iterator[TranscriptPassage]:
        if text and not self._yielded[text.strip()]:
            yield from self._passage(span, field, role, text)

    def _passage(
        self, span: Span, field: str, role: str, text: str | None
    ) -> Iterator[TranscriptPassage]:
        if text:
            self._yielded[text.strip()] += 1
            yield TranscriptPassage(span, field, role, text)


class ShownText(NamedTuple):
    """A text that is on a page in full, and the short id of its span."""

    reference: str
    lines: tuple[str, ...]


class TranscriptPage:
    """The transcripts of several traces on one page, with references for what they share.

    A text is cut to ``passage_chars`` characters, an instruction to ``INSTRUCTION_FACTOR`` times as
    many; ``shortened`` counts the texts that were cut, and the references to them.
    """

    def __init__(self, passage_chars: int) -> None:
        self._passage_chars = passage_chars
        self._first_reference: dict[str, str] = {}
        self._cut_references: set[str] = set()
        self._shown_by_role: dict[str, deque[ShownText]] = defaultdict(
            partial(deque, maxlen=DIFFED_TEXTS)
        )
        self.shortened = 0

    def lines(self, name: str, trace: Trace) -> list[str]:
        """Add ``trace`` with the short id ``name``; returns a line for each passage."""
        numbers = {id(span): n for n, span in enumerate(trace.spans, start=1)}
        return [
            self._line(f"{name}.{numbers[id(passage.span)]}", passage)
            for passage in transcript_passages(trace)
        ]

    def _line(self, reference: str, passage: TranscriptPassage) -> str:
        span = passage.span
        kind = " ".join(str(part) for part in (span.kind or "", span.tool_name or "") if part)
        text = strip_invisible(passage.text)
        if passage.is_agent_input and len(text) > SHARED_CHARS:
            text = self._deduplicated(reference, passage.role, text)
        limit = self._passage_chars * (INSTRUCTION_FACTOR if passage.is_instruction else 1)
        return f"[{reference}] {kind} {passage.role}: {self._cut(reference, text, limit)}"

    def _deduplicated(self, reference: str, role: str, text: str) -> str:
        """``text``, or a reference to the same text on the page, or a diff to a similar one."""
        first = self._first_reference.setdefault(text, reference)
        if first != reference:
            self._note_reference(first)
            return f"(the same text as in {first})"
        lines = tuple(text.splitlines())
        if role not in DIFFED_ROLES or len(lines) not in DIFFED_LINES:
            return text
        shown = self._shown_by_role[role]
        similar = max(shown, key=lambda other: len(set(other.lines) & set(lines)), default=None)
        if similar:
            diff = "\n".join(changed_lines(similar.lines, lines))
            if len(diff) < MAX_DIFF_SHARE * len(text):
                self._note_reference(similar.reference)
                return f"(the same text as in {similar.reference}, but for these lines)\n{diff}"
        shown.append(ShownText(reference, lines))
        return text

    def _note_reference(self, reference: str) -> None:
        """Count a text that is shown as a reference to one that was cut."""
        self.shortened += reference in self._cut_references

    def _cut(self, reference: str, text: str, limit: int) -> str:
        if len(text) <= limit:
            return text
        self.shortened += 1
        self._cut_references.add(reference)
        half = limit // 2
        return f"{text[:half]} [... {len(text) - 2 * half} characters ...] {text[-half:]}"


def changed_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The removed lines, prefixed with "-", and the added ones, prefixed with "+"."""
    header, hunk = 2, "@@"
    diff = list(unified_diff(before, after, n=0, lineterm=""))[header:]
    return [line for line in diff if not line.startswith(hunk)]


def rendered_chars(lines: Iterable[str]) -> int:
    """The number of characters of ``lines``, each with a line break."""
    return sum(len(line) + 1 for line in lines)
