"""The spans of OpenInference's instrumentation of Haystack.

The agent and the pipeline have chat messages in Python's notation inside of their JSON. The calls of
models and tools within an agent have no spans: what is known of them is in its messages, so that its
run is read as its last model call, which was sent all messages before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.attributes import parsed_object
from halo_adapters.dialects.base import Dialect, RawSpan
from halo_adapters.dialects.haystack import haystack_run
from halo_adapters.json_values import JsonObject
from halo_adapters.messages.decode import decode_messages
from halo_adapters.messages.haystack import chat_message
from halo_adapters.messages.run_texts import text_answered, text_asked
from halo_engine.schema import SpanKind

# What a span is named after: the method of the component, the agent or the pipeline.
METHODS = (".run", ".run_async", ".run_async_generator")
# Tools and retrievers of a pipeline have kinds and contents by the conventions.
RECORDED_KINDS = (SpanKind.TOOL, SpanKind.RETRIEVER, SpanKind.EMBEDDING)
OF_MODEL_CALLS = frozenset({"input_messages", "output_messages", "finish_reason"})
NOTATION = "ChatMessage(_role="
CHAT_MESSAGE = f'"{NOTATION}'
RECORDED = {SpanAttributes.INPUT_VALUE: "input", SpanAttributes.OUTPUT_VALUE: "output"}


class HaystackOpenInference(Dialect):
    """Runs of agents and pipelines with their messages, in place of the JSON around these."""

    name = "haystack_openinference"
    rank = 105

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; what it holds tells."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Messages and the end of a run; its input and output are in the messages."""
        name = span.name or ""
        if not name.endswith(METHODS) or fields.get("kind") in RECORDED_KINDS:
            return {}
        # a platform keeps what was said apart from the attributes
        given, made = (
            run_payload(span.attributes.get(attribute, fields.get(field)))
            for attribute, field in RECORDED.items()
        )
        texts = texts_in_notation(fields)
        if not given and not made:
            return texts
        run = haystack_run(given, made) | texts
        if fields.get("kind") is SpanKind.LLM:
            # The messages by the conventions lack the ids of calls and the results of tools.
            return {name: value for name, value in run.items() if name in OF_MODEL_CALLS}
        return as_last_call(run) if name.startswith("Agent.") else run


def as_last_call(run: JsonObject) -> JsonObject:
    """The run of an agent as its last model call."""
    messages = [*(run["input_messages"] or ()), *(run["output_messages"] or ())]
    is_answered = bool(run["output_messages"])
    return {
        **run,
        "kind": SpanKind.LLM,
        "input_messages": (messages[:-1] if is_answered else messages) or None,
        "output_messages": messages[-1:] if is_answered else None,
    }


def texts_in_notation(fields: Mapping[str, Any]) -> JsonObject:
    """Input and output of a run, each where it is a message in Python's notation."""
    found: JsonObject = {}
    for field, text_of in (("input", text_asked), ("output", text_answered)):
        text = fields.get(field)
        if isinstance(text, str) and text.startswith(NOTATION):
            found[field] = text_of(decode_messages([chat_message(text)]))
    return found


def run_payload(value: Any) -> JsonObject:
    """The object in ``value`` that holds chat messages; an empty one where it holds none."""
    payload = parsed_object(value) if isinstance(value, str) and CHAT_MESSAGE in value else {}
    data = payload.get("data")
    return data if isinstance(data, dict) and len(payload) == 1 else payload
