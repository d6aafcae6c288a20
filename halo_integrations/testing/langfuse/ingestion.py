"""An OTLP span as the observation that Langfuse 4.16 makes of it, held to recordings by a test.

Not done: tokens and costs that Langfuse works out itself, for models that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from halo_integrations.testing.langfuse.content import (
    content_of,
    flat_metadata,
    is_taken,
    with_tools,
)
from halo_integrations.testing.langfuse.javascript import parsed, text_of
from halo_integrations.testing.langfuse.observations import iso_time, with_defaults
from halo_integrations.testing.langfuse.otlp import EPOCH, OtlpSpan, Row

LEVELS = {
    **dict.fromkeys(("DEBUG", "TRACE", "VERBOSE"), "DEBUG"),
    **dict.fromkeys(("DEFAULT", "INFO", "LOG", "NOTICE", "OK", "SUCCESS"), "DEFAULT"),
    **dict.fromkeys(("WARNING", "WARN"), "WARNING"),
    **dict.fromkeys(("ERROR", "FATAL", "CRITICAL"), "ERROR"),
}
# Attributes that give the type, by their values.
TYPES: tuple[tuple[str, Row], ...] = (
    (
        "langfuse.observation.type",
        {
            kind: kind.upper()
            for kind in (
                *("span", "generation", "event", "embedding", "agent", "tool", "chain"),
                *("retriever", "guardrail", "evaluator"),
            )
        },
    ),
    (
        "openinference.span.kind",
        {
            "LLM": "GENERATION",
            **{
                kind: kind
                for kind in (
                    *("CHAIN", "RETRIEVER", "EMBEDDING", "AGENT", "TOOL", "GUARDRAIL", "EVALUATOR"),
                )
            },
        },
    ),
    (
        "gen_ai.operation.name",
        {
            **dict.fromkeys(("chat", "completion", "text_completion"), "GENERATION"),
            **dict.fromkeys(("generate_content", "generate"), "GENERATION"),
            **dict.fromkeys(("invoke_agent", "create_agent"), "AGENT"),
            "embeddings": "EMBEDDING",
            "execute_tool": "TOOL",
        },
    ),
)
VERCEL_GENERATIONS = tuple(
    f"ai.{call}" for call in ("generateText.doGenerate", "streamText.doStream")
)
MODELS = (
    *("langfuse.observation.model.name", "gen_ai.response.model", "ai.model.id"),
    *("gen_ai.request.model", "llm.response.model", "llm.model_name", "model"),
)
USERS = ("langfuse.user.id", "user.id", "ai.telemetry.metadata.userId")
SESSIONS = (
    *("langfuse.session.id", "session.id", "gen_ai.conversation.id"),
    "ai.telemetry.metadata.sessionId",
)
TAGS = ("langfuse.trace.tags", "langfuse.tags", "ai.telemetry.metadata.tags", "tag.tags")
ENVIRONMENTS = ("langfuse.environment", "deployment.environment.name", "deployment.environment")
AGENT_OPERATIONS = ("invoke_agent", "agent_step")

COUNTS = ("gen_ai.usage.", "llm.token_count.")
# Names of counts of tokens -> the type of tokens that they are.
TOKENS = {
    "input": ("prompt_tokens", "input_tokens", "prompt"),
    "output": ("completion_tokens", "output_tokens", "completion"),
    "total": ("total_tokens", "total"),
    "input_cached_tokens": (
        *("cache_read.input_tokens", "cache_read_input_tokens", "cache_read_tokens"),
        *("details.cache_read_tokens", "details.cache_read_input_tokens"),
        *("prompt_details.cache_read", "input_cached_tokens"),
    ),
    "input_cache_creation": (
        *("cache_creation.input_tokens", "cache_creation_input_tokens", "cache_write_tokens"),
        *("details.cache_write_tokens", "details.cache_creation_input_tokens"),
        *("prompt_details.cache_write", "input_cache_creation"),
    ),
    "output_reasoning_tokens": ("reasoning.output_tokens", "completion_details.reasoning"),
    "output_audio_tokens": ("completion_details.audio",),
}


def observation_of(span: OtlpSpan, project_id: str) -> Row:
    """The observation of a span."""
    content = content_of(span)
    kept = {name: text_of(value) for name, value in span.attributes.items() if not is_taken(name)}
    if span.scope.get("name", "").startswith("langfuse-sdk"):
        kept = {}
    given, kept = with_tools(content.input, kept)
    is_agent = span.attributes.get("gen_ai.operation.name") in AGENT_OPERATIONS
    name = name_of_observation(span)
    return with_defaults(
        {
            "id": span.span_id,
            "traceId": span.trace_id,
            "parentObservationId": span.parent_span_id,
            "startTime": time_of(span.start),
            "endTime": time_of(span.end),
            "type": type_of_span(span),
            "name": name,
            "level": level_of(span),
            "statusMessage": first(span.attributes, ["langfuse.observation.status_message"])
            or span.status_message,
            "version": first(span.attributes, ["langfuse.version"])
            or text_of(span.resource.get("service.version") or ""),
            "environment": environment_of(span),
            "completionStartTime": span.attributes.get(
                "langfuse.observation.completion_start_time"
            ),
            "input": given or None,
            "output": content.output or None,
            "metadata": {
                "attributes": kept,
                "resourceAttributes": span.resource,
                "scope": span.scope,
                **dict(flat_metadata(span)),
            },
            "model": "" if is_agent else first(span.attributes, MODELS),
            "modelParameters": model_parameters(span),
            "usageDetails": {} if is_agent else usage_of(span),
            "costDetails": {} if is_agent else cost_of(span),
            "userId": first(span.attributes, USERS),
            "sessionId": first(span.attributes, SESSIONS),
            "traceName": span.attributes.get("langfuse.trace.name")
            or (None if span.parent_span_id else name),
            "release": first(span.attributes | span.resource, ["langfuse.release"]),
            "tags": tags_of(span),
        },
        project_id,
    )


def first(attributes: Row, names: Iterable[str]) -> str:
    """The first of the named attributes that holds something, as text; "" where none does."""
    return next((text_of(attributes[name]) for name in names if attributes.get(name)), "")


def time_of(nanoseconds: int) -> str:
    """A time in ISO 8601, rounded down to milliseconds."""
    return iso_time(EPOCH + timedelta(milliseconds=nanoseconds // 1_000_000))


def name_of_observation(span: OtlpSpan) -> str:
    """The name: that of a tool or an operation of the AI SDK, else of the span."""
    found = span.attributes
    if named := first(found, ["gen_ai.tool.name", "logfire.msg", "ai.toolCall.name"]):
        return named
    if operation := first(found, ["ai.operationId"]):
        function = first(found, ["ai.telemetry.functionId"])
        return f"{function}:{operation}" if function else operation
    return span.name


def level_of(span: OtlpSpan) -> str:
    """ERROR where the status is; or the level that the attributes name."""
    named = LEVELS.get(first(span.attributes, ["langfuse.observation.level"]).strip().upper())
    return named or ("ERROR" if span.is_error else "DEFAULT")


def type_of_span(span: OtlpSpan) -> str:
    """The type of the observation; SPAN where nothing tells."""
    found = span.attributes
    for name, types in TYPES:
        if (kind := types.get(str(found.get(name)))) is not None:
            return str(kind)
    operation = first(found, ["ai.operationId"]) or first(found, ["operation.name"])
    if operation.startswith("ai."):
        if operation.startswith(VERCEL_GENERATIONS) and first(found, MODELS):
            return "GENERATION"
        if operation.startswith("ai.toolCall"):
            return "TOOL"
    if found.get("gen_ai.tool.name") or found.get("gen_ai.tool.call.id"):
        return "TOOL"
    return "GENERATION" if first(found, [n for n in MODELS if n != "ai.model.id"]) else "SPAN"


def environment_of(span: OtlpSpan) -> str:
    """The environment in lower case, without the prefix that is Langfuse's own."""
    for name in ENVIRONMENTS:
        for holder in (span.attributes, span.resource):
            if holder.get(name):
                return text_of(holder[name]).lower().removeprefix("langfuse-")[:40]
    return "default"


