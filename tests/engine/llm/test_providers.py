"""Six providers through litellm, over HTTP on loopback.

The answers are built from the public references (``provider_shapes``), not seen from the providers
themselves. litellm takes seconds to import, so one worker has all of these tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from halo_engine.errors import ModelBusy
from halo_engine.llm import (
    Budget,
    Completion,
    Ledger,
    ModelClient,
    TokenUsage,
    assistant,
    system,
    user,
)
from halo_engine.llm.chat import AnswerForm, AnswerFormKind, AnswerStatus
from halo_engine.llm.litellm_model import LitellmModel
from halo_engine.llm.negotiation import EFFORT_ROOM, STREAMED_TOKENS
from halo_engine.rlm.answer_forms import CODE_CALL, rows_form
from halo_engine.rlm.answers import parse_code, parse_rows, text_with_calls
from halo_engine.rlm.row_fields import row_fields
from loopback import Answer, Request, serving
from provider_shapes import (
    ANTHROPIC,
    BEDROCK,
    CODE,
    COMPLETION,
    GEMINI,
    HIDDEN,
    KEYS,
    OLLAMA,
    OLLAMA_SHOW,
    OPENAI,
    OPENAI_RESPONSES,
    PROMPT,
    PROVIDERS,
    Provider,
    broken,
)

pytestmark = pytest.mark.xdist_group("litellm")

ROWS_FORM = rows_form(row_fields({"ok": "boolean"}))
QUESTION = [system("You are a clerk."), user("Hello?")]
STREAMING = [name for name, provider in PROVIDERS.items() if "stream" in provider.answers]
WITHHOLDING = [name for name, provider in PROVIDERS.items() if "withheld" in provider.answers]
every_provider = pytest.mark.parametrize("name", PROVIDERS)
every_streaming_provider = pytest.mark.parametrize("name", STREAMING)


class Asked:
    """A model of a provider, the requests that it got, and what it was no longer asked for."""

    def __init__(self, provider: Provider, requests: list[Request], **options: Any) -> None:
        self.dropped: list[str] = []
        self._requests = requests
        self.model = LitellmModel(
            provider.model, timeout=5, on_dropped=self.dropped.append, **options
        )

    @property
    def bodies(self) -> list[str]:
        sent = (request for request in self._requests if request.path != "/api/show")
        return [request.body.decode() for request in sent]

    def answer(self, form: AnswerForm | None = None, room: int = 50) -> Completion:
        return self.model.complete(QUESTION, max_tokens=room, form=form)


@contextmanager
def asked(
    provider: Provider, respond: Callable[[Request], Answer], **options: Any
) -> Iterator[Asked]:
    """The model, whose provider answers each request as ``respond`` says."""

    def answer(request: Request) -> Answer:
        return OLLAMA_SHOW if request.path == "/api/show" else respond(request)

    with serving(answer) as server, pytest.MonkeyPatch.context() as environment:
        for variable, value in KEYS.items():
            environment.setenv(variable, value)
        environment.setenv(provider.variable, server.url + provider.path)
        yield Asked(provider, server.requests, **options)


def answering(provider: Provider, *cases: str, **options: Any) -> Any:
    """The model, whose provider answers with ``cases`` in turn."""
    left = [provider.answers[case] for case in cases]
    return asked(provider, lambda _: left.pop(0), **options)


# -- whole answers -------------------------------------------------------------------------------


@every_provider
def test_a_text_is_read_with_its_counts(name: str) -> None:
    provider = PROVIDERS[name]
    with answering(provider, "text") as it:
        answer = it.answer()
    assert (answer.text, answer.status) == ("fine", AnswerStatus.WHOLE)
    assert answer.usage
    assert (answer.usage.prompt, answer.usage.completion) == (PROMPT, COMPLETION)
    assert answer.usage.cached == provider.cached


@every_provider
def test_rows_are_requested_by_their_schema(name: str) -> None:
    with answering(PROVIDERS[name], "rows") as it:
        answer = it.answer(ROWS_FORM)
    assert parse_rows(answer.text) == [{"trace": "T1", "ok": True}]
    assert "rows" in it.bodies[0]
    assert not it.dropped


@every_provider
def test_code_is_requested_as_a_call_and_its_output_goes_back_as_the_result(name: str) -> None:
    provider = PROVIDERS[name]
    with answering(provider, "call", "text") as it:
        first = it.answer(CODE_CALL)
        history = [*QUESTION, assistant(text_with_calls(first), first), user("it is 42")]
        assert it.model.complete(history, max_tokens=50, form=CODE_CALL).text == "fine"
    assert parse_code(text_with_calls(first)) == f"{CODE}\n"
    assert HIDDEN not in text_with_calls(first)
    assert "python" in it.bodies[0]
    assert "it is 42" in it.bodies[1]
    assert "```" not in it.bodies[1]
    if provider.returned:
        assert provider.returned in it.bodies[1]


@every_provider
def test_hidden_reasoning_is_counted_and_is_no_part_of_the_answer(name: str) -> None:
    with answering(PROVIDERS[name], "reasoning", reasoning_effort="low") as it:
        answer = it.answer(room=EFFORT_ROOM["low"])
    assert answer.text == "fine"
    assert answer.usage
    assert answer.usage.completion == COMPLETION
    assert it.model.takes_effort


@every_provider
def test_an_answer_that_reached_its_limit_is_cut(name: str) -> None:
    with answering(PROVIDERS[name], "cut") as it:
        answer = it.answer()
    assert (answer.text, answer.status) == ("fi", AnswerStatus.CUT)


@pytest.mark.parametrize("name", WITHHOLDING)
def test_an_answer_that_a_filter_or_the_model_refuses_is_withheld(name: str) -> None:
    with answering(PROVIDERS[name], "withheld") as it:
        assert it.answer().status is AnswerStatus.WITHHELD


def test_a_refusal_of_openai_in_place_of_a_text_is_withheld() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    body = OPENAI.answers["text"].body
    refused = Answer(body={**body, "choices": [{**body["choices"][0], "message": message}]})
    with asked(OPENAI, lambda _: refused) as it:
        assert it.answer(ROWS_FORM).status is AnswerStatus.WITHHELD


# -- failures ------------------------------------------------------------------------------------


@every_provider
@pytest.mark.parametrize("room", [50, STREAMED_TOKENS])
def test_a_busy_provider_says_how_long_to_wait_and_is_paid_nothing(name: str, room: int) -> None:
    with answering(PROVIDERS[name], "busy") as it, pytest.raises(ModelBusy) as raised:
        it.answer(room=room)
    assert (raised.value.retry_after, raised.value.maybe_billed) == (7.0, False)


@every_provider
@pytest.mark.parametrize("room", [50, STREAMED_TOKENS])
def test_a_provider_that_fails_is_asked_again_and_paid_nothing(name: str, room: int) -> None:
    with answering(PROVIDERS[name], "failing") as it, pytest.raises(ModelBusy) as raised:
        it.answer(room=room)
    assert not raised.value.maybe_billed


@every_provider
@pytest.mark.parametrize("form", [ROWS_FORM, CODE_CALL], ids=["rows", "call"])
def test_a_form_that_is_refused_is_dropped_with_a_notice(name: str, form: AnswerForm) -> None:
    with answering(PROVIDERS[name], "refused", "text", "text") as it:
        assert [it.answer(form).text, it.answer(form).text] == ["fine", "fine"]
    (told,) = it.dropped
    assert f"is asked without {form.kind} from here on" in told
    assert form.kind not in it.model.forms


# -- streams -------------------------------------------------------------------------------------


@every_streaming_provider
def test_a_long_answer_is_streamed_with_all_its_counts(name: str) -> None:
    provider = PROVIDERS[name]
    with answering(provider, "stream") as it:
        answer = it.answer(room=STREAMED_TOKENS)
    assert (answer.text, answer.status) == ("fine", AnswerStatus.WHOLE)
    assert answer.usage
    assert (answer.usage.prompt, answer.usage.completion) == (PROMPT, COMPLETION)
    assert answer.usage.cached == provider.cached


@every_streaming_provider
def test_a_call_is_streamed(name: str) -> None:
    with answering(PROVIDERS[name], "streamed call") as it:
        answer = it.answer(CODE_CALL, STREAMED_TOKENS)
    assert parse_code(text_with_calls(answer)) == f"{CODE}\n"


@every_streaming_provider
@pytest.mark.parametrize("how", ["without an end", "broken off"])
def test_a_stream_that_does_not_end_is_a_lost_call(name: str, how: str) -> None:
    answers = PROVIDERS[name].answers
    lost = answers["stream without end"] if how == "without an end" else broken(answers["stream"])
    with asked(PROVIDERS[name], lambda _: lost) as it, pytest.raises(ModelBusy) as raised:
        it.answer(room=STREAMED_TOKENS)
    assert raised.value.maybe_billed


def test_gemini_is_not_streamed_since_an_end_that_is_missing_could_not_be_seen() -> None:
    with answering(GEMINI, "text") as it:
        assert it.answer(room=STREAMED_TOKENS).text == "fine"
    assert "no answer streamed" in it.model.features


def test_token_counts_that_litellm_estimates_for_a_stream_are_not_taken() -> None:
    whole = OPENAI.answers["stream"]
    parts = [line for line in whole.body.split(b"\n\n") if b'"choices": []' not in line]
    uncounted = Answer(body=b"\n\n".join(parts), headers=whole.headers)
    with asked(OPENAI, lambda _: uncounted) as it:
        answer = it.answer(room=STREAMED_TOKENS)
    assert (answer.text, answer.usage) == ("fine", None)


# -- caches and prices ---------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [ANTHROPIC, BEDROCK], ids=["Anthropic", "Bedrock"])
def test_the_prompt_is_marked_for_caches_that_want_it(provider: Provider) -> None:
    mark = "cache_control" if provider is ANTHROPIC else "cachePoint"
    with answering(provider, "text", "text") as it:
        it.answer()
        it.model.complete([*QUESTION, assistant("one"), user("two")], max_tokens=50)
    assert [body.count(mark) for body in it.bodies] == [1, 2]
    assert mark in it.bodies[1][it.bodies[1].index("two") :]


@pytest.mark.parametrize("name", ["OpenAI", "Gemini", "Ollama", "vLLM"])
def test_no_mark_is_sent_to_providers_that_cache_by_themselves(name: str) -> None:
    with answering(PROVIDERS[name], "text") as it:
        it.answer()
    assert "cache" not in it.bodies[0]


def test_cached_tokens_cost_what_litellm_lists_and_are_told() -> None:
    with answering(ANTHROPIC, "text") as it:
        client = ModelClient(Budget(), Ledger(), retry_timeout=0)
        client.complete(it.model, "root", QUESTION, max_tokens=50)
        price = it.model.price
    assert price
    assert price.model_dump() == pytest.approx(
        {"prompt": 3, "completion": 15, "cached": 0.3, "written": 3.75}
    )
    spent = client.budget.spent
    assert spent.usd == pytest.approx((10 * 3 + 100 * 0.3 + 50 * 3.75 + COMPLETION * 15) / 1e6)
    assert (spent.prompt_tokens, spent.cached_tokens) == (PROMPT, 100)
    assert client.ledger.spent()["root"] == spent


# -- requests ------------------------------------------------------------------------------------


def test_a_reasoning_model_of_openai_gets_the_parameters_that_it_takes() -> None:
    with answering(OPENAI, "text", reasoning_effort="low") as it:
        it.answer()
    body = json.loads(it.bodies[0])
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (50, "low")
    assert not {"max_tokens", "temperature"} & set(body)


def test_calls_with_an_effort_go_to_the_responses_of_openai_which_are_told_to_store_nothing() -> (
    None
):
    with answering(OPENAI_RESPONSES, "call", "text", "cut", reasoning_effort="low") as it:
        first = it.answer(CODE_CALL)
        history = [*QUESTION, assistant(text_with_calls(first), first), user("it is 42")]
        second = it.model.complete(history, max_tokens=50, form=CODE_CALL)
        cut = it.answer(CODE_CALL)
    assert parse_code(text_with_calls(first)) == f"{CODE}\n"
    assert (second.text, cut.status) == ("fine", AnswerStatus.CUT)
    assert first.usage == TokenUsage(prompt=PROMPT, completion=COMPLETION, cached=100)
    sent = [json.loads(body) for body in it.bodies]
    assert [body["store"] for body in sent] == [False] * 3
    call, result = sent[1]["input"][-2:]
    assert call["call_id"] == result["call_id"]


def test_the_room_of_an_answer_exceeds_the_budget_of_its_reasoning() -> None:
    with answering(ANTHROPIC, "stream", reasoning_effort="high") as it:
        client = ModelClient(Budget(), Ledger(), retry_timeout=0)
        client.complete(it.model, "root", QUESTION, max_tokens=50)
    body = json.loads(it.bodies[0])
    assert body["max_tokens"] == EFFORT_ROOM["high"] > body["thinking"]["budget_tokens"]


def test_ollama_is_told_of_the_context_that_is_counted_on() -> None:
    with answering(OLLAMA, "text", window=20_000) as it:
        it.answer()
    assert json.loads(it.bodies[0])["options"]["num_ctx"] == 20_000


def test_a_call_that_gemini_calls_malformed_is_asked_for_again() -> None:
    body = GEMINI.answers["text"].body
    choice = {"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}
    with asked(GEMINI, lambda _: Answer(body={**body, "candidates": [choice]})) as it:
        assert it.answer(CODE_CALL).status is AnswerStatus.BROKEN


# -- what is told --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("anthropic/claude-sonnet-4-5", "structured output and tool calls"),
        ("anthropic/claude-sonnet-4-5", "prompts marked for the provider's cache"),
        ("openai/gpt-5", "answers of 8,000 tokens or more streamed"),
        ("hosted_vllm/qwen3", "structured output (tried) and tool calls (tried)"),
        ("openai/unlisted", "plain text"),
    ],
)
def test_what_is_used_of_a_model_is_told(model: str, told: str) -> None:
    assert told in LitellmModel(model).features


def test_litellm_fetches_no_list_over_the_network() -> None:
    LitellmModel("openai/gpt-5")
    variables = ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS")
    assert all(os.environ[variable] == "True" for variable in variables)


def test_an_effort_that_a_model_does_not_take_is_known() -> None:
    assert not LitellmModel("openai/gpt-4o", reasoning_effort="low").takes_effort
    assert LitellmModel("openai/gpt-5", reasoning_effort="low").takes_effort


def test_usage_has_the_tokens_written_into_the_cache() -> None:
    with answering(BEDROCK, "text") as it:
        usage = it.answer().usage
    assert usage == TokenUsage(prompt=PROMPT, completion=COMPLETION, cached=100, written=50)


def test_every_form_is_offered_to_a_hosted_model_that_lists_it() -> None:
    assert set(LitellmModel(OPENAI.model).forms) == set(AnswerFormKind)
