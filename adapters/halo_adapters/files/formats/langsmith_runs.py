"""LangSmith's runs, as its API and SDK give them and its bulk export writes them.

They get the attributes under which LangSmith's SDKs export runs to OpenTelemetry, so that both are
read by one dialect. Inputs and outputs are text in the bulk export, else objects. The ``session_id``
of a run is that of its project; that of the conversation is in the metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.dialects.langsmith import METADATA, RUN_TYPE
from halo_adapters.dialects.otel_genai import (
    EXTRA_USAGE_COST,
    EXTRA_USAGE_TOTAL_TOKENS,
    GEN_AI_COMPLETION,
    GEN_AI_PROMPT,
    GEN_AI_REQUEST_MODEL,
    GEN_AI_TOOL_DEFINITIONS,
    GEN_AI_TOOL_NAME,
    GEN_AI_USAGE_INPUT_TOKENS,
    GEN_AI_USAGE_OUTPUT_TOKENS,
)
from halo_adapters.files.formats.base import SpanRow
from halo_adapters.json_values import JsonObject, held_json, json_safe
from halo_adapters.otlp import member_object, object_or_empty
from halo_engine.fields import as_text

# Fields of a run that are attributes as they are.
RUN_FIELDS = {
    "run_type": RUN_TYPE,
    "name": "langsmith.trace.name",
    "session_name": "langsmith.trace.session_name",
    "prompt_tokens": GEN_AI_USAGE_INPUT_TOKENS,
    "completion_tokens": GEN_AI_USAGE_OUTPUT_TOKENS,
    "total_tokens": EXTRA_USAGE_TOTAL_TOKENS,
    "total_cost": EXTRA_USAGE_COST,
}


class LangSmithRuns:
    """Runs one by one, or with the runs below them."""

    title = "LangSmith's runs"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is a run."""
        return "run_type" in value and "id" in value

    def rows(self, value: JsonObject) -> Iterator[SpanRow | list[Any]]:
        """The run itself, then those below it."""
        yield SpanRow(span_of_run(value), {})
        if isinstance(value.get("child_runs"), list):
            yield value["child_runs"]


def span_of_run(run: JsonObject) -> JsonObject:
    """``run`` under the names of OpenTelemetry."""
    error = run.get("error")
    return {
        "trace_id": run.get("trace_id") or run.get("id"),
        "span_id": run.get("id"),
        "parent_span_id": run.get("parent_run_id"),
        "name": run.get("name"),
        "start_time": run.get("start_time"),
        "end_time": run.get("end_time"),
        "status": {"code": "ERROR" if error else "OK", "message": error},
        "attributes": run_attributes(run),
    }


def run_attributes(run: JsonObject) -> JsonObject:
    """The attributes of ``run``."""
    extra = object_or_empty(held_json(run.get("extra")))
    parameters = member_object(extra, "invocation_params")
    payloads = {GEN_AI_PROMPT: run.get("inputs"), GEN_AI_COMPLETION: run.get("outputs")}
    found = {
        **{name: run.get(field) for field, name in RUN_FIELDS.items()},
        **{name: as_text(json_safe(value)) for name, value in payloads.items()},
        **{METADATA + key: value for key, value in member_object(extra, "metadata").items()},
        GEN_AI_REQUEST_MODEL: parameters.get("model") or parameters.get("model_name"),
        GEN_AI_TOOL_DEFINITIONS: parameters.get("tools"),
        GEN_AI_TOOL_NAME: run.get("name") if run.get("run_type") == "tool" else None,
    }
    return {name: value for name, value in found.items() if value is not None}
