"""Spans of the assistant, in OpenInference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from .model import ModelAnswer

AGENT_NAME = "service-assistant"
JSON_TYPE = "application/json"


class Tracing:
    """Makes the spans; ``now`` gives the time in nanoseconds."""

    def __init__(self, tracer: OITracer, now: Any) -> None:
        self.tracer = tracer
        self.now = now
        self.failures: set[int] = set()

    @contextmanager
    def span(self, name: str, kind: Any, attributes: dict[str, Any]) -> Iterator[Span]:
        """A span; an exception fails it and goes on."""
        with self.tracer.start_as_current_span(
            name,
            openinference_span_kind=kind,
            attributes=attributes,
            start_time=self.now(),
            end_on_exit=False,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
                if span.get_span_context().span_id not in self.failures:
                    span.set_status(StatusCode.OK)
            except Exception as error:
                span.record_exception(error, timestamp=self.now())
                self.failed(span, str(error))
                raise
            finally:
                span.end(self.now())

    @contextmanager
    def agent(self, request: str, customer: str) -> Iterator[Span]:
        """A conversation."""
        attributes = get_input_attributes(request)
        with using_attributes(user_id=customer), self.span(AGENT_NAME, "agent", attributes) as span:
            yield span

    def model(self, request: dict[str, Any]) -> AbstractContextManager[Span]:
        """A request to the model."""
        messages = [message_of(message) for message in request["messages"]]
        tools = [
            Tool(
                name=each["function"]["name"],
                description=each["function"]["description"],
                json_schema=each,
            )
            for each in request["tools"]
        ]
        limits = {name: request[name] for name in ("temperature", "max_tokens")}
        attributes = get_input_attributes({"messages": messages}) | get_llm_attributes(
            model_name=request["model"],
            invocation_parameters=limits,
            input_messages=messages,
            tools=tools,
        )
        return self.span("chat_completion", "llm", attributes)

    def answered(self, span: Span, answer: ModelAnswer) -> None:
        """What the model answered."""
        message = Message(role="assistant", content=answer.text)
        if answer.calls:
            message["tool_calls"] = [
                ToolCall(
                    id=call.id,
                    function=ToolCallFunction(name=call.name, arguments=call.arguments),
                )
                for call in answer.calls.values()
            ]
        tokens = len(answer.text) // 4 + sum(len(c.arguments) // 4 for c in answer.calls.values())
        usage = TokenCount(completion=tokens)
        span.set_attributes(get_llm_attributes(output_messages=[message], token_count=usage))
        span.set_attributes(get_output_attributes(message if answer.calls else answer.text))
        span.set_attribute(SpanAttributes.LLM_FINISH_REASON, answer.finish_reason)

    def tool(
        self, name: str, declared: dict[str, Any], call_id: str, arguments: str
    ) -> AbstractContextManager[Span]:
        """A run of a tool."""
        attributes = get_input_attributes(arguments, mime_type=JSON_TYPE)
        attributes |= get_tool_attributes(
            name=name, description=declared["description"], parameters=declared["parameters"]
        )
        return self.span(name, "tool", attributes | {SpanAttributes.TOOL_ID: call_id})

    def retriever(self, name: str, query: str) -> AbstractContextManager[Span]:
        """A search."""
        return self.span(name, "retriever", dict(get_input_attributes(query)))

    def retrieved(self, span: Span, found: list[dict[str, Any]]) -> None:
        """What a search found."""
        documents = [Document(id=p["id"], content=p["text"], score=p["score"]) for p in found]
        span.set_attributes(get_retriever_attributes(documents=documents))
        span.set_attributes(get_output_attributes(documents))

    def returned(self, span: Span, value: Any) -> None:
        """What a step returned."""
        if isinstance(value, str):
            span.set_attributes(get_output_attributes(value))
        else:
            span.set_attributes(get_output_attributes(json.dumps(value), mime_type=JSON_TYPE))

    def failed(self, span: Span, message: str) -> None:
        """That a step failed."""
        self.failures.add(span.get_span_context().span_id)
        span.set_status(StatusCode.ERROR, message)


def message_of(message: dict[str, Any]) -> Message:
    """A message in the form of OpenInference."""
    made = Message(role=message["role"], content=message["content"])
    if message.get("tool_call_id"):
        made["tool_call_id"] = message["tool_call_id"]
    if message.get("tool_calls"):
        made["tool_calls"] = [
            ToolCall(id=each["id"], function=ToolCallFunction(**each["function"]))
            for each in message["tool_calls"]
        ]
    return made
