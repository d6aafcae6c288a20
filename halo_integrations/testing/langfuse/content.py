"""Input and output of an observation: which attributes or events of a span Langfuse takes them from.

The instrumentations are tried in a fixed order; the first that has an input or an output gives both.
What no rule takes is left in the metadata, but for the attributes that some rule could have taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from halo_integrations.testing.langfuse.javascript import json_text, parsed
from halo_integrations.testing.langfuse.otlp import OtlpSpan, Row


class Content(NamedTuple):
    """Input and output; either may be None, text, or an object."""

    input: Any = None
    output: Any = None


# Attributes that are an input and its output, in the order in which they are tried.
PAIRS = (
    ("prompt", "all_messages_events"),
    ("mlflow.spanInputs", "mlflow.spanOutputs"),
    ("traceloop.entity.input", "traceloop.entity.output"),
    ("input.value", "output.value"),
    ("input", "output"),
)
SYSTEM = "gen_ai.system_instructions"
MESSAGES = ("gen_ai.input.messages", "gen_ai.output.messages")
TOOL_CALL = ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
ADK_CALL = ("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response")
ADK_TOOL = ("gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response")
PYDANTIC_RUN = ("pydantic_ai.all_messages", "final_result")
LANGFUSE = ("langfuse.observation.input", "langfuse.observation.output")
VERCEL_INPUTS = ("ai.prompt.messages", "ai.prompt", "ai.toolCall.args")
VERCEL_TEXT, VERCEL_CALLS = "ai.response.text", "ai.response.toolCalls"
VERCEL_OUTPUTS = ("ai.toolCall.result", "ai.response.object", VERCEL_CALLS)
MESSAGE_EVENTS = tuple(f"gen_ai.{role}.message" for role in ("system", "user", "assistant", "tool"))
# Lists that are written item by item: the names of the messages that go in and come out.
FLAT_LISTS = (("gen_ai.prompt", "gen_ai.completion"), ("llm.input_messages", "llm.output_messages"))

# Never in the metadata, whether they were taken or not.
TAKEN = frozenset(
    {
        *(name for pair in PAIRS for name in pair),
        *(SYSTEM, *MESSAGES, *TOOL_CALL, *ADK_CALL, *ADK_TOOL, *PYDANTIC_RUN, *LANGFUSE),
        *(VERCEL_TEXT, *VERCEL_INPUTS, *VERCEL_OUTPUTS, "langfuse.trace.input"),
        *("langfuse.trace.output", "events"),
    }
)
TAKEN_PREFIXES = (
    *(name for names in FLAT_LISTS for name in names),
    *("langfuse.trace.metadata", "langfuse.observation.metadata", "ai.telemetry.metadata"),
)


def is_taken(name: str) -> bool:
    """Whether an attribute of this name is left out of the metadata."""
    return name in TAKEN or name.startswith(TAKEN_PREFIXES)


def content_of(span: OtlpSpan) -> Content:
    """The input and output of a span; empty where no instrumentation is recognised."""
    found = (rule(span) for rule in RULES)
    return next((content for content in found if content), Content())


def pair(attributes: Row, names: Sequence[str]) -> Content | None:
    """The two attributes, where one of them holds something."""
    content = Content(attributes.get(names[0]), attributes.get(names[1]))
    return content if any(content) else None


def langfuse_sdk(span: OtlpSpan) -> Content | None:
    """Langfuse's own attributes, also where they are empty."""
    content = Content(*(span.attributes.get(name) for name in LANGFUSE))
    return None if content == (None, None) else content


def vercel(span: OtlpSpan) -> Content | None:
    """The AI SDK, recognised by the name of its scope."""
    if span.scope.get("name") != "ai":
        return None
    found = span.attributes
    given = next((found[name] for name in VERCEL_INPUTS if name in found), None)
    text, calls = found.get(VERCEL_TEXT), found.get(VERCEL_CALLS)
    if VERCEL_TEXT in found and VERCEL_CALLS in found:
        answer: Any = json_text({"role": "assistant", "content": text, "tool_calls": calls})
    else:
        answer = text or next((found[name] for name in VERCEL_OUTPUTS if name in found), None)
    semantic = gen_ai(span.attributes) or Content()
    return Content(
        semantic.input if given is None else given, semantic.output if answer is None else answer
    )


