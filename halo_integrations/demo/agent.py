"""The agent of the demo: an ordinary loop of model and tools, traced with OpenInference.

The model is a script and time is made up, so that a day of conversations takes a second. All else
is what an instrumented agent does: the OpenInference tracer, one span per step, its attributes.
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
    """The model's provider takes no more requests for now."""


class Agent:
    """Answers one customer after the other; ``random`` decides how long each step takes."""

    def __init__(self, tracer: OITracer, random: Random) -> None:
        self.tracer = tracer
        self.random = random
        self.now = 0

    def answer(self, conversation: Conversation, start: int) -> str:
        """Play the conversation from ``start`` (Unix nanoseconds); returns its trace id."""
        self.now = start
        session = f"chat-{self.random.getrandbits(32):08x}"
        metadata = {"channel": conversation.channel, "release": "2.4.1"}
        with (
            using_attributes(session_id=session, user_id=conversation.email, metadata=metadata),
            self.span(AGENT_NAME, "agent", get_input_attributes(conversation.request)) as root,
        ):
            self.route(conversation)
            self.work(conversation)
            self.report(root, conversation)
        return f"{root.get_span_context().trace_id:032x}"

    @contextmanager
    def span(self, name: str, kind: Any, attributes: Attributes) -> Iterator[Span]:
        """A span of ``kind`` that begins and ends in made-up time."""
        with self.tracer.start_as_current_span(
            name,
            openinference_span_kind=kind,
            attributes=dict(attributes),
            start_time=self.now,
            end_on_exit=False,
        ) as span:
            yield span
        span.end(self.now)

    def spend(self, least: float, most: float) -> None:
        """Let between ``least`` and ``most`` seconds pass."""
        self.now += int(self.random.uniform(least, most) * SECOND)

    def route(self, conversation: Conversation) -> None:
        """Find out what the customer wants."""
        messages = opening(ROUTER_PROMPT, conversation)
        verdict = json.dumps({"intent": conversation.intent, "language": "en"})
        with self.span(
            "route_request", "chain", get_input_attributes(conversation.request)
        ) as span:
            self.ask(messages, Reply(verdict), tools=())
            span.set_attributes(get_output_attributes(verdict))
            span.set_status(StatusCode.OK)

    def work(self, conversation: Conversation) -> None:
        """Ask the model and run the tools it calls, until the script ends."""
        messages = opening(SYSTEM_PROMPT, conversation)
        for reply in conversation.replies:
            answer = self.ask(messages, reply, DECLARED_TOOLS)
            if answer is None:
                continue
            messages.append(answer)
            for one, requested in zip(reply.calls, answer.get("tool_calls", ()), strict=True):
                messages.append(self.carry_out(one, requested["id"]))

    def report(self, root: Span, conversation: Conversation) -> None:
        """Close the conversation with what the customer reads."""
        if conversation.output is not None:
            root.set_attributes(get_output_attributes(conversation.output))
        if conversation.failure is None:
            root.set_status(StatusCode.OK)
        else:
            root.set_status(StatusCode.ERROR, conversation.failure)

    def ask(
        self, messages: Sequence[Message], reply: Reply, tools: Sequence[Tool]
    ) -> Message | None:
        """One request to the model; None when its provider refused it."""
        request = get_input_attributes({"messages": messages}) | get_llm_attributes(
            model_name=MODEL,
            invocation_parameters={"temperature": 0.2, "max_tokens": MAX_TOKENS},
            input_messages=messages,
            tools=tools,
        )
        with self.span("chat_completion", "llm", request) as span:
            self.spend(0.6, 2.4)
            if reply.error is not None:
                self.fail(span, RateLimitError(reply.error))
                return None
            answer = self.message_of(reply)
            span.set_attributes(answer_attributes(messages, reply, answer))
            span.set_status(StatusCode.OK)
        return answer

    def message_of(self, reply: Reply) -> Message:
        """The reply as a message of the model, with an id for each of its calls."""
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

    def carry_out(self, one: Call, call_id: str) -> Message:
        """Run the tool, or tell the model why that cannot be."""
        content = one.rejected if one.rejected is not None else self.run(one, call_id)
        return Message(role="tool", tool_call_id=call_id, content=content)

    def run(self, one: Call, call_id: str) -> str:
        """Run the tool; returns what the model gets to read."""
        declared = TOOLS[one.name]
        attributes = get_input_attributes(one.arguments, mime_type="application/json")
        attributes |= get_tool_attributes(
            name=one.name, description=declared["description"], parameters=declared["parameters"]
        )
        with self.span(one.name, "tool", attributes | {SpanAttributes.TOOL_ID: call_id}) as span:
            self.spend(0.05, 0.5)
            if one.error is not None:
                self.fail(span, ToolError(one.error))
                return f"Error: {one.error}"
            result = json.dumps(one.result if one.passages is None else self.search(one))
            span.set_attributes(get_output_attributes(result, mime_type="application/json"))
            span.set_status(StatusCode.OK)
        return result

    def search(self, one: Call) -> list[dict[str, Any]]:
        """Look into the index of the help centre."""
        found = one.passages or ()
        query = json.loads(one.arguments)["query"]
        documents = [Document(id=p.id, content=p.text, score=p.score) for p in found]
        with self.span("help_centre_index", "retriever", get_input_attributes(query)) as span:
            self.spend(0.02, 0.2)
            span.set_attributes(get_retriever_attributes(documents=documents))
            span.set_attributes(get_output_attributes(documents))
            span.set_status(StatusCode.OK)
        return [{"id": passage.id, "text": passage.text} for passage in found]

    def fail(self, span: Span, error: Exception) -> None:
        """End the step with ``error``."""
        span.record_exception(error, timestamp=self.now)
        span.set_status(StatusCode.ERROR, str(error))


DECLARED_TOOLS = tuple(
    Tool(
        name=name,
        description=declared["description"],
        json_schema={"type": "function", "function": {"name": name, **declared}},
    )
    for name, declared in TOOLS.items()
)


def opening(prompt: str, conversation: Conversation) -> list[Message]:
    """How every exchange with the model begins."""
    return [
        Message(role="system", content=prompt),
        Message(role="user", content=conversation.request),
    ]


def answer_attributes(messages: Sequence[Message], reply: Reply, answer: Message) -> Attributes:
    """What the model gave, and how many tokens that took."""
    cut = reply.finish_reason == "length"
    completion = MAX_TOKENS if cut else tokens_of(reply.text, *reply.calls)
    prompt = tokens_of(*messages)
    usage = TokenCount(prompt=prompt, completion=completion, total=prompt + completion)
    return {
        **get_llm_attributes(output_messages=[answer], token_count=usage),
        **get_output_attributes(answer if reply.calls else reply.text),
        SpanAttributes.LLM_FINISH_REASON: reply.finish_reason,
    }


def tokens_of(*parts: object) -> int:
    """About how many tokens ``parts`` are, at four characters each."""
    return sum(len(str(part)) for part in parts) // CHARACTERS_PER_TOKEN
