"""LiteLLM's own OpenTelemetry callback.

A call is ``litellm_request`` with a ``raw_gen_ai_request`` in it, which holds the provider's request
and response, in Python's notation. Where another span is open, LiteLLM makes no ``litellm_request``:
it writes the attributes of each call onto that span, one over the other, beside a raw request for
each. So the raw request is read as the model call, and the span around it as a step. There is no raw
request of a call that failed, where contents are not recorded, and with the latest conventions of
OpenTelemetry GenAI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.dialects.otel_genai import (
    GEN_AI_COMPLETION,
    GEN_AI_OUTPUT_MESSAGES,
    GEN_AI_RESPONSE_FINISH_REASONS,
    read_finish_reason,
)
from halo_adapters.json_values import name_of, number_of, parse_json
from halo_adapters.messages.payloads import call_fields
from halo_adapters.messages.python_reprs import python_literal
from halo_engine.schema import SpanKind

CALL_ID = "litellm.call_id"
REQUEST_SPAN = "litellm_request"
# Conventions before those of OpenTelemetry GenAI 1.38 name the provider so.
EARLIER_CONVENTIONS = "gen_ai.system"
RAW = re.compile(r"llm\.(\w+)\.(?:messages|choices|contents|candidates|input|output)")
ANSWER_KEYS = frozenset(
    {"choices", "candidates", "output", "content", "role", "stop_reason", "usage", "usageMetadata"}
)
NO_CALL: dict[str, Any] = {"output_messages": [], "tools": []}
LEFT_BY_A_CALL = (
    *("output", "output_messages", "tools", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cost"),
)


class LiteLLM(Dialect):
    """Attributes named ``litellm.*``, and ``llm.PROVIDER.*`` of raw requests."""

    name = "litellm"
    rank = 150
    fields = (
        SpanField("cost", number_of, ("gen_ai.cost.total_cost",)),
        SpanField("user_id", name_of, ("llm.user", "metadata.user_api_key_end_user_id")),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether LiteLLM wrote a call, or a raw request, onto the span."""
        return CALL_ID in attributes or any(map(RAW.fullmatch, attributes))

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The kind of the span, and the request and response that it holds."""
        attributes = span.attributes
        if CALL_ID not in attributes:
            return raw_request_fields(attributes)
        if is_around_a_raw_request(span):
            return {"kind": SpanKind.CHAIN, **NO_CALL}
        calls = items_of(attributes.get(GEN_AI_COMPLETION))
        reason = read_finish_reason(attributes.get(GEN_AI_RESPONSE_FINISH_REASONS))
        found: dict[str, Any] = {"kind": SpanKind.LLM}
        if calls and reason == "tool_calls":
            requested = [call.get("function_call") for call in calls if isinstance(call, dict)]
            found["output_messages"] = [{"role": "assistant", "tool_calls": requested}]
        return found

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """A step without what the last call has left on it, also where a platform calls it a call."""
        if CALL_ID not in span.attributes or not is_around_a_raw_request(span):
            return {}
        return {"kind": SpanKind.CHAIN, **dict.fromkeys(LEFT_BY_A_CALL)}


def is_around_a_raw_request(span: RawSpan) -> bool:
    """Whether the raw request of the call is a span in this one; or it is that of an application."""
    is_of_application = span.name != REQUEST_SPAN or GEN_AI_OUTPUT_MESSAGES in span.attributes
    return is_of_application and EARLIER_CONVENTIONS in span.attributes


def raw_request_fields(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model call in a raw request."""
    provider = next(match[1] for name in attributes if (match := RAW.fullmatch(name)))
    prefix = f"llm.{provider}."
    values = {
        name.removeprefix(prefix): parsed_value(value)
        for name, value in attributes.items()
        if name.startswith(prefix)
    }
    request = {key: value for key, value in values.items() if key not in ANSWER_KEYS}
    answer = {key: value for key, value in values.items() if key in ANSWER_KEYS}
    return {
        "kind": SpanKind.LLM,
        **call_fields(request, answer),
        "model_name": name_of(values.get("model")),
    }


def parsed_value(value: Any) -> Any:
    """The value that a text encodes in Python's notation or as JSON; any other as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    found = python_literal(value)
    return parse_json(value) if found is None else found
