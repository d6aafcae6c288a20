"""The agent of the demo: an ordinary loop of model and tools, traced with OpenInference.

The model is scripted and times are simulated, so that a day of conversations takes a second. All
else is what an instrumented agent does: the OpenInference tracer, one span per step, its attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from openinference.instrumentation import (
    Document,
    Message,
    OITracer,
    TokenCount,
    Tool,
    ToolCall,
    ToolCallFunction,
    get_input_attributes,
    get_llm_attributes,
    get_output_attributes,
    get_retriever_attributes,
    get_tool_attributes,
    using_attributes,
)
from openinference.semconv.trace import SpanAttributes
from opentelemetry.trace import Span, StatusCode
from opentelemetry.util.types import AttributeValue

from halo_integrations.demo.conversation import Call, Conversation, Reply
from halo_integrations.demo.shop import SYSTEM_PROMPT, TOOLS

AGENT_NAME = "service-assistant"
MODEL = "scripted-model-1"
MAX_TOKENS = 600
SECOND = 1_000_000_000
CHARACTERS_PER_TOKEN = 4
ROUTER_PROMPT = 'Sort the request. Answer with JSON: {"intent": ..., "language": ...}.'

Attributes = Mapping[str, AttributeValue]


class ToolError(Exception):
    """A tool of the shop failed."""


class RateLimitError(Exception):
    """The model's provider refuses a request because there were too many."""


class Agent:
    """Answers customers in turn; ``random`` determines the duration of each step.

    What it is told (``prompt``) and the ``tools`` that are declared to it stand in its traces.
    """

    def __init__(
        self,
        tracer: OITracer,
        random: Random,
        prompt: str = SYSTEM_PROMPT,
        tools: Mapping[str, dict[str, Any]] = TOOLS,
    ) -> None:
        self.tracer = tracer
        self.random = random
        self.prompt = prompt
        self.tools = tools
        self.declared = as_declared(tools)
        self.now = 0

    def answer(self, conversation: Conversation, start: int) -> str:
        """Run the conversation from ``start`` (Unix nanoseconds); returns its trace id."""
        self.now = start
        session = f"chat-{self.random.getrandbits(32):08x}"
        metadata = {"channel": conversation.channel, "release": "2.4.1"}
        with (
            using_attributes(session_id=session, user_id=conversation.email, metadata=metadata),
            self.span(AGENT_NAME, "agent", get_input_attributes(conversation.request)) as root,
        ):
            self.route(conversation)
            self.run_turns(conversation)
            self.end(root, conversation)
        return f"{root.get_span_context().trace_id:032x}"

    @contextmanager
    def span(self, name: str, kind: Any, attributes: Attributes) -> Iterator[Span]:
        """A span of ``kind`` that starts and ends in simulated time."""
        with self.tracer.start_as_current_span(
            name,
            openinference_span_kind=kind,
            attributes=dict(attributes),
            start_time=self.now,
            end_on_exit=False,
        ) as span:
            yield span
        span.end(self.now)

    def advance(self, least: float, most: float) -> None:
        """Advance the simulated clock by ``least`` to ``most`` seconds."""
        self.now += int(self.random.uniform(least, most) * SECOND)

    def route(self, conversation: Conversation) -> None:
        """Classify the request by its intent."""
        messages = initial_messages(ROUTER_PROMPT, conversation)
        verdict = json.dumps({"intent": conversation.intent, "language": "en"})
        with self.span(
            "route_request", "chain", get_input_attributes(conversation.request)
        ) as span:
            self.call_model(messages, Reply(verdict), tools=())
            span.set_attributes(get_output_attributes(verdict))
            span.set_status(StatusCode.OK)

    def run_turns(self, conversation: Conversation) -> None:
        """Call the model and run the tools that it calls, until the script ends."""
        messages = initial_messages(self.prompt, conversation)
        for reply in conversation.replies:
            answer = self.call_model(messages, reply, self.declared)
            if answer is None:
                continue
            messages.append(answer)
            for one, requested in zip(reply.calls, answer.get("tool_calls", ()), strict=True):
                messages.append(self.tool_message(one, requested["id"]))

    def end(self, root: Span, conversation: Conversation) -> None:
        """Set the output and the status of the root span."""
        if conversation.output is not None:
            root.set_attributes(get_output_attributes(conversation.output))
        if conversation.failure is None:
            root.set_status(StatusCode.OK)
        else:
            root.set_status(StatusCode.ERROR, conversation.failure)

    def call_model(
        self, messages: Sequence[Message], reply: Reply, tools: Sequence[Tool]
    ) -> Message | None:
        """One model call; None if the provider refused it."""
        request = get_input_attributes({"messages": messages}) | get_llm_attributes(
            model_name=MODEL,
            invocation_parameters={"temperature": 0.2, "max_tokens": MAX_TOKENS},
            input_messages=messages,
            tools=tools,
        )
        with self.span("chat_completion", "llm", request) as span:
            self.advance(0.6, 2.4)
            if reply.error is not None:
                self.fail(span, RateLimitError(reply.error))
                return None
            answer = self.message_of(reply)
            span.set_attributes(answer_attributes(messages, reply, answer))
            span.set_status(StatusCode.OK)
        return answer

    def message_of(self, reply: Reply) -> Message:
        """The reply as an assistant message, with an id for each of its calls."""
        message = Message(role="assistant", content=reply.text)
        if reply.calls:
            message["tool_calls"] = [
                ToolCall(
                    id=f"call_{self.random.getrandbits(48):012x}",
                    function=ToolCallFunction(name=one.name, arguments=one.arguments),
                )
                for one in reply.calls
            ]
        return message

    def tool_message(self, one: Call, call_id: str) -> Message:
        """The result of the call as a tool message: that of the tool, or why it cannot be run."""
        content = one.rejected if one.rejected is not None else self.run_tool(one, call_id)
        return Message(role="tool", tool_call_id=call_id, content=content)

    def run_tool(self, one: Call, call_id: str) -> str:
        """Run the tool; returns its result or its error as text."""
        declared = self.tools[one.name]
        attributes = get_input_attributes(one.arguments, mime_type="application/json")
        attributes |= get_tool_attributes(
            name=one.name, description=declared["description"], parameters=declared["parameters"]
        )
        with self.span(one.name, "tool", attributes | {SpanAttributes.TOOL_ID: call_id}) as span:
            self.advance(0.05, 0.5)
            if one.error is not None:
                self.fail(span, ToolError(one.error))
                return f"Error: {one.error}"
            result = json.dumps(one.result if one.passages is None else self.search(one))
            span.set_attributes(get_output_attributes(result, mime_type="application/json"))
            span.set_status(StatusCode.OK)
        return result

    def search(self, one: Call) -> list[dict[str, Any]]:
        """Retrieve the passages of the help centre that the call finds."""
        found = one.passages or ()
        query = json.loads(one.arguments)["query"]
        documents = [Document(id=p.id, content=p.text, score=p.score) for p in found]
        with self.span("help_centre_index", "retriever", get_input_attributes(query)) as span:
            self.advance(0.02, 0.2)
            span.set_attributes(get_retriever_attributes(documents=documents))
            span.set_attributes(get_output_attributes(documents))
            span.set_status(StatusCode.OK)
        return [{"id": passage.id, "text": passage.text} for passage in found]

    def fail(self, span: Span, error: Exception) -> None:
        """Record ``error`` on the span."""
        span.record_exception(error, timestamp=self.now)
        span.set_status(StatusCode.ERROR, str(error))


