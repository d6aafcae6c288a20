"""Tool calls that cannot work as the model wrote them (D07 to D09)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, cite, detector
from halo_engine.detectors.span_text import NotJson, error_text, parsed
from halo_engine.detectors.trace_index import ToolCallRef, TraceIndex, read
from halo_engine.findings import Severity
from halo_engine.schema import ToolDefinition, Trace

NO_CALLS = "no tool calls by a model"
MAX_VIOLATIONS = 5

# How runtimes answer a call of a tool they do not have.
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
)
def unknown_tool(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A called name that the same LLM span does not declare; upper and lower case count.

    Where tools run, a runtime's own answer that it has no such tool counts as well (so a trace with
    such runs is judged even where nothing is declared), and a tool that ran without error is there,
    declared or not.
    """
    reading = read(trace)
    refused = list(refused_calls(reading, rule))
    judged = [call for call in reading.calls if call.asked.name and declares_by_name(call)]
    yield from refused
    if not judged and not reading.steps:
        yield rule.not_applicable(
            trace, "no tool calls" if not reading.calls else "no declared tools"
        )
        return
    known = {step.tool for step in reading.steps if not step.failed} | {s.tool for s in refused}
    for call in judged:
        if call.tool not in known and call.tool not in declared_names(call):
            yield undeclared(trace, rule, call)


def declares_by_name(call: ToolCallRef) -> bool:
    """Whether the call's LLM span declares tools, and each with a name."""
    return bool(call.span.tools) and all(tool.name for tool in call.span.tools)


def declared_names(call: ToolCallRef) -> list[str]:
    """The names of the tools that the call's LLM span declares."""
    return [tool.name for tool in call.span.tools if tool.name]


def undeclared(trace: Trace, rule: Detector, call: ToolCallRef) -> Signal:
    """The signal for a call of a tool that is not declared, with the closest name that is."""
    names = declared_names(call)
    closest = difflib.get_close_matches(call.tool, names, n=1)
    hint = f"; the closest is {closest[0]}" if closest else ""
    reason = f"{call.tool} is not among the {len(names)} declared tools{hint}"
    quotes = [*call.cite()]
    if closest:
        quotes += cite(call.span, f"tools.{names.index(closest[0])}.name")
    return rule.signal(trace, call.span, reason, quotes, tool=call.tool)


