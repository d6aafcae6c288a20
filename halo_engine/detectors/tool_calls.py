"""Detectors of invalid tool calls: unknown tool, not JSON, against the schema (D07 to D09)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite, cite_error
from halo_engine.detectors.error_kinds import (
    refuses_arguments,
    says_no_such_tool,
    tool_named_in,
)
from halo_engine.detectors.finish_reasons import Finish, finish_of
from halo_engine.detectors.span_text import (
    NotJson,
    completion_text,
    decode_json,
    error_text,
    has_tool_calls,
)
from halo_engine.detectors.tool_names import is_same_tool
from halo_engine.detectors.tool_runs import ToolCallRef, ToolRun
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Severity
from halo_engine.schema import Span, ToolDefinition
from halo_engine.text.redaction import PLACEHOLDER

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from halo_engine.detectors.json_schema import SchemaCheck

NO_CALLS = "no tool calls by a model"
MAX_VIOLATIONS = 5  # reported for one call
MAX_QUOTES = 3
ENDED_FOR_A_CALL = (Finish.TOOL_CALLS, Finish.MALFORMED_CALL)
REFUSED = "the runtime refuses them"
NOT_OF_TYPE, OR = "is not of type ", " or "


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
    """A called name that is not declared to the model; the comparison is case-sensitive.

    Declared tools stand on the LLM span or on the nearest span above it. An answer of the runtime
    that there is no such tool counts as well, so that a trace is judged even without declarations. A
    tool whose run has a span of its own, and did not fail, exists, declared or not.
    """
    trace = index.trace
    refused = list(refused_calls(index, detector))
    judged = [
        call for call in index.tool_calls if call.requested.name and declares_by_name(index, call)
    ]
    yield from refused
    if not judged and not index.tool_runs and not refused:
        yield detector.not_applicable(
            trace, "no tool calls" if not index.tool_calls else "no declared tools"
        )
        return
    told = {signal.tool for signal in refused}
    yield from undeclared_calls(index, detector, judged, told)
    yield from undeclared_runs(index, detector, told | {call.tool for call in judged})


def undeclared_calls(
    index: TraceIndex, detector: Detector, judged: list[ToolCallRef], told: set[str | None]
) -> Iterator[Signal]:
    """A signal for each of the calls ``judged`` of a tool that is not declared and never ran."""
    if not judged:
        return
    ran = {run.tool for run in index.tool_runs if run.has_span and not run.failed}
    known = ran | {index.called_name(tool) for tool in ran}
    for call in judged:
        names = declared_names(index, call)
        if call.tool not in known | told and not any(is_same_tool(n, call.tool) for n in names):
            yield undeclared_call(index, detector, call)


def undeclared_runs(
    index: TraceIndex, detector: Detector, told: set[str | None]
) -> Iterator[Signal]:
    """A signal for each failed run of a tool that no model of the trace was given.

    It tells of the call where that was not recorded.
    """
    candidates = [
        run
        for run in index.tool_runs
        if run.has_span and run.failed and not run.call and run.tool not in told
    ]
    models = (span for span in index.trace.spans if candidates and not index.is_tool(span))
    declared = {tool.name for span in models for tool in span.tools}
    names = [name for name in declared if name]
    if len(names) < len(declared) or not names:
        return
    for run in candidates:
        if not any(is_same_tool(run.tool, name) for name in names):
            reason = f"{run.tool} is not among the {len(names)} declared tools"
            yield detector.signal(index.trace, run.span, reason, run.cite(), tool=run.tool)


def declares_by_name(index: TraceIndex, call: ToolCallRef) -> bool:
    """Whether tools are declared for the call, and each with a name."""
    declared = index.declared_tools(call)
    return bool(declared) and all(tool.name for tool in declared)


def declared_names(index: TraceIndex, call: ToolCallRef) -> list[str]:
    """The names of the tools that are declared for the call."""
    return [tool.name for tool in index.declared_tools(call) if tool.name]


def undeclared_call(index: TraceIndex, detector: Detector, call: ToolCallRef) -> Signal:
    """The signal for a call of a tool that is not declared, with the closest name that is."""
    names = declared_names(index, call)
    closest = difflib.get_close_matches(call.tool, names, n=1)
    hint = f"; the closest is {closest[0]}" if closest else ""
    reason = f"{call.tool} is not among the {len(names)} declared tools{hint}"
    quotes = [*call.cite()]
    if closest and call.span.tools:
        quotes += cite(call.span, f"tools.{names.index(closest[0])}.name")
    return detector.signal(index.trace, call.span, reason, quotes, tool=call.tool)


def refused_calls(index: TraceIndex, detector: Detector) -> Iterator[Signal]:
    """A signal for each answer and each error of a runtime that has no such tool."""
    run_ids = set()
    for run in index.tool_runs:
        # Not every answer of a runtime can be told for an error; that of a tool that ran is its own.
        is_answer = run.failed or not run.has_span
        if is_answer and says_no_such_tool(run.error_text):
            run_ids.add(run.span.span_id)
            reason = f"the runtime reports that there is no tool {run.tool}"
            yield detector.signal(index.trace, run.span, reason, run.cite(), tool=run.tool)
    for span in index.error_spans:
        text = error_text(span)
        if span.span_id not in run_ids and says_no_such_tool(text):
            tool = called_tool_in(index, text)
            reason = f"the runtime reports that there is no tool {tool or 'of that name'}"
            yield detector.signal(index.trace, span, reason, cite_error(span), tool=tool)


def called_tool_in(index: TraceIndex, text: str) -> str | None:
    """The tool that an error names: one that a model called, else the one that its words point at."""
    named = tool_named_in(text)
    if named in index.called_names:
        return named
    return next((name for name in sorted(index.called_names) if name in text), named)


@detector(
    id="D08",
    failure_mode="invalid_tool_arguments",
    severity=Severity.MEDIUM,
    title="The arguments for {tool} are not JSON",
    recommendation=(
        "Use the provider's strict or structured tool calling if it has one. Where the arguments are "
        "cut, raise the token limit if the finish reason is length, and else look at how streamed "
        "pieces are put together. Return the parse error to the model so that it can repair them."
    ),
)
def arguments_not_json(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The model's arguments are not JSON. An empty text is a call without arguments.

    Also a model call that the provider ended for that reason: the arguments are then lost.
    """
    trace = index.trace
    calls = [call for call in index.tool_calls if call.requested.arguments is not None]
    malformed = [span for span in index.llm_spans if is_malformed(index, span)]
    if not calls and not malformed:
        yield detector.not_applicable(trace, NO_CALLS)
    for span in malformed:
        reason = f"the call could not be read: the answer ended with {span.finish_reason}"
        yield detector.signal(trace, span, reason, cite(span, "finish_reason"))
    for call in calls:
        if problem := parse_error(call.requested.arguments or ""):
            quotes = [*call.cite()] or cite(call.span, "span_id")
            reason = f"the arguments do not parse: {problem}"
            yield detector.signal(trace, call.span, reason, quotes, tool=call.tool)


