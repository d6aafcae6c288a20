"""What a provider bills, over HTTP: charged, kept to the limit, and told to the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halo_engine.findings import AnalysisEnding, Billing, ModelAnalysis, Report
from loopback import Answer
from model_endpoint import Analyst, code, completion, endpoint, refusal
from model_runs import ModelRun

LOOK = code("print(overview())")
FINISH = code("finish('done')")
PRICE = "3,15"


def billing(text: str, tokens: int) -> Callable[[int], Answer]:
    """Answers with ``text``, each billed at so many tokens whatever was asked for."""
    return lambda _: completion(text, 1000, tokens)


def analysis_of(report: Report) -> ModelAnalysis:
    assert report.analysis is not None
    return report.analysis


@pytest.mark.parametrize(
    ("text", "ending"),
    [(LOOK, AnalysisEnding.BUDGET_EXHAUSTED), (FINISH, AnalysisEnding.FINISHED)],
)
def test_the_report_the_terminal_and_the_exit_code_tell_of_a_limit_that_was_passed(
    text: str, ending: AnalysisEnding, tmp_path: Path
) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), billing(text, 60_000)) as server:
        money = ["--price", PRICE, "--budget", "0.5"]
        assert run.start(server, "run", "traces.jsonl", *money) == 4, run.output
        assert len(server.requests) == 1
    assert run.report["analysis"]["ending"] == ending
    billed = 0.903 + server.usd
    said = (
        f"{billed:.2f} USD were billed, {billed - 0.5:.2f} USD more than the limit of 0.50 USD: a "
        f"server may ignore"
    )
    for shown in (run.text_report, " ".join(run.output.split())):
        assert said in shown
        assert "hidden reasoning" in shown
        assert "Every later call is refused" in shown


def test_a_bill_above_the_limit_is_charged_in_full_and_ends_the_analysis(tmp_path: Path) -> None:
    with endpoint(Analyst([]), billing(LOOK, 60_000)) as server:
        report = ModelRun(tmp_path).here(server, price=PRICE, budget=0.5)
        assert len(server.requests) == 1
    analysis = analysis_of(report)
    assert {c.purpose: c.usd for c in analysis.costs}["root"] == pytest.approx(0.903)
    billed = 0.903 + server.usd
    (passed,) = analysis.billing.passed
    assert (passed.limit, passed.billed) == (0.5, pytest.approx(billed))
    assert f"{billed - 0.5:.2f} USD more than the limit of 0.50 USD" in analysis.ending_detail


def test_an_analysis_whose_limit_was_passed_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    answers = {1: completion(LOOK, 1000, 60_000), 2: completion(FINISH, 1000, 100)}
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), answers.get) as server:
        run.here(server, price=PRICE, budget=0.5)
        report = run.here(server, "analyze", price=PRICE, budget=9)
        assert len(server.requests) == 2
    analysis = analysis_of(report)
    assert analysis.ending is AnalysisEnding.FINISHED
    assert analysis.billing == Billing(overbilled_calls=1, overbilled_tokens=56_000)


def test_a_bill_above_what_was_asked_for_within_the_limit_is_told(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), billing(FINISH, 60_000)) as server:
        report = run.here(server, price=PRICE, budget=5)
    assert not analysis_of(report).is_out_of_budget
    assert "1 call was billed 56,000 tokens more than asked for" in run.text_report


def test_an_answer_that_is_lost_after_the_request_was_sent_is_charged_as_what_was_reserved(
    tmp_path: Path,
) -> None:
    run = ModelRun(tmp_path)

    def before(number: int) -> Answer | None:
        return Answer(body={"choices": "x" * 99}, cut=True) if number == 1 else None

    with endpoint(Analyst([], after=FINISH), before) as server:
        run.here(server, retry_timeout=60)
    calls, tokens = run.costs
    assert len(server.requests) == 2
    assert calls == len(server.loopback.requests)
    prompt = sum(len(m["content"]) for m in server.prompts[0])
    assert tokens > sum(map(sum, server.billed)) + prompt + 4000
    assert run.report["analysis"]["billing"]["lost_calls"] == 1
    assert "1 call was sent without getting a complete answer" in run.text_report


def test_a_call_that_a_busy_provider_refuses_is_charged_nothing(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)

    def before(number: int) -> Answer | None:
        return refusal(503, "later", **{"retry-after": "0"}) if number == 1 else None

    with endpoint(Analyst([], after=FINISH), before) as server:
        run.here(server)
    assert run.costs == (len(server.billed), sum(map(sum, server.billed)))
