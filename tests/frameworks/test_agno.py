"""Spans of Agno with OpenInference's instrumentation: agno 3.1.10, 1.0.15 of it."""

from __future__ import annotations

from halo_engine.schema import Message, SpanKind
from recordings import kinds, of_kind, recorded, root_of

AGNO = "agno"


def test_a_run_is_an_agent_with_model_calls_and_tool_runs() -> None:
    assert kinds(recorded(AGNO, "ok")) == [
        ("support.arun", "AGENT"),
        ("OpenAIChat.ainvoke", "LLM"),
        ("get_order", "TOOL"),
        ("OpenAIChat.ainvoke", "LLM"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(AGNO, "ok"))
    assert root.input == "SCENARIO:ok Where is my order A-17?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "support")


def test_the_mark_of_a_failed_call_is_on_its_result() -> None:
    first, second = of_kind(recorded(AGNO, "tool_raises"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert second.input_messages[-1] == Message(
        role="tool",
        content="payment service did not commit",
        tool_call_id=call.id,
        is_error=True,
    )
    succeeded = of_kind(recorded(AGNO, "ok"), SpanKind.LLM)[-1]
    assert [m.role for m in succeeded.input_messages] == ["system", "user", "assistant", "tool"]
    assert succeeded.input_messages[-1].is_error is False


def test_an_empty_answer_is_empty() -> None:
    trace = recorded(AGNO, "empty")
    last = of_kind(trace, SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)
    assert root_of(trace).output == ""
