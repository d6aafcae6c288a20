"""What is read of spans that Langfuse was sent over OpenTelemetry, and what it keeps of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langfuse import Langfuse, propagate_attributes
from opentelemetry.sdk.trace import TracerProvider

from exports.otlp_json import group, key_values, otlp_spans
from halo_adapters.base import TraceQuery
from halo_adapters.dialects.coverage import is_understood
from halo_adapters.langfuse import LangfuseAdapter
from halo_engine.instrumentations import libraries_of
from halo_engine.schema import Message, Span, SpanKind, ToolCall, Trace
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import send

Row = dict[str, Any]

RECORDINGS = Path(__file__).parents[1] / "frameworks" / "recordings"
QUESTION, ANSWER = "Where is order 7?", "It was shipped."
CALL = ToolCall(id="c1", name="get_order", arguments='{"id":7}')


@pytest.fixture(params=[LangfuseVersion.V3, LangfuseVersion.V4])
def server(request: pytest.FixtureRequest) -> Iterator[LangfuseServer]:
    with LangfuseServer(request.param) as server:
        yield server


def traces_in(server: LangfuseServer, query: TraceQuery | None = None) -> dict[str, Trace]:
    """The traces that the adapter reads, by id."""
    known = {
        "base_url": server.url,
        "public_key": server.public_key,
        "secret_key": server.secret_key,
    }
    adapter = LangfuseAdapter(LangfuseAdapter.Settings.model_validate(known))
    pages = list(adapter.pull(query or TraceQuery()))
    assert not [failure for page in pages for failure in page.failures]
    return {trace.trace_id: trace for page in pages for trace in page.traces}


def sent(server: LangfuseServer, scope: str, attributes: Row, **fields: Any) -> Span:
    """The span with these attributes as it comes back."""
    span = {**otlp_spans()[0], "status": {}, **fields}
    span["attributes"] = key_values(attributes)
    resource = group([span])
    resource["scopeSpans"][0]["scope"]["name"] = scope
    send(server, "POST", "otel/v1/traces", {"resourceSpans": [resource]}).raise_for_status()
    (found,) = traces_in(server)[span["traceId"]].spans
    return found


# -- the Vercel AI SDK ------------------------------------------------------------------------------


def vercel(calls: list[Row], **attributes: str) -> Row:
    return {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.id": "m",
        "ai.response.finishReason": "tool-calls",
        "ai.prompt.messages": json.dumps([{"role": "user", "content": QUESTION}]),
        "ai.response.toolCalls": json.dumps(calls),
        **attributes,
    }


NAMED = {"toolCallId": "c1", "toolName": "get_order"}
FORMS = {
    "of version 4": {**NAMED, "toolCallType": "function", "args": '{"id":7}'},
    "of version 5": {**NAMED, "input": {"id": 7}},
    "of version 5, as text": {**NAMED, "type": "tool-call", "input": '{"id":7}'},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [None, "I look it up."])
def test_a_tool_call_of_the_ai_sdk_is_read(
    server: LangfuseServer, form: str, text: str | None
) -> None:
    said = {} if text is None else {"ai.response.text": text}
    span = sent(server, "ai", vercel([FORMS[form]], **said))
    assert (span.kind, span.finish_reason) == (SpanKind.LLM, "tool-calls")
    assert span.input_messages == (Message(role="user", content=QUESTION),)
    (answer,) = span.output_messages
    assert (answer.role, answer.tool_calls) == ("assistant", (CALL,))
    assert (answer.content or None) == text


@pytest.mark.parametrize(
    ("scenario", "name", "arguments"),
    [
        ("unknown_tool", "issue_store_credit", None),
        ("bad_json", "get_order", '{"order_id": "A-17"'),
        ("bad_type", "refund_order", '{"order_id": "A-17", "amount": "ten"}'),
    ],
)
def test_the_calls_of_recorded_runs_of_the_ai_sdk_are_those_that_the_model_made(
    server: LangfuseServer, scenario: str, name: str, arguments: str | None
) -> None:
    for document in documents("vercel-ai6"):
        send(server, "POST", "otel/v1/traces", document).raise_for_status()
    truth = json.loads((RECORDINGS / "vercel-ai6.truth.json").read_text())
    wanted = next(trace_id for trace_id, played in truth.items() if played == scenario)
    calls = [
        call
        for span in traces_in(server, TraceQuery(trace_ids=(wanted,)))[wanted].spans
        for message in span.output_messages
        for call in message.tool_calls
    ]
    assert name in {call.name for call in calls}
    if arguments is not None:
        assert arguments.replace(" ", "") in {(c.arguments or "").replace(" ", "") for c in calls}


def documents(name: str) -> Iterator[Row]:
    """The requests of a recording."""
    with gzip.open(RECORDINGS / f"{name}.otlp.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


# -- finish reasons --------------------------------------------------------------------------------

PARTS = [{"type": "text", "content": ANSWER}]
CUT = [{"role": "assistant", "parts": PARTS, "finish_reason": "length"}]
ASKED = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("pydantic-ai", {"gen_ai.output.messages": json.dumps(CUT)}),
        ("opentelemetry.instrumentation.openai.v1", {"gen_ai.output.messages": json.dumps(CUT)}),
        (
            "opentelemetry.instrumentation.openai.v1",
            {
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": ANSWER,
                "gen_ai.completion.0.finish_reason": "length",
            },
        ),
        (
            "acme",
            {
                "output.value": json.dumps(
                    [{"index": 0, "finish_reason": "length", "message": {"content": ANSWER}}]
                )
            },
        ),
    ],
    ids=["pydantic-ai", "openllmetry", "openllmetry item by item", "choices"],
)
def test_a_finish_reason_in_a_list_of_answers_is_read(
    server: LangfuseServer, scope: str, attributes: Row
) -> None:
    span = sent(server, scope, {**ASKED, **attributes})
    assert span.finish_reason == "length"
    assert [m.content for m in span.output_messages] == [ANSWER]


# -- OpenInference ---------------------------------------------------------------------------------

CONTENTS = {
    "openinference.span.kind": "LLM",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be kind.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": QUESTION,
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_order",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"id":7}',
}


def test_messages_of_openinference_are_read_where_no_input_is_beside_them(
    server: LangfuseServer,
) -> None:
    span = sent(server, "openinference.instrumentation.openai", CONTENTS)
    assert [(m.role, m.content) for m in span.input_messages] == [
        ("system", "Be kind."),
        ("user", QUESTION),
    ]
    assert [message.tool_calls for message in span.output_messages] == [(CALL,)]


def test_a_request_and_a_response_of_openinference_hold_what_langfuse_drops_beside_them(
    server: LangfuseServer,
) -> None:
    request = {"messages": [{"role": "user", "content": QUESTION}]}
    call = {"id": "c1", "function": {"name": "get_order", "arguments": '{"id":7}'}}
    response = {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}
    recorded = {"input.value": json.dumps(request), "output.value": json.dumps(response)}
    span = sent(server, "openinference.instrumentation.openai", CONTENTS | recorded)
    assert span.input_messages == (Message(role="user", content=QUESTION),)
    assert [message.tool_calls for message in span.output_messages] == [(CALL,)]


# -- metadata --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        *(("acme", "acme"), ('"acme"', "acme"), ('"Größe"', "Größe"), ('"a b"', "a b")),
        *(("3", "3"), ('"3"', "3"), ("2.0", "2"), ("2", "2.0"), ("2.5", "2.5"), ('"007"', "007")),
        *(("true", "true"), ("true", "True"), ('"true"', "true"), ("false", "false")),
    ],
)
@pytest.mark.parametrize("prefix", ["langfuse.observation.metadata.", "langfuse.trace.metadata."])
def test_metadata_matches_in_the_spelling_in_which_its_sdk_sends_it(
    server: LangfuseServer, prefix: str, stored: str, text: str
) -> None:
    span = sent(server, "langfuse-sdk", {prefix + "tenant": stored})
    sent(server, "langfuse-sdk", {prefix + "tenant": '"someone else"'}, traceId="e" * 32)
    found = traces_in(server, TraceQuery(metadata={"tenant": text}))
    assert set(found) == {span.trace_id}


def test_what_the_sdk_of_langfuse_sends_as_metadata_is_found() -> None:
    with LangfuseServer(LangfuseVersion.V4) as server:
        keys = {"public_key": server.public_key, "secret_key": server.secret_key}
        client = Langfuse(**keys, base_url=server.url, tracer_provider=TracerProvider())
        own = {"tenant": "acme", "is_trial": True}
        with (
            propagate_attributes(metadata={"plan": "gold", "seats": 3}),
            client.start_as_current_observation(name="run", as_type="agent", metadata=own),
        ):
            pass
        client.shutdown()
        everything = set(traces_in(server))
        assert len(everything) == 1
        for key, text in (
            *(("plan", "gold"), ("seats", "3"), ("tenant", "acme")),
            *(("is_trial", "true"), ("is_trial", "True")),
        ):
            assert set(traces_in(server, TraceQuery(metadata={key: text}))) == everything
        assert not traces_in(server, TraceQuery(metadata={"tenant": "other"}))


@pytest.mark.parametrize("value", ["acme", 3, 2.5, True])
def test_an_attribute_of_opentelemetry_matches_by_its_name(
    server: LangfuseServer, value: Any
) -> None:
    span = sent(server, "acme", {"shop.tenant": value})
    for text, ids in ((str(value), {span.trace_id}), ("other", set())):
        assert set(traces_in(server, TraceQuery(metadata={"shop.tenant": text}))) == ids


# -- spans of no dialect ---------------------------------------------------------------------------


def test_a_span_of_no_dialect_is_not_understood(server: LangfuseServer) -> None:
    span = sent(server, "acme", {"acme.step": 1})
    assert span.kind is None
    assert not is_understood(span)


def test_a_span_of_langfuses_own_sdk_is_a_step_though_nothing_went_in_or_out(
    server: LangfuseServer,
) -> None:
    attributes = {"langfuse.observation.type": "span", "langfuse.observation.metadata.a": '"b"'}
    assert sent(server, "langfuse-sdk", attributes).kind is SpanKind.CHAIN


def test_the_library_that_recorded_a_span_is_told_by_its_scope(server: LangfuseServer) -> None:
    span = sent(server, "openinference.instrumentation.openai", CONTENTS)
    assert [library.name for library in libraries_of(span)] == ["OpenInference"]