def tags_of(span: OtlpSpan) -> list[str]:
    """The tags, from a list or from text with commas."""
    found: Any = next((parsed(span.attributes[n]) for n in TAGS if span.attributes.get(n)), [])
    if isinstance(found, str):
        return [tag.strip() for tag in found.split(",")]
    return [str(tag) for tag in found] if isinstance(found, list) else []


def model_parameters(span: OtlpSpan) -> Row:
    """The parameters of a model call: texts and numbers as they are, others as JSON."""
    found = span.attributes
    explicit = parsed(found.get("langfuse.observation.model.parameters"))
    if span.scope.get("name") == "ai":
        return {**vercel_parameters(found), **(explicit if isinstance(explicit, dict) else {})}
    for given in (explicit, parsed(found.get("llm.invocation_parameters"))):
        if isinstance(given, dict):
            return sanitized(given)
    prefixes = ("gen_ai.request.", "llm.invocation_parameters.")
    return sanitized(
        {
            name.removeprefix(prefix): value
            for prefix in prefixes
            for name, value in found.items()
            if name.startswith(prefix) and name != "gen_ai.request.model"
        }
    )


def sanitized(parameters: Row) -> Row:
    """Parameters with each value that is neither text nor number as JSON."""
    return {
        name: value
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else text_of(value)
        for name, value in parameters.items()
    }


