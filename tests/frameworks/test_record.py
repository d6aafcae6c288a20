"""The recorder's own parts: the scripted model, the receiver of spans, what is taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from openai import APIStatusError, OpenAI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from environments import HERE, variants
from script import SCENARIOS, prompt_of
from server import Bench, served
from tidy import tidied

RUN = "run-1"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with served() as running:
        yield running


def client(bench: Bench) -> OpenAI:
    return OpenAI(base_url=f"{bench.address(RUN)}/v1", api_key="none", max_retries=0)


def ask(bench: Bench, scenario: str, *, streamed: bool = False) -> list[tuple[str, str]]:
    """What the model says, turn by turn: the text or the call, and why it ends."""
    question = {"role": "user", "content": prompt_of(scenario)}
    said = []
    for _ in SCENARIOS[scenario][:3]:
        request = {"model": "m", "messages": [question]}
        said.append(in_chunks(bench, request) if streamed else at_once(bench, request))
    return said


def at_once(bench: Bench, request: dict) -> tuple[str, str]:
    choice = client(bench).chat.completions.create(**request).choices[0]
    calls = choice.message.tool_calls or ()
    text = "".join(f"{call.function.name}{call.function.arguments}" for call in calls)
    return choice.message.content or text, choice.finish_reason


def in_chunks(bench: Bench, request: dict) -> tuple[str, str]:
    text, finish = "", ""
    for chunk in client(bench).chat.completions.create(**request, stream=True):
        choice = chunk.choices[0]
        for call in choice.delta.tool_calls or ():
            text += f"{call.function.name or ''}{call.function.arguments}"
        text += choice.delta.content or ""
        finish = choice.finish_reason or finish
    return text.strip(), finish


LENGTH = [
    ('get_order{"order_id": "A-17"}', "tool_calls"),
    ("Your order A-17 was shipped on", "length"),
]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_model_says_the_turns_of_the_scenario_that_the_user_names(
    bench: Bench, streamed: bool
) -> None:
    assert ask(bench, "length", streamed=streamed) == LENGTH


def test_a_provider_that_fails_answers_with_its_status_and_message(bench: Bench) -> None:
    with pytest.raises(APIStatusError, match="maximum context length") as raised:
        ask(bench, "context_length")
    assert raised.value.status_code == 400


def test_responses_that_are_cut_are_incomplete(bench: Bench) -> None:
    create = client(bench).responses.create
    answers = [create(model="m", input=prompt_of("length")) for _ in range(2)]
    assert [answer.status for answer in answers] == ["completed", "incomplete"]
    assert answers[0].output[0].type == "function_call"


def test_spans_are_kept_for_each_run_with_ids_in_hexadecimal(bench: Bench) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{bench.address(RUN)}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("shop").start_as_current_span("run") as span:
        context = span.get_span_context()
    kept = bench.spans[RUN][0]["scopeSpans"][0]["spans"][0]
    assert (kept["traceId"], kept["spanId"]) == (
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
    )


STACK = (
    "Traceback (most recent call last):\n"
    '  File "/home/user/venv/lib/agent.py", line 7, in run\n'
    "    tool()\n"
    "ValueError: order BAD-1 not found\n"
)


@pytest.mark.parametrize("value", [STACK, json.dumps({"error": STACK, "long": "a" * 9000})])
def test_a_recording_keeps_no_frames_and_no_long_texts_and_stays_json(value: str) -> None:
    tidy = tidied({"stringValue": value})["stringValue"]
    held = json.loads(tidy)["error"] if tidy.startswith("{") else tidy
    assert held == "Traceback (most recent call last):\nValueError: order BAD-1 not found\n"
    assert len(tidy) < 3000


def test_a_recording_does_not_name_the_machine() -> None:
    names = ("service.name", "host.name", "process.pid")
    attributes = [{"key": name, "value": {"stringValue": "x"}} for name in names]
    assert tidied({"resource": {"attributes": attributes}}) == {
        "resource": {"attributes": attributes[:1]}
    }


def test_every_variant_has_a_module_that_plays_it() -> None:
    assert {row.agent for row in variants().values()} == {
        path.stem for path in (HERE / "players").glob("*.py")
    } - {"client_loop"}
