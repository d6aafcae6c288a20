"""Answers that were cut at their limit or withheld: never taken for whole ones, whoever asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from corpora import synthetic
from halo_engine.errors import AnswerWithheld, PromptTooLong
from halo_engine.findings import AnalysisEnding, ModelAnalysis
from halo_engine.llm import Budget, ChatMessage, Completion, Ledger, ModelClient, TokenUsage
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.loop import Loop, LoopState
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.row_fields import row_fields
from halo_integrations import Report
from halo_integrations.testing import ScriptedModel, ScriptedSandbox
from model_endpoint import Analyst, Endpoint, code, completion, endpoint, submit
from rlm_context import NONCE, OPENING, RlmContext

ASK = filled(prompt("map"), question="Was it paid?")
FIELDS = row_fields({"paid": "boolean"})
GOOD = [
    code("h = search('unknown', field='output', limit=3)", "print(h)"),
    code(
        "print(ask('what is this?', 'an order'))",
        "print(map_traces(['T1'], 'ok?', {'ok': 'boolean'}))",
    ),
    code(
        submit(
            "[{'span': x['span'], 'quote': 'status\": \"unknown'} for x in h]",
            "{'question': 'Is the status unknown?'}",
        )
    ),
]
PURPOSES = {"survey", "root", "ask", "map", "review", "label"}


# -- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def analyse(tmp_path: Path) -> Callable[..., Report]:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic()), encoding="utf-8")

    def run(server: Endpoint, **options: Any) -> Report:
        limits = {"price": "1,1", "budget": 5.0, "retry_timeout": 1.0, "window": 128_000}
        model = {"model": "scripted", "model_url": server.url, **limits, **options}
        return halo.run(str(path), home=tmp_path / "home", fresh=True, **model).report

    return run


def analysis_of(report: Report) -> ModelAnalysis:
    assert report.analysis is not None
    return report.analysis


def by_model(report: Report) -> list[str]:
    return [finding.title for finding in report.findings if finding.model]


def limits_of(server: Endpoint) -> list[int]:
    return [json.loads(request.body)["max_tokens"] for request in server.loopback.requests]


def test_a_model_that_thinks_more_than_the_first_limit_allows_does_the_whole_analysis(
    analyse: Callable[..., Report],
) -> None:
    with endpoint(Analyst(GOOD), thinking=6000) as server:
        report = analyse(server, parallel=1)
    analysis = analysis_of(report)
    assert analysis.ending is AnalysisEnding.FINISHED
    assert by_model(report) == ["Orders stay unknown"]
    assert not report.failures
    assert {cost.purpose for cost in analysis.costs} == PURPOSES
    # Only the first answer, to the survey, is cut: then the room that is needed is known.
    assert limits_of(server)[:7] == [900, 1800, 3600, 7200, 7200, 7200, 7200]
    assert analysis.billing.cut_answers == 3
    assert sum(c.prompt_tokens + c.completion_tokens for c in analysis.costs) == sum(
        map(sum, server.billed)
    )


def test_the_room_of_each_model_is_its_own(analyse: Callable[..., Report]) -> None:
    with endpoint(Analyst(GOOD), thinking=9500) as server:
        report = analyse(server, sub_model="reader", parallel=1)
    assert by_model(report) == ["Orders stay unknown"]
    assert not report.failures
    # The reader, which is asked first, needs 14,400 tokens, and the root 16,000 of its own.
    reader, root = [900, 1800, 3600, 7200, 14_400, 14_400], [4000, 8000, 16_000, 16_000]
    assert limits_of(server)[:10] == [*reader, *root]
    assert analysis_of(report).billing.cut_answers == 4 + 2


def test_code_that_was_cut_is_never_run(analyse: Callable[..., Report]) -> None:
    padding = "# " + "word " * 4000
    long = code("note('half')", padding, "finish('done')")
    with endpoint(Analyst([], after=long)) as server:
        report = analyse(server)
    assert analysis_of(report).ending is AnalysisEnding.FINISHED
    assert limits_of(server)[-len(server.requests) :] == [4000, 8000]


def test_code_that_fits_nowhere_is_never_run_and_the_model_and_the_user_read_why(
    analyse: Callable[..., Report],
) -> None:
    endless = code("finish('half')", "# " + "word " * 40_000)
    with endpoint(Analyst([], after=endless)) as server:
        report = analyse(server, window=10_000, max_turns=9)
    analysis = analysis_of(report)
    assert analysis.ending is AnalysisEnding.IDLE
    assert analysis.summary is None
    assert "cut at 5,000 tokens, reasoning included" in analysis.ending_detail
    replies = [m["content"] for prompt in server.prompts for m in prompt if m["role"] == "user"]
    assert any("cut off at 5000 tokens" in reply for reply in replies)
    assert not any("no block of code" in reply for reply in replies)


def test_a_provider_that_withholds_its_answers_is_told_from_a_model_without_code(
    analyse: Callable[..., Report],
) -> None:
    def before(_: int) -> Any:
        return completion(code("finish('no')"), finish_reason="content_filter")

    with endpoint(Analyst([]), before) as server:
        report = analyse(server, max_turns=9)
    analysis = analysis_of(report)
    assert analysis.ending is AnalysisEnding.IDLE
    assert analysis.summary is None
    assert "withholds its answer (content_filter)" in analysis.ending_detail


# -- the loop ------------------------------------------------------------------------------------


def answer(text: str, tokens: int, reason: str) -> Completion:
    usage = TokenUsage(prompt=10, completion=tokens)
    return Completion(text=text, usage=usage, finish_reason=reason)


def cut(text: str = "", tokens: int = 5000) -> Completion:
    return answer(text, tokens, "length")


WITHHELD = answer("half", 7, "content_filter")


def state_of(context: RlmContext, script: Sequence[str | Completion | Exception]) -> LoopState:
    model = ScriptedModel(script, window=10_000)
    client = ModelClient(Budget(), Ledger(), retry_timeout=0)
    loop = Loop(
        context.host(model), ScriptedSandbox(), client, model, DataDelimiter(NONCE), OPENING
    )
    loop.step()
    return loop.state


@pytest.mark.parametrize(
    ("script", "shown", "reply"),
    [
        ([cut(), cut()], "(cut off)", "cut off at 5000 tokens"),
        ([WITHHELD], "(withheld)", "content_filter"),
        ([AnswerWithheld("A content filter refuses the request.")], "(withheld)", "content filter"),
    ],
)
def test_a_turn_without_a_whole_answer_is_idle_and_says_so_to_the_model(
    script: list[Any], shown: str, reply: str, context: RlmContext
) -> None:
    state = state_of(context, script)
    (turn,) = state.conversation.turns
    assert turn.answer == shown
    assert reply in turn.reply
    assert (state.idle, state.ending) == (1, None)


# -- reading -------------------------------------------------------------------------------------


def names_in(messages: Sequence[ChatMessage]) -> list[str]:
    return re.findall(r"^## Trace (T\d+)", messages[-1].content, re.MULTILINE)


def rows_of(names: Sequence[str]) -> str:
    return json.dumps([{"trace": name, "paid": True} for name in names])


def reader(most: int, failure: Completion | Exception) -> ScriptedModel:
    """A model that answers about ``most`` traces at once, and with ``failure`` about more."""

    def respond(messages: Sequence[ChatMessage]) -> str | Completion:
        names = names_in(messages)
        if len(names) <= most:
            return rows_of(names)
        if isinstance(failure, Exception):
            raise failure
        # A cut answer looks whole: its text is of no use all the same.
        return failure.model_copy(update={"text": rows_of(names)})

    return ScriptedModel(respond, window=20_000)


@pytest.mark.parametrize("failure", [cut(tokens=10_000), WITHHELD, PromptTooLong("window")])
def test_a_batch_that_is_too_much_is_asked_about_in_halves(
    failure: Completion | Exception, context: RlmContext
) -> None:
    model = reader(5, failure)
    ids = context.short_ids.trace_ids[:20]
    rows = context.mapper(model).rows(ids, ASK, FIELDS, purpose="map")
    assert [row["trace"] for row in rows] == [f"T{n}" for n in range(1, 21)]
    assert all(row["paid"] for row in rows)
    asked = [len(names_in(request)) for request in model.requests]
    assert sorted(set(asked), reverse=True) == [20, 10, 5]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (cut(tokens=10_000), "cut at 10,000 tokens"),
        (WITHHELD, "withholds its answer"),
        (PromptTooLong("The request is too long."), "too long"),
    ],
)
def test_a_trace_that_no_answer_fits_has_the_error_and_the_others_have_their_rows(
    failure: Completion | Exception, error: str, context: RlmContext
) -> None:
    def respond(messages: Sequence[ChatMessage]) -> str | Completion:
        names = names_in(messages)
        if "T3" not in names:
            return rows_of(names)
        if isinstance(failure, Exception):
            raise failure
        return failure

    ids = context.short_ids.trace_ids[:4]
    model = ScriptedModel(respond, window=20_000)
    rows = context.mapper(model).rows(ids, ASK, FIELDS, purpose="map")
    assert ["error" in row for row in rows] == [False, False, True, False]
    assert error in rows[2]["error"]


def test_an_answer_to_a_question_that_was_cut_says_so_to_the_code(context: RlmContext) -> None:
    model = ScriptedModel([cut(), cut("the begin")], window=8000)
    assert context.host(model).functions["ask"]("what?", "x") == (
        "the begin\n[cut off here at 4000 tokens]"
    )


def test_a_question_whose_answer_is_withheld_does_not_lose_the_others(context: RlmContext) -> None:
    def respond(messages: Sequence[ChatMessage]) -> str | Completion:
        return WITHHELD if "poison" in messages[-1].content else "fine"

    ask_many = context.host(ScriptedModel(respond)).functions["ask_many"]
    first, second, third = ask_many("what?", ["a", "poison", "b"])
    assert (first, third) == ("fine", "fine")
    assert second.startswith("[no answer: ")


def test_the_same_question_at_the_same_time_is_paid_for_once(context: RlmContext) -> None:
    model = ScriptedModel(lambda messages: messages[-1].content[-20:])
    ask_many = context.host(model).functions["ask_many"]
    answers = ask_many("what?", ["a", "b", "a", "a"])
    assert answers[0] == answers[2] == answers[3] != answers[1]
    assert len(model.requests) == 2