def is_malformed(index: TraceIndex, span: Span) -> bool:
    """Whether a model call ended for a tool call that could not be read, and that is not recorded.

    Haystack drops such a call: an empty answer is left, which ended for a call, and nothing runs.
    """
    finish = finish_of(span)
    if finish not in ENDED_FOR_A_CALL or has_tool_calls(span):
        return False
    is_empty = finish is Finish.TOOL_CALLS and completion_text(span) == ""
    return finish is Finish.MALFORMED_CALL or (is_empty and not index.tool_runs_after(span))


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
    """The model's arguments fail the JSON Schema that is declared for the tool.

    Declarations stand on the LLM span, on the nearest span above it, or on the tool's own runs.
    Where the runtime refused the arguments, that counts as well, whatever is declared.
    """
    trace = index.trace
    judged = False
    violated: set[int] = set()
    for call in index.tool_calls:
        found = violations(index, call)
        judged = judged or found is not None
        for message, quote_at in found or []:
            violated.add(id(call))
            quotes = [*call.cite_member("arguments", quote_at), *call.cite()][:MAX_QUOTES]
            reason = f"the arguments for {call.tool} break the declared schema: {message}"
            yield detector.signal(trace, call.span, reason, quotes, tool=call.tool, message=message)
    refused = [
        run for run in index.tool_runs if is_run_refused(run) and id(run.call) not in violated
    ]
    for run in refused:
        reason = f"the runtime refuses the arguments for {run.tool}: {run.error}"
        quotes = [*run.cite()][:MAX_QUOTES]
        yield detector.signal(trace, run.span, reason, quotes, tool=run.tool, message=REFUSED)
    if not judged and not refused:
        yield detector.not_applicable(trace, "no tool calls with a declared schema")


def is_run_refused(run: ToolRun) -> bool:
    """Whether the runtime refused the arguments of a call, which did parse."""
    if not (run.failed and refuses_arguments(run.error_text, run.tool)):
        return False
    arguments = run.call.requested.arguments if run.call else None
    return arguments is None or parse_error(arguments) is None


def violations(index: TraceIndex, call: ToolCallRef) -> list[tuple[str, int]] | None:
    """Each violation of the schema with its offset in the arguments; None if not to be judged."""
    declared = (t for t in index.declared_tools(call) if t.name and is_same_tool(t.name, call.tool))
    tool = next(declared, None)
    if tool is None or not tool.parameters:
        tool = index.schemas_of_runs.get(call.tool, tool)
    text = call.requested.arguments
    check = check_of_arguments(tool) if tool else None
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
    # Takes time to import, and is needed where a tool declares a schema only.
    from halo_engine.detectors.json_schema import schema_check

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
        return f"{NOT_OF_TYPE}{OR.join(map(str, names))}"
    if error.validator in {"enum", "const", "anyOf", "oneOf"}:
        return "is none of what is allowed"
    return f"breaks {error.validator}"


def declared_types(message: str | None) -> frozenset[str]:
    """The types that a violation says an argument has not; of numbers JSON has one type only."""
    _, is_of_type, names = (message or "").partition(NOT_OF_TYPE)
    types = frozenset(names.split(OR)) if is_of_type else frozenset()
    return frozenset("number" if name == "integer" else name for name in types)


def member_path(path: str, name: str) -> str:
    """The path of the member ``name`` of the object at ``path``."""
    return f"{path}.{name}" if path else name


def offset_of(name: str, text: str) -> int:
    """The offset of the first member ``name`` in a JSON text, 0 if there is none."""
    return max(0, text.find(f'"{name}"'))
