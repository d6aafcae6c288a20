"""SDKs of providers, recorded by the instrumentations of OpenInference: Gemini, Groq, Mistral,
LiteLLM, Bedrock (``converse``, and ``invoke`` with a model of Anthropic).

The recording was made with scripted servers, one request a trace: google-genai 3.6.1, groq 1.7.0,
mistralai 3.7.0, litellm 1.110.2, boto3 1.44.8.
"""

from __future__ import annotations

import pytest

from halo_engine.schema import Span, SpanKind
from recordings import of_kind, recorded

PROVIDERS = ("genai", "groq", "mistral", "litellm", "converse", "invoke")


def call_of(scenario: str) -> Span:
    """The model call of ``scenario``."""
    (span,) = of_kind(recorded("oi-providers", scenario), SpanKind.LLM)
    return span


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_without_content_is_empty(provider: str) -> None:
    assert [m.content for m in call_of(f"{provider}_empty").output_messages] == [""]


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("genai", "MAX_TOKENS"),
        *((provider, "length") for provider in ("groq", "mistral", "litellm")),
        *((provider, "max_tokens") for provider in ("converse", "invoke")),
    ],
)
def test_an_answer_that_was_cut_has_its_finish_reason(provider: str, reason: str) -> None:
    span = call_of(f"{provider}_length")
    assert (span.output_messages[-1].content, span.finish_reason) == ("It was", reason)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_call_has_the_tools_that_were_declared(provider: str) -> None:
    assert [tool.name for tool in call_of(f"{provider}_call").tools] == ["get_order"]


@pytest.mark.parametrize(
    ("provider", "call_id", "arguments"),
    [
        ("genai", None, '{"order_id": "A"}'),
        ("groq", "call_9", '{"order_id": "A"'),
        ("mistral", "call_9", '{"order_id": "A"'),
        ("litellm", "call_9", '{"order_id": "A"'),
        ("converse", "t1", '{"order_id": "A"}'),
        ("invoke", "t1", '{"order_id": "A"}'),
    ],
)
def test_a_call_has_its_id_and_its_arguments_as_the_model_wrote_them(
    provider: str, call_id: str | None, arguments: str
) -> None:
    (call,) = call_of(f"{provider}_call").output_messages[-1].tool_calls
    assert (call.id, call.name, call.arguments) == (call_id, "get_order", arguments)


@pytest.mark.parametrize("provider", ["groq", "mistral", "litellm"])
def test_a_result_says_of_which_call_it_is(provider: str) -> None:
    *_, asked, result = call_of(f"{provider}_result").input_messages
    assert [call.id for call in asked.tool_calls] == ["call_12345"]
    assert (result.role, result.content, result.tool_call_id) == ("tool", "shipped", "call_12345")


@pytest.mark.parametrize("provider", ["converse", "invoke"])
def test_a_result_that_the_request_marks_as_an_error_is_one(provider: str) -> None:
    *_, first, second = call_of(f"{provider}_result").input_messages
    assert (first.tool_call_id, first.content, first.is_error) == ("t1", "shipped", None)
    assert (second.tool_call_id, second.is_error) == ("t2", True)


def test_an_answer_that_gemini_withholds_is_none() -> None:
    span = call_of("genai_safety")
    assert (span.output_messages, span.finish_reason) == ((), "SAFETY")
    assert call_of("genai_malformed").finish_reason == "MALFORMED_FUNCTION_CALL"


def test_code_that_gemini_runs_is_no_call_of_a_tool() -> None:
    (message,) = call_of("genai_code").output_messages
    assert (message.content, message.tool_calls) == ("2", ())


def test_a_call_that_fails_has_its_messages() -> None:
    span = call_of("litellm_error")
    assert span.is_error
    assert [message.role for message in span.input_messages] == ["system", "user"]