def gen_ai(attributes: Row) -> Content | None:
    """The attributes of OpenTelemetry: messages, else a tool call."""
    messages = pair(attributes, MESSAGES)
    if messages and messages.input and attributes.get(SYSTEM):
        messages = messages._replace(input=with_system(messages.input, attributes[SYSTEM]))
    return messages or pair(attributes, TOOL_CALL)


def with_system(messages: Any, instructions: Any) -> Any:
    """Messages after the system instructions, unless they have a system message."""
    items = parsed(messages)
    if not isinstance(items, list) or any(
        isinstance(item, dict) and item.get("role") == "system" for item in items
    ):
        return messages
    parts = parsed(instructions)
    texts = (
        [
            str(part["content"]) if isinstance(part, dict) and part.get("content") else str(part)
            for part in parts
        ]
        if isinstance(parts, list)
        else [str(parts)]
    )
    merged = [{"role": "system", "content": "\n".join(texts)}, *items]
    return json_text(merged) if isinstance(messages, str) else merged


def gen_ai_details(span: OtlpSpan) -> Content | None:
    """The event with all of a call, which OpenTelemetry records since 1.37."""
    events = span.events_called("gen_ai.client.inference.operation.details")
    return next(filter(None, (gen_ai(attributes) for _, attributes in events)), None)


def gen_ai_events(span: OtlpSpan) -> Content | None:
    """One event for each message, as OpenTelemetry recorded them until 1.36."""
    given, choices = span.events_called(*MESSAGE_EVENTS), span.events_called("gen_ai.choice")
    if not given and not choices:
        return None
    messages = [{"role": name.split(".")[1], **attributes} for name, attributes in given]
    answers = [attributes for _, attributes in choices]
    return Content(messages or None, answers[0] if len(answers) == 1 else answers or None)


def adk(span: OtlpSpan) -> Content | None:
    """Google's Agent Development Kit; a tool's run has ``{}`` in the place of a model call."""
    call, tool = (Content(*map(span.attributes.get, names)) for names in (ADK_CALL, ADK_TOOL))
    sides = (
        tool_side if call_side in (None, "", "{}") else call_side
        for call_side, tool_side in zip(call, tool, strict=True)
    )
    content = Content(*sides)
    return content if any(content) else None


def pairs(span: OtlpSpan) -> Content | None:
    """The first pair of attributes that holds something."""
    return next(filter(None, (pair(span.attributes, names) for names in PAIRS)), None)


def pydantic_run(span: OtlpSpan) -> Content | None:
    """The run of a pydantic-ai agent."""
    if span.scope.get("name") != "pydantic-ai":
        return None
    content = pair(span.attributes, PYDANTIC_RUN)
    if content and content.input and span.attributes.get(SYSTEM):
        return content._replace(input=with_system(content.input, span.attributes[SYSTEM]))
    return content


def pydantic_tool(span: OtlpSpan) -> Content | None:
    """The run of a tool of pydantic-ai, whose attributes stay in the metadata."""
    return pair(span.attributes, ("tool_arguments", "tool_response"))


def flat_lists(span: OtlpSpan) -> Content | None:
    """Messages written item by item, of OpenLLMetry or OpenInference."""
    for given, returned in FLAT_LISTS:
        if any(name.startswith((given, returned)) for name in span.attributes):
            return Content(rebuilt(span.attributes, given), rebuilt(span.attributes, returned))
    return None


def semantic_conventions(span: OtlpSpan) -> Content | None:
    """The attributes of OpenTelemetry."""
    return gen_ai(span.attributes)


RULES: tuple[Callable[[OtlpSpan], Content | None], ...] = (
    langfuse_sdk,
    vercel,
    gen_ai_details,
    gen_ai_events,
    adk,
    pairs,
    pydantic_run,
    pydantic_tool,
    flat_lists,
    semantic_conventions,
)


