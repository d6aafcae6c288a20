"""LangSmith's runs as OpenTelemetry spans, which its SDKs export.

Every run has its inputs and outputs as one JSON object each, under the names that OpenTelemetry
GenAI had for a prompt and a completion; for a model call they are the request and the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.dialects.otel_genai import GEN_AI_COMPLETION, GEN_AI_PROMPT
from halo_adapters.json_values import held_json, name_of
from halo_adapters.messages.recorded_io import recorded_fields, sole_value
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.schema import SpanKind

RUN_TYPE = "langsmith.span.kind"
METADATA = "langsmith.metadata."
# The types of runs; ``gen_ai.operation.name`` has "chat" for a prompt too, "embeddings" for a
# retriever.
RUN_TYPE_KINDS = {
    "llm": SpanKind.LLM,
    "chain": SpanKind.CHAIN,
    "tool": SpanKind.TOOL,
    "retriever": SpanKind.RETRIEVER,
    "embedding": SpanKind.EMBEDDING,
    "prompt": SpanKind.PROMPT,
    "parser": SpanKind.CHAIN,
}


def read_run_type(value: Any) -> SpanKind | None:
    """The span kind of a type of runs."""
    return RUN_TYPE_KINDS.get(value) if isinstance(value, str) else None


class LangSmith(Dialect):
    """Attributes named ``langsmith.*``, with ``gen_ai.prompt`` and ``gen_ai.completion``."""

    name = "langsmith"
    rank = 150
    fields = (
        SpanField("kind", read_run_type, (RUN_TYPE,)),
        # the keys of metadata by which LangSmith itself groups runs into threads
        SpanField(
            "session_id",
            name_of,
            tuple(METADATA + key for key in ("session_id", "thread_id", "conversation_id")),
        ),
        SpanField("user_id", name_of, (METADATA + "user_id",)),
        SpanField("model_name", name_of, (METADATA + "ls_model_name",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span is a run of LangSmith."""
        return RUN_TYPE in attributes

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Inputs and outputs, as the type of the run has them."""
        kind = fields.get("kind")
        given = held_json(span.attributes.get(GEN_AI_PROMPT))
        returned = held_json(span.attributes.get(GEN_AI_COMPLETION))
        if kind is not SpanKind.LLM:
            given, returned = unwrapped_input(given), unwrapped_output(returned)
            if returned is None and kind in RUN_KINDS and GEN_AI_COMPLETION in span.attributes:
                returned = "null"
        no_messages: dict[str, Any] = {"input_messages": [], "output_messages": []}
        return no_messages | recorded_fields(kind, given, returned)


def unwrapped_input(given: Any) -> Any:
    """The arguments of a tool of LangChain, which are text under the name ``input``."""
    text = sole_value(given) if isinstance(given, dict) and "input" in given else None
    return text if isinstance(text, str) and text.startswith("{") else given


def unwrapped_output(returned: Any) -> Any:
    """What a function returned: LangSmith wraps all but objects."""
    is_wrapped = isinstance(returned, dict) and returned.keys() == {"output"}
    return returned["output"] if is_wrapped else returned
