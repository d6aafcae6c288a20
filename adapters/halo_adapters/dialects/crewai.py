"""CrewAI as the OpenInference instrumentation records it.

A crew and its tasks record what CrewAI returns: an object with the answer as ``raw``, which holds
the whole conversation as well. See ``openinference.instrumentation.crewai``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.payloads import message_objects
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text

CREW_TASKS, CREW_INPUTS = "crew_tasks", "crew_inputs"
TASK_DESCRIPTIONS = ("task_description", "formatted_description")
NAMES = frozenset({"crew_key", CREW_TASKS, "task_key", "task_id", "agent.goal"})


class CrewAI(Dialect):
    """The runs of crews, of tasks and of agents."""

    name = "crewai"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span is that of a crew, a task or an agent."""
        return not NAMES.isdisjoint(attributes)

    @only_for(*RUN_KINDS)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Question and answer of a run out of what it was called with and returned."""
        result = result_in(fields.get("output"))
        found: JsonObject = {
            "input": asked_of_crew(span.attributes) or asked_of_task(span.attributes, result)
        }
        if result:
            found["output"] = as_text(result["raw"])
            found["output_messages"] = conversation(result) or None
        return {field: value for field, value in found.items() if value is not None}


def result_in(output: str | None) -> JsonObject:
    """The result of a crew or a task that ``output`` holds; an empty one where there is none."""
    value = parse_json(output) if output and '"raw"' in output else None
    return value if isinstance(value, dict) and "raw" in value else {}


def asked_of_crew(attributes: Mapping[str, Any]) -> str | None:
    """The descriptions of the tasks of a crew; None where it was called with inputs for them."""
    if attributes.get(CREW_INPUTS):
        return None
    tasks = items_of(attributes.get(CREW_TASKS)) or ()
    texts = [name_of(task.get("description")) for task in tasks if isinstance(task, dict)]
    return "\n\n".join(filter(None, texts)) or None


def asked_of_task(attributes: Mapping[str, Any], result: JsonObject) -> str | None:
    """The description of a task, which is recorded with its result, or beside it."""
    recorded = (attributes.get(name) for name in TASK_DESCRIPTIONS)
    return name_of(next(filter(None, recorded), None) or result.get("description"))


def conversation(result: JsonObject) -> list[JsonObject]:
    """The messages of a task after its prompt, with the failures of tools that the result lists."""
    messages = message_objects(result.get("messages"), "assistant")
    first = next((i for i, m in enumerate(messages) if m.get("role") == "assistant"), 0)
    failures = list(failures_in(result))
    return [with_failure(message, failures) for message in messages[first:]]


def failures_in(result: JsonObject) -> list[tuple[str | None, str]]:
    """Tool and message of each failure of a tool that a task lists."""
    listed = [
        item for item in items_of(result.get("tool_failures")) or () if isinstance(item, dict)
    ]
    told = ((item.get("tool_name"), item.get("failure")) for item in listed)
    return [
        (name_of(tool), message)
        for tool, failure in told
        if isinstance(failure, dict) and (message := name_of(failure.get("message")))
    ]


def with_failure(message: JsonObject, failures: list[tuple[str | None, str]]) -> JsonObject:
    """``message``, marked as an error where it tells one of ``failures``."""
    if message.get("role") != "tool":
        return message
    text = as_text(message.get("content")) or ""
    failed = any(tool == message.get("name") and told in text for tool, told in failures)
    return {**message, "is_error": failed}
