"""LangSmith's runs as its SDK exports them over OpenTelemetry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import kinds, of_kind, recorded, root_of

RECORDING = "langsmith-otel"


def run_of(run_type: str, prompt: Any = None, completion: Any = None, **attributes: Any) -> Span:
    """A run of this type with these inputs and outputs."""
    values = {"gen_ai.prompt": prompt, "gen_ai.completion": completion}
    texts = {name: json.dumps(value) for name, value in values.items() if value is not None}
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"langsmith.span.kind": run_type, **texts, **attributes},
    )


def test_the_kinds_are_those_of_the_runs() -> None:
    assert kinds(recorded(RECORDING, "ok")) == [
        ("shop_agent", "CHAIN"),
        ("ChatOpenAI", "LLM"),
        ("get_order", "TOOL"),
        ("ChatOpenAI", "LLM"),
    ]


@pytest.mark.parametrize(
    ("run_type", "operation", "kind"),
    [
        ("prompt", "chat", SpanKind.PROMPT),
        ("retriever", "embeddings", SpanKind.RETRIEVER),
        ("parser", "parser", SpanKind.CHAIN),
    ],
)
def test_the_type_of_a_run_comes_before_the_name_of_its_operation(
    run_type: str, operation: str, kind: SpanKind
) -> None:
    assert run_of(run_type, **{"gen_ai.operation.name": operation}).kind is kind


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(RECORDING, "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id) == ("s-1", "u-1")
    assert (root.input_messages, root.output_messages) == ((), ())


def test_request_and_response_of_a_model_call_are_read() -> None:
    first, second = of_kind(recorded(RECORDING, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"}')
    assert second.input_messages[-1].tool_call_id == call.id
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")


def test_a_tool_run_has_its_arguments_and_result() -> None:
    (tool,) = of_kind(recorded(RECORDING, "ok"), SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


def test_a_tool_that_raises_has_no_result() -> None:
    (tool,) = of_kind(recorded(RECORDING, "tool_raises"), SpanKind.TOOL)
    assert (tool.output, tool.output_messages) == (None, ())
    assert tool.exceptions


def test_an_empty_answer_is_empty() -> None:
    last = of_kind(recorded(RECORDING, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_that_a_run_returned_nothing_is_kept() -> None:
    assert root_of(recorded(RECORDING, "max_steps")).output == "null"
    assert run_of("chain", {"text": "x"}).output is None


def langchain_message(name: str, **fields: Any) -> dict[str, Any]:
    """A message as LangChain serialises it."""
    return {"lc": 1, "type": "constructor", "id": ["langchain", name], "kwargs": fields}


def test_messages_of_langchain_are_read() -> None:
    call = {"id": "c", "name": "f", "args": {"a": 1}, "type": "tool_call"}
    answer = langchain_message("AIMessage", content="", tool_calls=[call])
    span = run_of(
        "llm",
        {"messages": [[langchain_message("HumanMessage", content="Hi")]]},
        {"generations": [[{"message": answer, "text": ""}]]},
    )
    assert span.input_messages == (Message(role="user", content="Hi"),)
    (message,) = span.output_messages
    assert (message.role, message.tool_calls[0].name) == ("assistant", "f")
    assert message.tool_calls[0].arguments == '{"a":1}'


def test_the_state_of_a_graph_gives_question_and_answer() -> None:
    asked = [langchain_message("HumanMessage", content="Where is A-17?")]
    said = [*asked, langchain_message("AIMessage", content="On its way.")]
    span = run_of("chain", {"messages": asked}, {"messages": said, "turns": 2})
    assert (span.input, span.output) == ("Where is A-17?", "On its way.")


def test_a_tool_of_langchain_has_its_arguments_and_its_message() -> None:
    message = langchain_message(
        "ToolMessage", content="not found", tool_call_id="c", status="error"
    )
    span = run_of("tool", {"input": "{'order_id': 'A-17'}"}, {"output": message})
    assert json.loads(span.input or "") == {"order_id": "A-17"}
    assert (span.output, span.tool_call_id, span.tool_error) == ("not found", "c", True)


def test_documents_of_a_retriever_are_read() -> None:
    document = {"page_content": "Refunds take 3 days.", "metadata": {}, "type": "Document"}
    span = run_of("retriever", {"query": "refunds"}, {"documents": [document]})
    assert span.documents
    assert [found.content for found in span.documents] == ["Refunds take 3 days."]
