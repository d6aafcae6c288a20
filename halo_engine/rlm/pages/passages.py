"""Passages: the texts of a trace, each once, in order, with the span and the field it stands in.

LLM spans repeat the whole conversation in their messages, and the result of a tool appears again in
the next message. A passage is a text where it first occurred; its repetitions are left out. What the
agent itself did twice is there twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from halo_engine.rlm.pages.declared_tools import tools_text
from halo_engine.schema import Message, Span, SpanKind, Trace

INSTRUCTION_ROLES = ("system", "developer")
RESULT_ROLES = ("tool", "function")
# What may differ between two forms of the same JSON.
JSON_FORM = re.compile(r"[\s\"'\\]+")
EMPTY, NOT_RECORDED, EITHER = "(empty)", "(not recorded)", "(empty or not recorded)"


@dataclass(frozen=True)
class TranscriptPassage:
    """One text of a trace: ``field`` of ``span``, with the role of its author.

    ``tool`` is the tool that it calls or that returned it, ``arguments`` those of the call where
    they are shown with the result. ``missing`` says of a passage without text why it has none.
    ``keep`` are the ranges of the text that must not be cut. ``is_deciding``: the agent
    said no more, or changed something next.
    """

    span: Span
    field: str
    role: str
    text: str
    tool: str | None = None
    arguments: str | None = None
    missing: str | None = None
    keep: tuple[tuple[int, int], ...] = ()
    is_deciding: bool = False

    @property
    def is_instruction(self) -> bool:
        """Whether it instructs the agent, presumably in all its runs."""
        return self.role in INSTRUCTION_ROLES

    @property
    def is_call(self) -> bool:
        """Whether it is the arguments with which a model calls a tool."""
        return ".tool_calls." in self.field

    @property
    def is_result(self) -> bool:
        """Whether a tool returned it."""
        is_output = self.span.kind is SpanKind.TOOL and self.field == "output"
        return is_output or self.role in RESULT_ROLES

    @property
    def is_failure(self) -> bool:
        """Whether it says that a step failed."""
        return self.role in ("error", "error output", "exception")

    @property
    def is_wiring(self) -> bool:
        """Whether a step that only contains others, or passes texts on, received or returned it."""
        is_io = self.field in ("input", "output")
        return is_io and self.span.kind not in (SpanKind.LLM, SpanKind.TOOL)

    @property
    def is_agent_input(self) -> bool:
        """Whether the agent received it, as opposed to what it produced itself."""
        is_prompt = self.field == "input" and self.span.kind is SpanKind.LLM
        is_message = self.field.startswith(("input_messages.", "documents.", "tools"))
        return is_prompt or is_message or self.is_result


def transcript_passages(trace: Trace) -> list[TranscriptPassage]:
    """The texts of ``trace`` in chronological order, without repetitions."""
    collector = PassageCollector(trace)
    found: list[TranscriptPassage] = []
    parents = [span for span in trace.spans if span.span_id in trace.children]
    parent_objects = set(map(id, parents))
    for span in trace.spans:
        is_parent = id(span) in parent_objects
        found += collector.parent_input(span) if is_parent else collector.all_texts(span)
    for span in parents:
        found += collector.parent_output(span)
    return [passage for passage in found if passage.missing or passage.text.strip()]


class PassageCollector:
    """Yields the texts of spans as passages, skipping those that it has yielded before."""

    def __init__(self, trace: Trace) -> None:
        self._root = trace.root
        self._user_texts = frozenset(words_of_users(trace))
        self._yielded: Counter[str] = Counter()
        self._call_arguments: Counter[str] = Counter()
        self._call_tools: dict[str, str] = {}
        self._declared: set[str] = set()

    def parent_input(self, span: Span) -> Iterator[TranscriptPassage]:
        """The input and errors of a span with children; all texts if it is an LLM span."""
        if span.kind is SpanKind.LLM:
            yield from self.all_texts(span)
            return
        yield from self._if_new(span, "input", "input", span.input)
        yield from self._errors(span)

    def parent_output(self, span: Span) -> Iterator[TranscriptPassage]:
        """The output of a span with children, unless one of them had the same.

        That of the root is there in any case: it is what the application returned.
        """
        if span is self._root:
            yield from self._output(span)
        elif span.kind is not SpanKind.LLM:
            yield from self._if_new(span, "output", "output", span.output)

    def all_texts(self, span: Span) -> Iterator[TranscriptPassage]:
        """Declared tools, messages or input and output, documents and errors of a span."""
        yield from self._tools(span)
        if span.input_messages or span.output_messages:
            yield from self._messages(span)
        else:
            yield from self._input(span)
            yield from self._output(span)
        for n, document in enumerate(span.documents or ()):
            yield from self._if_new(span, f"documents.{n}.content", "document", document.content)
        yield from self._errors(span)

    def _tools(self, span: Span) -> Iterator[TranscriptPassage]:
        """The tools declared to a model, unless they were before."""
        text = "" if span.kind is SpanKind.TOOL else tools_text(span.tools)
        if text and text not in self._declared:
            self._declared.add(text)
            yield TranscriptPassage(span, "tools", "tools", text)

    def _messages(self, span: Span) -> Iterator[TranscriptPassage]:
        occurrences: Counter[str] = Counter()
        for n, message in enumerate(span.input_messages):
            key = text_key(message.content)
            occurrences[key] += 1
            if occurrences[key] > self._yielded[key]:
                field = f"input_messages.{n}.content"
                tool = message.name or self._call_tools.get(message.tool_call_id or "")
                role = message.role or "message"
                yield from self._passage(span, field, role, message.content, tool)
        said = [p for n, m in enumerate(span.output_messages) for p in self._said(span, n, m)]
        yield from said
        if not said:
            yield from self._output(span)

    def _said(self, span: Span, n: int, message: Message) -> Iterator[TranscriptPassage]:
        """The content and the tool calls of the output message ``n``."""
        field = f"output_messages.{n}"
        role = message.role or "assistant"
        yield from self._passage(span, f"{field}.content", role, message.content)
        for number, call in enumerate(message.tool_calls):
            arguments = call.arguments or ""
            self._call_arguments[text_key(arguments)] += 1
            self._call_tools[call.id or ""] = call.name or ""
            path = f"{field}.tool_calls.{number}.{'arguments' if arguments else 'name'}"
            text = arguments or call.name or ""
            yield TranscriptPassage(span, path, f"calls {call.name}", text, call.name)

    def _input(self, span: Span) -> Iterator[TranscriptPassage]:
        """The input, unless it is the arguments of a tool call that was yielded."""
        key = text_key(span.input)
        if self._call_arguments[key]:
            self._call_arguments[key] -= 1
        elif span.kind is SpanKind.TOOL:
            yield from self._passage(span, "input", "input", span.input, tool_run_by(span))
        else:
            yield from self._if_new(span, "input", "input", span.input)

    def _output(self, span: Span) -> Iterator[TranscriptPassage]:
        """The output, or that there is none where one is expected."""
        text = span.output or ""
        says_error = bool(span.status.message) and text.strip() == str(span.status.message).strip()
        role = "error output" if says_error or (span.tool_error and text) else "output"
        if text.strip():
            yield from self._passage(span, "output", role, text, tool_run_by(span))
        elif span.kind in (SpanKind.LLM, SpanKind.TOOL) or span is self._root:
            yield TranscriptPassage(span, "output", "output", "", missing=missing_output(span))

    def _errors(self, span: Span) -> Iterator[TranscriptPassage]:
        message = span.status.message
        if message and message.strip() != (span.output or "").strip():
            yield TranscriptPassage(span, "status.message", "error", message)
        for n, event in enumerate(span.events):
            text = event.attributes.get("exception.message")
            if event.name == "exception" and isinstance(text, str):
                field = f"events.{n}.attributes.exception.message"
                yield from self._if_new(span, field, "exception", text)

    def _if_new(
        self, span: Span, field: str, role: str, text: str | None
    ) -> Iterator[TranscriptPassage]:
        if text and not self._yielded[text_key(text)]:
            yield from self._passage(span, field, role, text)

    def _passage(
        self, span: Span, field: str, role: str, text: str | None, tool: str | None = None
    ) -> Iterator[TranscriptPassage]:
        if text and text.strip():
            self._yielded[text_key(text)] += 1
            passage = TranscriptPassage(span, field, role, text, tool)
            is_user = passage.is_wiring and text.strip() in self._user_texts
            yield replace(passage, role="user") if is_user else passage


def text_key(text: str | None) -> str:
    """What is the same for the same text, and for the same JSON, in whatever form it is recorded."""
    stripped = (text or "").strip()
    return JSON_FORM.sub("", stripped) if stripped.startswith(("{", "[")) else stripped


def words_of_users(trace: Trace) -> Iterator[str]:
    """What the messages of the model calls say that a user wrote."""
    for span in trace.spans:
        for message in span.input_messages:
            if message.role == "user" and message.content:
                yield message.content.strip()


def tool_run_by(span: Span) -> str | None:
    """The tool that a span runs; None if it runs none."""
    return (span.tool_name or span.name) if span.kind is SpanKind.TOOL else None


def missing_output(span: Span) -> str:
    """Why a span has no output, as far as it is known."""
    if not span.keeps_empty_texts:
        return EITHER
    is_recorded = span.output is not None or bool(span.output_messages)
    return EMPTY if is_recorded else NOT_RECORDED