def refused_calls(reading: TraceIndex, rule: Detector) -> Iterator[Signal]:
    """A signal for each step that failed because there is no such tool."""
    for step in reading.steps:
        said = error_text(step.span) if step.span.is_error else step.output.text or ""
        if step.failed and NO_SUCH_TOOL.search(said[:1000]):
            reason = f"the runtime says that there is no tool {step.tool}"
            yield rule.signal(reading.trace, step.span, reason, step.cite(), tool=step.tool)


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
def arguments_not_json(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The model's arguments are not JSON. An empty text is a call without arguments."""
    calls = [call for call in read(trace).calls if call.asked.arguments is not None]
    if not calls:
        yield rule.not_applicable(trace, NO_CALLS)
    for call in calls:
        if problem := json_problem(call.asked.arguments or ""):
            quotes = [*call.cite()] or cite(call.span, "span_id")
            reason = f"the arguments do not parse: {problem}"
            yield rule.signal(trace, call.span, reason, quotes, tool=call.tool)


def json_problem(arguments: str) -> str | None:
    """Why the arguments do not parse, None if they do."""
    if not arguments.strip():
        return None
    try:
        parsed(arguments)
    except NotJson as problem:
        return str(problem)
    except ValueError:
        return None
    return None


@detector(
    id="D09",
    failure_mode="invalid_tool_arguments",
    severity=Severity.MEDIUM,
    title="The arguments for {tool} break its schema: {message}",
    recommendation=(
        "Say in the parameter's description what is expected, with an example; use strict tool "
        "calling; validate before running the tool and return the violation to the model."
    ),
)
def schema_violation(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The model's arguments fail the JSON Schema that the same LLM span declares for the tool."""
    judged = False
    for call in read(trace).calls:
        found = violations(call)
        judged = judged or found is not None
        for message, quote_at in found or []:
            quotes = [*cite(call.span, f"{call.field}.arguments", quote_at), *call.cite()][:3]
            reason = f"the arguments for {call.tool} break the declared schema: {message}"
            yield rule.signal(trace, call.span, reason, quotes, tool=call.tool, message=message)
    if not judged:
        yield rule.not_applicable(trace, "no tool calls with a declared schema")


def violations(call: ToolCallRef) -> list[tuple[str, int]] | None:
    """What is wrong with the arguments, and where; None if that cannot be judged."""
    declared = next((t for t in call.span.tools if t.name and t.name == call.asked.name), None)
    text = call.asked.arguments
    validator = validator_of(declared) if declared else None
    if validator is None or text is None:
        return None
    try:
        arguments = parsed(text) if text.strip() else {}
        errors = sorted(validator.iter_errors(arguments), key=lambda e: [*map(str, e.path)])
    except (ValueError, Unresolvable, RecursionError):
        return None
    found = {message: at for error in errors for message, at in described(error, text)}
    return list(found.items())[:MAX_VIOLATIONS]


def validator_of(tool: ToolDefinition) -> Validator | None:
    """The validator of a tool's arguments, None where no usable schema was declared."""
    if not tool.parameters:
        return None
    try:
        return validator_for_schema(orjson.dumps(tool.parameters))
    except TypeError:
        return None


@lru_cache(maxsize=512)
def validator_for_schema(schema: bytes) -> Validator | None:
    """The validator for a schema's JSON text, None if the schema itself is not valid.

    It fetches nothing (a reference to another document stays unresolved), and it leaves out regular
    expressions: a stranger's pattern may take for ever on a long text.
    """
    declared: dict[str, Any] = orjson.loads(schema)
    kind = validator_for(declared, default=Draft202012Validator)
    try:
        kind.check_schema(declared)
    except (SchemaError, RecursionError):
        return None
    if b'"patternProperties"' in schema:
        return None
    lenient: Any = extend(kind, {"pattern": passes})  # type: ignore[no-untyped-call]
    made: Validator = lenient(declared, registry=Registry())
    return made


def passes(*_: Any) -> Sequence[ValidationError]:
    """A keyword that is not looked at."""
    return ()


def described(error: ValidationError, text: str) -> Iterator[tuple[str, int]]:
    """What a violation is, without the values of this call, and where it stands in ``text``."""
    place = ".".join("[]" if isinstance(step, int) else str(step) for step in error.absolute_path)
    schema: Any = error.schema
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        missing = [name for name in rule if name not in instance]
        yield from ((f"{within(place, name)} is missing", 0) for name in missing)
    elif error.validator == "additionalProperties":
        declared = schema.get("properties", {})
        extra = [name for name in instance if name not in declared]
        yield from ((f"{within(place, n)} is not declared", found_at(n, text)) for n in extra)
    else:
        yield f"{place or 'the whole'} {complaint(error)}", found_at(place.split(".")[-1], text)


def complaint(error: ValidationError) -> str:
    """The predicate of a violation."""
    if error.validator == "type":
        expected: Any = error.validator_value
        names = [expected] if isinstance(expected, str) else expected
        return f"is not of type {' or '.join(map(str, names))}"
    if error.validator in {"enum", "const", "anyOf", "oneOf"}:
        return "is none of what is allowed"
    return f"breaks {error.validator}"


def within(place: str, name: str) -> str:
    """The path of the member ``name`` at ``place``."""
    return f"{place}.{name}" if place else name


def found_at(name: str, text: str) -> int:
    """Where the member ``name`` stands in a JSON text, 0 if it does not."""
    return max(0, text.find(f'"{name}"'))