def as_declared(tools: Mapping[str, dict[str, Any]]) -> tuple[Tool, ...]:
    """``tools`` as they are declared to the model."""
    return tuple(
        Tool(
            name=name,
            description=declared["description"],
            json_schema={"type": "function", "function": {"name": name, **declared}},
        )
        for name, declared in tools.items()
    )


def initial_messages(prompt: str, conversation: Conversation) -> list[Message]:
    """The system prompt and the request of the customer."""
    return [
        Message(role="system", content=prompt),
        Message(role="user", content=conversation.request),
    ]


def answer_attributes(messages: Sequence[Message], reply: Reply, answer: Message) -> Attributes:
    """The attributes of a model call's answer, its token counts and its finish reason."""
    truncated = reply.finish_reason == "length"
    completion = MAX_TOKENS if truncated else tokens_of(reply.text, *reply.calls)
    prompt = tokens_of(*messages)
    usage = TokenCount(prompt=prompt, completion=completion, total=prompt + completion)
    return {
        **get_llm_attributes(output_messages=[answer], token_count=usage),
        **get_output_attributes(answer if reply.calls else reply.text),
        SpanAttributes.LLM_FINISH_REASON: reply.finish_reason,
    }


def tokens_of(*parts: object) -> int:
    """The estimated number of tokens of ``parts``, at four characters each."""
    return sum(len(str(part)) for part in parts) // CHARACTERS_PER_TOKEN
