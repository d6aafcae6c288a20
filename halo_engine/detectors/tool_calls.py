"""Detectors of invalid tool calls: unknown tool, not JSON, against the schema (D07 to D09)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

import orjson
from jsonschema.exceptions import ValidationError

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite
from halo_engine.detectors.json_schema import SchemaCheck, schema_check
from halo_engine.detectors.span_text import NotJson, decode_json, error_text
from halo_engine.detectors.trace_index import ToolCallRef, TraceIndex
from halo_engine.findings import Severity
from halo_engine.schema import ToolDefinition, Trace
from halo_engine.text.redaction import PLACEHOLDER

NO_CALLS = "no tool calls by a model"
MAX_VIOLATIONS = 5  # reported for one call
MAX_QUOTES = 3
SEARCHED = 1000  # characters of an error in which the missing tool is named

# Answers of runtimes to a call of a tool that they do not have.
NO_SUCH_TOOL = re.compile(
    r"(?i)\b(?:tool\W{1,3}[\w.-]{1,80}\W{1,3}(?:is\s)?(?:not found|does not exist|not a valid tool)"
    r"|[\w.-]{1,80}\sis not a valid tool"
    r"|(?:unknown|no such) tool\b)"
)


@detector(
    id="D07",
    failure_mode="hallucinated_tool",
    severity=Severity.HIGH,
    title="The model calls {tool}, a tool that it does not have",
    recommendation=(
        "Make the prompt and the declared tools agree: remove mentions of the tool, or declare it. "
        "If a similar tool exists, rename it to what the model expects, and let the error for an "
        "unknown tool list the valid names."
    ),
    reads_texts=False,
)
def unknown_tool(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A called name that the same LLM span does not declare; the comparison is case-sensitive.

    Where tool runs are recorded, a run that failed because there is no such tool counts as well, so
    that the trace is judged even without declared tools; and a tool that ran without error exists,
    declared or not.
    """
    trace = index.trace
    refused = list(refused_calls(index, detector))
    judged = [call for call in index.tool_calls if call.requested.name and declares_by_name(call)]
    yield from refused
    if not judged and not index.tool_runs:
        yield detector.not_applicable(
            trace, "no tool calls" if not index.tool_calls else "no declared tools"
        )
        return
    known = {run.tool for run in index.tool_runs if not run.failed} | {s.tool for s in refused}
    for call in judged:
        if call.tool not in known and call.tool not in declared_names(call):
            yield undeclared_call(trace, detector, call)


def declares_by_name(call: ToolCallRef) -> bool:
    """Whether the call's LLM span declares tools, and each with a name."""
    return bool(call.span.tools) and all(tool.name for tool in call.span.tools)


def declared_names(call: ToolCallRef) -> list[str]:
    """The names of the tools that the call's LLM span declares."""
    return [tool.name for tool in call.span.tools if tool.name]


def undeclared_call(trace: Trace, detector: Detector, call: ToolCallRef) -> Signal:
    """The signal for a call of a tool that is not declared, with the closest name that is."""
    names = declared_names(call)
    closest = difflib.get_close_matches(call.tool, names, n=1)
    hint = f"; the closest is {closest[0]}" if closest else ""
    reason = f"{call.tool} is not among the {len(names)} declared tools{hint}"
    quotes = [*call.cite()]
    if closest:
        quotes += cite(call.span, f"tools.{names.index(closest[0])}.name")
    return detector.signal(trace, call.span, reason, quotes, tool=call.tool)


def refused_calls(index: TraceIndex, detector: Detector) -> Iterator[Signal]:
    """A signal for each run that failed because there is no such tool."""
    for run in index.tool_runs:
        text = error_text(run.span) if run.span.is_error else run.output.text or ""
        if run.failed and NO_SUCH_TOOL.search(text[:SEARCHED]):
            reason = f"the runtime reports that there is no tool {run.tool}"
            yield detector.signal(index.trace, run.span, reason, run.cite(), tool=run.tool)


