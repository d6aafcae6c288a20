"""The spans that Haystack makes itself: attributes named ``haystack.*``.

A pipeline runs components, an agent takes steps of one model call and its tools each. What they got
and gave is one JSON object each, where the tracing of contents is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.json_values import JsonObject, held_json, integer_of, name_of
from halo_adapters.messages.haystack import chat_messages, tool_data
from halo_adapters.messages.parts import first_of
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

PREFIX = "haystack."
COMPONENT_TYPE = "haystack.component.type"
TOOL_NAME = "haystack.tool.name"
TOOL_OUTPUT = "haystack.agent.step.tool.output"
# An attribute that only spans of this kind have.
KINDS = {
    TOOL_NAME: SpanKind.TOOL,
    "haystack.agent.step.llm.input": SpanKind.LLM,
    "haystack.agent.max_steps": SpanKind.AGENT,
    "haystack.agent.step": SpanKind.CHAIN,
    "haystack.pipeline.input_data": SpanKind.CHAIN,
    "haystack.pipeline.metadata": SpanKind.CHAIN,
}
# How the names of component classes end.
COMPONENT_KINDS = {
    "Generator": SpanKind.LLM,
    "Retriever": SpanKind.RETRIEVER,
    "Ranker": SpanKind.RERANKER,
    "Embedder": SpanKind.EMBEDDING,
    "Evaluator": SpanKind.EVALUATOR,
}
# The attributes with what an operation got and gave.
INPUTS = (
    "haystack.agent.step.llm.input",
    "haystack.agent.input",
    "haystack.component.input",
    "haystack.pipeline.input_data",
)
OUTPUTS = (
    "haystack.agent.step.llm.output",
    "haystack.agent.output",
    "haystack.component.output",
    "haystack.pipeline.output_data",
)


def read_error_mark(value: Any) -> bool | None:
    """Whether a tool failed; the mark is only set where it did."""
    return True if value is True else None


class Haystack(Dialect):
    """Spans of Haystack's own tracing."""

    name = "haystack"
    rank = 150
    fields = (
        SpanField("input", as_text, ("haystack.agent.step.tool.input",)),
        SpanField("output", as_text, (TOOL_OUTPUT,)),
        SpanField("tool_name", name_of, (TOOL_NAME,)),
        SpanField("tool_error", read_error_mark, ("haystack.tool.error",)),
        SpanField("tools", tool_data, ("haystack.agent.tools",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether any attribute is Haystack's."""
        return any(name.startswith(PREFIX) for name in attributes)

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Kind, and what is in the JSON of input and output."""
        kind = haystack_kind(span.attributes)
        if kind is SpanKind.TOOL:
            return {"kind": kind, **tool_fields(span.attributes)}
        given, made = payload(span.attributes, INPUTS), payload(span.attributes, OUTPUTS)
        if kind is SpanKind.LLM:
            return {"kind": kind, **model_call(given, made)}
        if kind is SpanKind.RETRIEVER or kind is SpanKind.RERANKER:
            return {"kind": kind, **retrieval(given, made)}
        return {
            "kind": kind,
            "agent_name": agent_name(span.attributes),
            **haystack_run(given, made),
        }


def haystack_kind(attributes: Mapping[str, Any]) -> SpanKind:
    """The kind of a span, by its attributes and by the class of the component that ran."""
    for attribute, kind in KINDS.items():
        if attribute in attributes:
            return kind
    component = str(attributes.get(COMPONENT_TYPE))
    kinds = (kind for ending, kind in COMPONENT_KINDS.items() if component.endswith(ending))
    return next(kinds, SpanKind.CHAIN)


def agent_name(attributes: Mapping[str, Any]) -> str | None:
    """The name of an agent: that of the component that it is."""
    is_agent = attributes.get(COMPONENT_TYPE) == "Agent"
    return name_of(attributes.get("haystack.component.name")) if is_agent else None


def payload(attributes: Mapping[str, Any], names: tuple[str, ...]) -> JsonObject:
    """The JSON object under the first of ``names`` that there is."""
    value = held_json(next((attributes[name] for name in names if name in attributes), None))
    return value if isinstance(value, dict) else {}


def tool_fields(attributes: Mapping[str, Any]) -> JsonObject:
    """That a tool did not fail, for one with a result: only the others have the mark of an error."""
    return {"tool_error": False} if TOOL_OUTPUT in attributes else {}


def model_call(given: JsonObject, made: JsonObject) -> JsonObject:
    """The messages and numbers of a model call."""
    replies = chat_messages(made.get("replies"))
    metas = items_of(made.get("meta")) or [reply.get("meta") for reply in replies]
    meta = metas[0] if metas and isinstance(metas[0], dict) else {}
    prompt = given.get("prompt")
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else []
    usage = meta["usage"] if isinstance(meta.get("usage"), dict) else {}
    return {
        "input_messages": chat_messages(given.get("messages")) or asked or None,
        "output_messages": replies or None,
        "tools": tool_data(given.get("tools")),
        "finish_reason": name_of(meta.get("finish_reason")),
        "model_name": name_of(meta.get("model")),
        "prompt_tokens": integer_of(first_of(usage, "prompt_tokens", "input_tokens")),
        "completion_tokens": integer_of(first_of(usage, "completion_tokens", "output_tokens")),
        "total_tokens": integer_of(usage.get("total_tokens")),
    }


def retrieval(given: JsonObject, made: JsonObject) -> JsonObject:
    """The query and the documents of a retriever or ranker."""
    return {"input": as_text(given.get("query")), "documents": items_of(made.get("documents"))}


def haystack_run(given: JsonObject, made: JsonObject) -> JsonObject:
    """What an agent, a component or a pipeline was asked, and what it answered.

    A pipeline has an object for each component. What is in none of the known forms is the input or
    the output as it is.
    """
    asked, answered = messages_of(given), messages_of(made)
    last_request = max((n for n, m in enumerate(answered) if m["role"] == "user"), default=-1)
    return {
        "input_messages": answered[: last_request + 1] or asked or None,
        "output_messages": answered[last_request + 1 :] or None,
        "finish_reason": name_of(exit_reason(made)),
        "input": None if asked else only_text(given),
        "output": None if answered else only_text(made),
    }


def messages_of(value: JsonObject) -> list[JsonObject]:
    """The messages in the input or output of a run, or of the first component that has any."""
    for holder in (value, *value.values()):
        if isinstance(holder, dict):
            found = chat_messages(first_of(holder, "messages", "replies"))
            if found:
                return found
    return []


def exit_reason(made: JsonObject) -> Any:
    """Why an agent ended, by its output or by that of the first component that says so."""
    holders = (holder for holder in (made, *made.values()) if isinstance(holder, dict))
    return next((holder["exit_reason"] for holder in holders if "exit_reason" in holder), None)


def only_text(value: JsonObject) -> str | None:
    """The text in ``value`` where it holds nothing else, else its JSON; None where it is empty."""
    held: Any = value
    while isinstance(held, dict | list) and len(held) == 1:
        (held,) = held.values() if isinstance(held, dict) else held
    return held if isinstance(held, str) else as_text(value or None)
