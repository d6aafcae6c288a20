"""What a provider bills, over HTTP: charged, kept to the limit, and told to the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loopback import Answer
from model_endpoint import Analyst, code, completion, endpoint
from model_runs import ModelRun

LOOK = code("print(overview())")
FINISH = code("finish('done')")
# 3 USD and 15 USD for a million tokens.
MONEY = ["--price", "3,15", "--budget"]


def billing(text: str, tokens: int) -> Callable[[int], Answer]:
    """Answers with ``text``, each billed at so many tokens whatever was asked for."""
    return lambda _: completion(text, 1000, tokens)


def test_a_bill_above_the_limit_is_charged_and_ends_the_analysis(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), billing(LOOK, 60_000)) as server:
        assert run.start(server, "run", "traces.jsonl", *MONEY, "0.5") == 4
        assert len(server.loopback.requests) == 1
    analysis = run.report["analysis"]
    assert analysis["ending"] == "budget_exhausted"
    assert analysis["costs"][0]["usd"] == 0.903
    (passed,) = analysis["billing"]["passed"]
    assert (passed["unit"], passed["limit"], passed["billed"]) == ("USD", 0.5, 0.903)
    said = "0.90 USD were billed, 0.40 USD more than the limit of 0.50 USD: a server may ignore"
    for text in (run.text_report, " ".join(run.output.split())):
        assert said in text
        assert "hidden reasoning" in text
        assert "Every later call is refused" in text


def test_a_limit_that_the_last_call_passed_is_told_by_the_exit_code_as_well(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), billing(FINISH, 60_000)) as server:
        assert run.start(server, "run", "traces.jsonl", *MONEY, "0.5") == 4
    assert run.report["analysis"]["ending"] == "finished"
    assert "more than the limit of 0.50 USD" in " ".join(run.output.split())


def test_an_analysis_whose_limit_was_passed_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    bill = [60_000, 100, 100]
    texts = [LOOK, FINISH]
    with endpoint(
        Analyst([]), lambda number: completion(texts[number - 1], 1000, bill[number - 1])
    ) as server:
        assert run.start(server, "run", "traces.jsonl", *MONEY, "0.5") == 4
        assert run.start(server, "analyze", "last", *MONEY, "9") == 0, run.output
        assert len(server.loopback.requests) == 2
    analysis = run.report["analysis"]
    assert analysis["ending"] == "finished"
    assert analysis["billing"]["passed"] == []
    assert "1 call was billed" in run.text_report


def test_a_bill_above_what_was_asked_for_within_the_limit_is_told(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst([]), billing(FINISH, 60_000)) as server:
        assert run.start(server, "run", "traces.jsonl", *MONEY, "5") == 0, run.output
    assert "1 call was billed 56,000 tokens more than asked for" in run.text_report
    assert "1 call was billed 56,000 tokens more" in " ".join(run.output.split())


def test_a_time_out_after_the_request_was_sent_is_charged_as_what_was_reserved(
    tmp_path: Path,
) -> None:
    run = ModelRun(tmp_path)

    def before(number: int) -> Answer | None:
        return Answer(body={"choices": "x" * 99}, cut=True) if number == 1 else None

    with endpoint(Analyst([], after=FINISH), before) as server:
        assert run.start(server, "run", "traces.jsonl") == 0, run.output
    calls, tokens = run.costs
    assert calls == len(server.loopback.requests) == 2
    prompt = sum(len(m["content"]) for m in server.prompts[0])
    assert tokens > sum(server.billed[0]) + prompt + 4000
    assert run.report["analysis"]["billing"]["lost_calls"] == 1


def test_a_refusal_is_charged_nothing(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)

    def before(number: int) -> Answer | None:
        busy = Answer(status=503, body={"error": "later"}, headers={"retry-after": "0"})
        return busy if number == 1 else None

    with endpoint(Analyst([], after=FINISH), before) as server:
        assert run.start(server, "run", "traces.jsonl") == 0, run.output
    assert run.costs == (1, sum(server.billed[0]))