def vercel_parameters(found: Row) -> Row:
    """The parameters of the AI SDK, each under its own name, null where it is not set."""
    names = {
        "maxSteps": ("ai.settings.maxSteps",),
        "toolChoice": ("ai.prompt.toolChoice",),
        "maxTokens": ("gen_ai.request.max_tokens",),
        "finishReason": ("gen_ai.response.finish_reasons",),
        "system": ("gen_ai.system", "ai.model.provider"),
        "maxRetries": ("ai.settings.maxRetries",),
        "mode": ("ai.settings.mode",),
        "temperature": ("gen_ai.request.temperature",),
        "service_tier": ("gen_ai.request.service_tier",),
    }
    return {
        name: next((joined(found[n]) for n in attributes if n in found), None)
        for name, attributes in names.items()
    }


def joined(value: Any) -> str:
    """A value as JavaScript makes it text: a list joined by commas."""
    return ",".join(map(text_of, value)) if isinstance(value, list) else text_of(value)


def usage_of(span: OtlpSpan) -> Row:
    """The tokens that the span records, by type; types are disjoint."""
    own = parsed(span.attributes.get("langfuse.observation.usage_details"))
    if isinstance(own, dict):
        return with_total(usage_of_provider(own))
    if span.scope.get("name") == "ai":
        return with_total(disjoint({"input_tokens": 0, "output_tokens": 0, **vercel_counts(span)}))
    counts = {
        name.removeprefix(prefix): value
        for prefix in COUNTS
        for name, value in span.attributes.items()
        if name.startswith(prefix) and name != "gen_ai.usage.cost" and isinstance(value, int)
    }
    return with_total(disjoint(counts))


def vercel_counts(span: OtlpSpan) -> Row:
    """The counts of the AI SDK, under the names of OpenTelemetry."""
    names = {
        "input_tokens": ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        "output_tokens": ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
        "input_cached_tokens": ("ai.usage.cachedInputTokens",),
        "reasoning.output_tokens": ("ai.usage.reasoningTokens",),
        "total_tokens": ("ai.usage.tokens",),
    }
    found = span.attributes
    return {
        name: next(found[n] for n in attributes if n in found)
        for name, attributes in names.items()
        if any(n in found for n in attributes)
    }


def usage_of_provider(usage: Row) -> Row:
    """The usage that OpenAI's APIs return, by type; any other as it is."""
    for given, returned in (("prompt", "completion"), ("input", "output")):
        names = {f"{given}_tokens": "input", f"{returned}_tokens": "output"}
        details = {f"{name}_details": side for name, side in names.items()}
        if names.keys() <= usage.keys() <= {*names, *details, "total_tokens"}:
            types = {side: usage[name] for name, side in names.items()}
            for name, side in details.items():
                held = usage.get(name) or {}
                parts = {f"{side}_{part}": n for part, n in held.items() if n is not None}
                types = {**types, **parts, side: max(0, types[side] - sum(parts.values()))}
            return {**types, "total": usage["total_tokens"]}
    return {name: n for name, n in usage.items() if isinstance(n, int)}


def disjoint(counts: Row) -> Row:
    """Counts of tokens by type: what is counted apart is taken from its side."""
    known = {n for names in TOKENS.values() for n in names}
    types = {n.removeprefix("details."): v for n, v in counts.items() if n not in known}
    for name, spellings in TOKENS.items():
        if (value := next((counts[n] for n in spellings if n in counts), None)) is not None:
            types[name] = value
    for side in ("input", "output"):
        if side in types:
            parts = [n for n in TOKENS if n.startswith(f"{side}_")]
            types[side] = max(0, types[side] - sum(types.get(part, 0) for part in parts))
    return types


def with_total(types: Row) -> Row:
    """Types of tokens with their sum, unless that is known."""
    return {**types, "total": types.get("total", sum(types.values()))} if types else {}


def cost_of(span: OtlpSpan) -> Row:
    """The cost that the span records."""
    own = parsed(span.attributes.get("langfuse.observation.cost_details"))
    if isinstance(own, dict):
        return own
    names = ("gen_ai.usage.cost", "llm.cost.total")
    total = next(
        (span.attributes[n] for n in names if span.attributes.get(n) not in (None, "")), None
    )
    return {} if total is None else {"total": total}