@detector(
    id="D08",
    failure_mode="invalid_tool_arguments",
    severity=Severity.MEDIUM,
    title="The arguments for {tool} are not JSON",
    recommendation=(
        "Use the provider's strict or structured tool calling if it has one, raise the token limit "
        "if the arguments are cut, and return the parse error to the model so that it can repair "
        "them."
    ),
)
def arguments_not_json(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The model's arguments are not JSON. An empty text is a call without arguments."""
    trace = index.trace
    calls = [call for call in index.tool_calls if call.requested.arguments is not None]
    if not calls:
        yield detector.not_applicable(trace, NO_CALLS)
    for call in calls:
        if problem := parse_error(call.requested.arguments or ""):
            quotes = [*call.cite()] or cite(call.span, "span_id")
            reason = f"the arguments do not parse: {problem}"
            yield detector.signal(trace, call.span, reason, quotes, tool=call.tool)


def parse_error(arguments: str) -> str | None:
    """Why the arguments do not parse, None if they do."""
    if not arguments.strip():
        return None
    try:
        decode_json(arguments)
    except NotJson as error:
        return str(error)
    except ValueError:
        return None
    return None


@detector(
    id="D09",
    failure_mode="invalid_tool_arguments",
    severity=Severity.MEDIUM,
    title="The arguments for {tool} break its schema: {message}",
    recommendation=(
        "Describe in the parameter's description what is expected, with an example; use strict tool "
        "calling; validate before running the tool and return the violation to the model."
    ),
)
def schema_violation(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The model's arguments fail the JSON Schema that the same LLM span declares for the tool."""
    trace = index.trace
    judged = False
    for call in index.tool_calls:
        found = violations(call)
        judged = judged or found is not None
        for message, quote_at in found or []:
            quotes = [*cite(call.span, f"{call.field}.arguments", quote_at), *call.cite()][
                :MAX_QUOTES
            ]
            reason = f"the arguments for {call.tool} break the declared schema: {message}"
            yield detector.signal(trace, call.span, reason, quotes, tool=call.tool, message=message)
    if not judged:
        yield detector.not_applicable(trace, "no tool calls with a declared schema")


def violations(call: ToolCallRef) -> list[tuple[str, int]] | None:
    """Each violation of the schema with its offset in the arguments; None if not to be judged."""
    declared = next((t for t in call.span.tools if t.name and t.name == call.requested.name), None)
    text = call.requested.arguments
    check = check_of_arguments(declared) if declared else None
    if check is None or text is None:
        return None
    try:
        arguments = decode_json(text) if text.strip() else {}
    except ValueError:
        return None
    errors = check.errors(arguments)
    if errors is None:
        return None
    judged = [error for error in errors if not is_masked(error.instance)]
    found = {message: at for error in judged for message, at in violations_of(error, text)}
    return list(found.items())[:MAX_VIOLATIONS]


def is_masked(value: Any) -> bool:
    """Whether a secret was masked in ``value``, so that what was there cannot be judged."""
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def check_of_arguments(tool: ToolDefinition) -> SchemaCheck | None:
    """The check of a tool's arguments, None where no usable schema was declared."""
    if not tool.parameters:
        return None
    try:
        return schema_check(orjson.dumps(tool.parameters))
    except TypeError:
        return None


def violations_of(error: ValidationError, text: str) -> Iterator[tuple[str, int]]:
    """The violations in an error, without the values of this call, with offsets in ``text``."""
    path = ".".join("[]" if isinstance(step, int) else str(step) for step in error.absolute_path)
    schema: Any = error.schema
    required: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        missing = [name for name in required if name not in instance]
        yield from ((f"{member_path(path, name)} is missing", 0) for name in missing)
    elif error.validator == "additionalProperties":
        declared = schema.get("properties", {})
        extra = [name for name in instance if name not in declared]
        yield from ((f"{member_path(path, n)} is not declared", offset_of(n, text)) for n in extra)
    else:
        yield f"{path or 'the whole'} {predicate_of(error)}", offset_of(path.split(".")[-1], text)


def predicate_of(error: ValidationError) -> str:
    """The second half of a violation's sentence, such as "is not of type string"."""
    if error.validator == "type":
        expected: Any = error.validator_value
        names = [expected] if isinstance(expected, str) else expected
        return f"is not of type {' or '.join(map(str, names))}"
    if error.validator in {"enum", "const", "anyOf", "oneOf"}:
        return "is none of what is allowed"
    return f"breaks {error.validator}"


def member_path(path: str, name: str) -> str:
    """The path of the member ``name`` of the object at ``path``."""
    return f"{path}.{name}" if path else name


def offset_of(name: str, text: str) -> int:
    """The offset of the first member ``name`` in a JSON text, 0 if there is none."""
    return max(0, text.find(f'"{name}"'))