def rebuilt(attributes: Row, prefix: str) -> Any:
    """What ``attributes`` hold under ``prefix``: the value itself, or a list of objects."""
    if attributes.get(prefix):
        return attributes[prefix]
    root: Row = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            *steps, last = name.removeprefix(f"{prefix}.").split(".")
            node = root
            for step in steps:
                node = node.setdefault(step, {})
            node[last] = value
    return with_lists(root)


def with_lists(node: Any) -> Any:
    """``node`` with each object whose keys are all indexes as a list."""
    if not isinstance(node, dict):
        return node
    if node and all(map(str.isdecimal, node)):
        return [with_lists(node[key]) for key in sorted(node, key=int)]
    return {key: with_lists(value) for key, value in node.items()}


# -- tools ----------------------------------------------------------------------------------------

FLAT_TOOL = re.compile(r"llm\.tools\.(\d+)\.tool\.json_schema")
TOOL_LISTS = ("ai.prompt.tools", "gen_ai.tool.definitions")


def with_tools(given: Any, attributes: Row) -> tuple[Any, Row]:
    """The input with the declared tools in it, and the attributes without them."""
    tools, left = declared_tools(attributes)
    return (merged(given, tools), left) if tools else (given, attributes)


def declared_tools(attributes: Row) -> tuple[list[Row], Row]:
    """The tools that attributes declare, each name once, and the attributes that are left."""
    tools: list[Row] = []
    left = dict(attributes)
    for name in TOOL_LISTS:
        if found := tool_list(attributes.get(name)):
            tools += found
            del left[name]
    parameters = parsed(attributes.get("model_request_parameters"))
    if isinstance(parameters, dict) and (found := tool_list(parameters.get("function_tools"))):
        tools += found
        rest = {name: value for name, value in parameters.items() if name != "function_tools"}
        left["model_request_parameters"] = json_text(rest)
    flat = {int(m[1]): name for name in attributes if (m := FLAT_TOOL.fullmatch(name))}
    for number in sorted(flat):
        if is_tool(tool := parsed(attributes[flat[number]])):
            tools.append(tool)
            del left[flat[number]]
    return list({name_of_tool(tool): tool for tool in reversed(tools)}.values())[::-1], left


def tool_list(value: Any) -> list[Row]:
    """A list of tools, also as JSON text; empty unless all items are tools."""
    items = [parsed(item) for item in found] if isinstance(found := parsed(value), list) else []
    return items if all(map(is_tool, items)) else []


def is_tool(value: Any) -> bool:
    """Whether this is the declaration of a tool."""
    return isinstance(value, dict) and name_of_tool(value) is not None


def name_of_tool(tool: Row) -> Any:
    """The name in the declaration of a tool."""
    function = tool.get("function")
    return (function if isinstance(function, dict) else tool).get("name")


def merged(given: Any, tools: list[Row]) -> Any:
    """An input with tools: messages and a text become a member of an object beside them."""
    value = parsed(given)
    if value is None:
        return {"tools": tools}
    if isinstance(value, dict):
        return {**value, "tools": tools}
    return {"messages" if isinstance(value, list) else "prompt": value, "tools": tools}


# -- metadata -------------------------------------------------------------------------------------

NO_METADATA = frozenset(
    f"ai.telemetry.metadata.{name}" for name in ("userId", "sessionId", "tags", "langfusePrompt")
)


def flat_metadata(span: OtlpSpan) -> Iterator[tuple[str, Any]]:
    """The metadata that a span has under Langfuse's own names, and the AI SDK's."""
    for prefix in ("langfuse.observation.metadata", "langfuse.trace.metadata"):
        top = parsed(span.attributes.get(prefix))
        yield from top.items() if isinstance(top, dict) else ()
    prefixes = ("langfuse.observation.metadata.", "langfuse.trace.metadata.", "langfuse.metadata.")
    for name, value in span.attributes.items():
        for prefix in (*prefixes, "ai.telemetry.metadata."):
            if name.startswith(prefix) and name not in NO_METADATA:
                yield name.removeprefix(prefix), value
