"""LangChain and LangGraph as the OpenInference instrumentation records them.

The instrumentation writes the ``Run`` of LangChain's own tracer: its inputs and outputs as JSON,
messages as LangChain serialises them. See ``openinference.instrumentation.langchain._tracer``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject, held_object, name_of, parse_json
from halo_adapters.messages.parts import first_of
from halo_adapters.messages.payloads import message_objects
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

# LangChain keeps tool calls aside whose arguments are not JSON.
INVALID_CALLS = re.compile(r'"invalid_tool_calls":\s*\[\s*\{')

# In the parameters of each of its models: the type that LangChain gives it.
MODEL_TYPE = '"_type"'


# The keys of a run's metadata by which LangChain's own platform groups runs, and that of the user.
IN_METADATA = {
    "session_id": ("session_id", "conversation_id", "thread_id"),
    "user_id": ("user_id",),
}


class Member(NamedTuple):
    """A member of an object that is recorded as JSON, which has another one beside it.

    ``marks`` are both names as they are written.
    """

    name: str
    beside: str
    marks: tuple[str, str]


def member_called(name: str, *, beside: str) -> Member:
    """The member called ``name``."""
    return Member(name, beside, (f'"{name}"', f'"{beside}"'))


# A command of LangGraph that goes on with a run; the state of an agent that answers with an object;
# what an executor of agents gives.
RESUMED = member_called("resume", beside="goto")
STRUCTURED_ANSWER = member_called("structured_response", beside="messages")
EXECUTOR_ANSWER = member_called("output", beside="intermediate_steps")


class LangChain(Dialect):
    """What the runs of LangChain have that the OpenInference conventions have no name for."""

    name = "langchain"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; what it holds tells."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    @only_for(attributes=[SpanAttributes.METADATA])
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Session and user, where only the metadata of the run has them."""
        recorded = span.attributes[SpanAttributes.METADATA]
        if recorded is None or fields.keys() >= IN_METADATA.keys():
            return {}
        wanted = {field: keys for field, keys in IN_METADATA.items() if field not in fields}
        text = as_text(recorded) or ""
        if not any(f'"{key}"' in text for keys in wanted.values() for key in keys):
            return {}
        metadata = held_object(recorded)
        return {field: name_of(first_of(metadata, *keys)) for field, keys in wanted.items()}

    @only_for(SpanKind.LLM, *RUN_KINDS)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The true kind, calls that LangChain found invalid, texts that are not messages."""
        kind, output = fields["kind"], fields.get("output") or ""
        if kind is SpanKind.AGENT and (true_kind := kind_beside_name(span.attributes)):
            return {"kind": true_kind}
        if kind is not SpanKind.LLM:
            return run_texts(fields)
        if INVALID_CALLS.search(output):
            return {"output_messages": message_objects(parse_json(output), "assistant")}
        return {}


def kind_beside_name(attributes: Mapping[str, Any]) -> SpanKind | None:
    """The kind of a run that counts as an agent only because its name has "agent" in it."""
    if SpanAttributes.TOOL_NAME in attributes:
        return SpanKind.TOOL
    parameters = as_text(attributes.get(SpanAttributes.LLM_INVOCATION_PARAMETERS))
    return SpanKind.LLM if parameters and MODEL_TYPE in parameters else None


def run_texts(fields: Mapping[str, Any]) -> JsonObject:
    """What a person answered to a run that waited, and what a run answers beside its messages."""
    found: JsonObject = {}
    if (resumed := member_of(fields.get("input"), RESUMED)) is not None:
        found["input"] = resumed
    for answer in (STRUCTURED_ANSWER, EXECUTOR_ANSWER):
        if (text := member_of(fields.get("output"), answer)) is not None:
            found["output"] = text
    return found


def member_of(text: str | None, member: Member) -> str | None:
    """The member of the object that ``text`` holds, as text; None where there is none."""
    if not text or not all(map(text.__contains__, member.marks)):
        return None
    value = parse_json(text)
    is_it = isinstance(value, dict) and member.beside in value
    return as_text(value.get(member.name)) if is_it else None
