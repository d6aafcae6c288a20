"""Whole analyses by a scripted model, over HTTP and through litellm."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from corpora import synthetic
from halo_engine.findings import AnalysisEnding, Billing
from halo_integrations import Report
from halo_integrations.state.run import Run
from halo_integrations.testing.conformance import CANARY_TEXT
from loopback import Answer
from model_endpoint import (
    COMPLETION_PRICE,
    PROMPT_PRICE,
    Analyst,
    Endpoint,
    code,
    completion,
    endpoint,
    refusal,
    submit,
)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic()), encoding="utf-8")
    return path


Analyse = Callable[..., Report]


@pytest.fixture
def analyse(traces: Path, tmp_path: Path) -> Analyse:
    def run(server: Endpoint, **options: Any) -> Report:
        limits = {
            "price": f"{PROMPT_PRICE},{COMPLETION_PRICE}",
            "budget": 2.0,
            "retry_timeout": 1.0,
        }
        model = {"model": "scripted", "model_url": server.url, **limits, **options}
        return halo.run(str(traces), home=tmp_path / "home", fresh=True, **model).report

    return run


def by_model(report: Report) -> list[halo.Finding]:
    return [finding for finding in report.findings if finding.model]


GOOD = [
    code("print(overview()); print(signals()); print(scores()); print(budget())"),
    code(
        "h = search('unknown', field='output', limit=3)",
        "print(h)",
        "print(read(h[0]['span']))",
        "note('orders stay unknown')",
    ),
    code(
        submit(
            "[{'span': x['span'], 'quote': 'status\": \"unknown'} for x in h]",
            "{'question': 'Is the status unknown?'}",
        )
    ),
]


def test_a_finding_is_submitted_reviewed_labelled_and_proven(analyse: Analyse) -> None:
    with endpoint(Analyst(GOOD)) as server:
        report = analyse(server)
    (finding,) = by_model(report)
    assert finding.title == "Orders stay unknown"
    assert finding.severity == "high"
    assert finding.prevalence.analysed == report.traces
    assert finding.prevalence.affected == len({a.trace_id for a in finding.affected}) > 0
    assert all("unknown" in e.quote for e in finding.evidence)
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert {cost.purpose for cost in report.analysis.costs} == {"survey", "root", "review", "label"}


def test_a_finding_keeps_its_fingerprint_when_a_later_run_words_it_differently(
    analyse: Analyse,
) -> None:
    reworded = [turn.replace("Orders stay unknown", "No order is ever known") for turn in GOOD]
    found = []
    for turns in (GOOD, reworded):
        with endpoint(Analyst(turns)) as server:
            found += by_model(analyse(server))
    assert [f.title for f in found] == ["Orders stay unknown", "No order is ever known"]
    assert found[0].fingerprint == found[1].fingerprint


def test_the_reported_cost_is_the_usage_that_the_provider_counted(analyse: Analyse) -> None:
    with endpoint(Analyst(GOOD)) as server:
        report = analyse(server)
    assert report.analysis is not None
    assert sum(c.usd or 0 for c in report.analysis.costs) == pytest.approx(server.usd)
    assert sum(c.calls for c in report.analysis.costs) == len(server.billed)


def test_the_first_prompt_contains_no_trace(analyse: Analyse) -> None:
    with endpoint(Analyst([], after=code("finish()"))) as server:
        analyse(server)
    (prompt,) = server.prompts
    assert "## Functions" in prompt[0]["content"]
    assert "get_order" in prompt[1]["content"]
    assert CANARY_TEXT not in json.dumps(prompt)


USELESS = {
    "writes prose": (Analyst([], after="The agent seems fine to me."), AnalysisEnding.IDLE),
    "answers nothing": (Analyst([], after=""), AnalysisEnding.IDLE),
    "refuses": (Analyst([], after="I cannot help with that."), AnalysisEnding.IDLE),
    "writes code that fails": (Analyst([], after=code("1 / 0")), AnalysisEnding.IDLE),
    "writes no Python": (Analyst([], after=code("this is not code")), AnalysisEnding.IDLE),
    "repeats itself": (Analyst([], after=code("print(overview())")), AnalysisEnding.IDLE),
    "asks for 10 GB": (Analyst([], after=code("x = 'a' * 10**10")), AnalysisEnding.IDLE),
    "asks for all of it": (
        Analyst([code("print(sql(\"SELECT repeat('x', 1000000000) FROM spans\"))")], after=""),
        AnalysisEnding.IDLE,
    ),
    "invents ids": (
        Analyst([], after=code(submit("[{'span': 'T99.9', 'quote': 'x' * 20}]", "{}"))),
        AnalysisEnding.IDLE,
    ),
    "invents quotes": (
        Analyst([], after=code(submit("[{'span': 'T1.1', 'quote': 'x' * 20}]", "{}"))),
        AnalysisEnding.IDLE,
    ),
    "never finishes": (
        Analyst([code(f"print(find(offset={n}))") for n in range(100)]),
        AnalysisEnding.TURN_LIMIT,
    ),
}

ENDING_DETAILS = {
    AnalysisEnding.IDLE: "turns in a row",
    AnalysisEnding.TURN_LIMIT: "8 turns are over",
}


@pytest.mark.parametrize("case", USELESS)
def test_an_analysis_by_a_useless_model_ends_and_the_report_has_the_reason(
    case: str, analyse: Analyse
) -> None:
    model, ending = USELESS[case]
    with endpoint(model) as server:
        report = analyse(server, max_turns=8)
    assert report.analysis is not None
    assert report.analysis.ending is ending
    assert ENDING_DETAILS[ending] in report.analysis.ending_detail
    assert not report.analysis.is_complete
    assert not report.analysis.is_out_of_budget
    assert len(server.requests) <= 8
    assert report.detectors
    assert not by_model(report)


def test_invented_quotes_are_refused_and_counted(analyse: Analyse) -> None:
    model = Analyst([code(submit("[{'span': 'T1.1', 'quote': 'not in the trace'}]", "{}"))])
    with endpoint(model) as server:
        report = analyse(server)
    assert report.analysis is not None
    assert report.analysis.quotes_not_found == 1
    assert not by_model(report)


def test_the_number_of_findings_is_limited_and_duplicates_are_merged(analyse: Analyse) -> None:
    flood = code(
        "h = search('unknown', field='output', limit=1)",
        "for n in range(200):",
        "    r = submit_finding(title='T' + str(n), failure_mode='wrong_result', summary='s',",
        "        cause='c', recommendation='r', impact='degraded',",
        "        evidence=[{'span': h[0]['span'], 'quote': 'status\": \"unknown'}],",
        "        check={'pattern': 'unknown'})",
    )
    with endpoint(Analyst([flood])) as server:
        report = analyse(server)
    assert len(by_model(report)) == 1  # they are all the same
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED


PROVIDERS = {
    "a wrong key": (lambda _: refusal(401, "bad key"), "does not accept the key"),
    "no such model": (lambda _: refusal(404, "which model?"), "There is no model"),
    "a bad request": (lambda _: refusal(400, "temperature"), "refuses the request"),
    "rate limits without end": (lambda _: refusal(429, "slow down"), "did not answer"),
    "an inner error": (lambda _: refusal(500, "oops"), "did not answer"),
    "half an answer": (lambda _: Answer(body={"choices": "x" * 999}, cut=True), "did not answer"),
    "no JSON": (lambda _: Answer(body=b"<html>hello"), "not with a chat completion"),
    "a window that is too small": (
        lambda _: refusal(400, "This model's maximum context length is 100 tokens."),
        "too long",
    ),
}


@pytest.mark.parametrize("case", PROVIDERS)
def test_the_findings_of_the_detectors_are_reported_when_the_provider_fails(
    case: str, analyse: Analyse
) -> None:
    before, detail = PROVIDERS[case]
    with endpoint(Analyst(GOOD), before, has_survey=True) as server:
        report = analyse(server, max_calls=20)
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.MODEL_FAILED
    assert detail in report.analysis.ending_detail
    assert report.findings
    assert not by_model(report)


def test_the_report_of_the_detectors_is_written_before_the_model_is_asked(
    traces: Path, tmp_path: Path
) -> None:
    reports: list[dict[str, Any]] = []

    def before(_: int) -> None:
        (path,) = tmp_path.glob("home/runs/*/report.json")
        reports.append(json.loads(path.read_bytes()))

    with endpoint(Analyst([]), before) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        report = halo.run(str(traces), home=tmp_path / "home", **model).report
    assert [f["id"] for f in reports[0]["findings"]] == [f.id for f in report.findings]
    assert reports[0]["findings"]
    assert reports[0]["analysis"] is None


def test_half_an_emoji_in_every_answer_changes_nothing(analyse: Analyse) -> None:
    analyst = Analyst(GOOD)
    with endpoint(lambda messages: f"\ud83d {analyst(messages)}\n\ud83d") as server:
        report = analyse(server)
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert len(by_model(report)) == 1


def test_half_an_emoji_in_a_finding_is_replaced(analyse: Analyse) -> None:
    halved = [turn.replace("summary='s'", "summary='half \ud83d an emoji'") for turn in GOOD]
    judged = Analyst(halved)

    def respond(messages: list[dict[str, str]]) -> str:
        return judged(messages).replace('"seen"', '"\\ud83d seen"')

    with endpoint(respond) as server:
        report = analyse(server)
    (finding,) = by_model(report)
    assert finding.summary == "half \ufffd an emoji"
    assert {a.reason for a in finding.affected} >= {"\ufffd seen"}


def test_a_request_to_a_busy_provider_is_retried(analyse: Analyse) -> None:
    def before(number: int) -> Answer | None:
        return refusal(429, "slow down", **{"retry-after": "0"}) if number % 2 else None

    with endpoint(Analyst(GOOD), before) as server:
        report = analyse(server)
    assert len(by_model(report)) == 1


def test_impossible_token_counts_are_charged_as_what_was_reserved_and_told(
    analyse: Analyse,
) -> None:
    def before(_: int) -> Answer:
        return completion(code("finish()"), 10**12, 10**12)

    with endpoint(Analyst(GOOD), before) as server:
        report = analyse(server)
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert 0 < sum(c.usd or 0 for c in report.analysis.costs) < 0.2
    assert report.analysis.billing == Billing(uncounted_calls=1)


def test_sixteen_calls_run_in_parallel(analyse: Analyse) -> None:
    together = threading.Barrier(16, timeout=30)
    model = Analyst([code("print(len(ask_many('what is this?', list(range(16)))))")])

    def waiting(messages: list[dict[str, str]]) -> str:
        if messages[0]["content"].endswith("only from them."):
            together.wait()
        return model(messages)

    with endpoint(waiting) as server:
        report = analyse(server)
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert not together.broken


@pytest.mark.parametrize("limit", [{"budget": 0.4}, {"token_budget": 40_000}, {"max_calls": 20}])
def test_parallel_calls_never_exceed_a_limit(limit: dict[str, Any], analyse: Analyse) -> None:
    asks = "print(len(ask_many('what?', ['word ' * 400 + str(n) for n in range(64)])))"
    greedy = code("note(str(budget()))", asks)
    with endpoint(Analyst([], after=greedy)) as server:
        report = analyse(server, **{"budget": None, **limit})
    prompt, answer = (sum(tokens) for tokens in zip(*server.billed, strict=True))
    assert server.usd <= limit.get("budget", 5)
    assert prompt + answer <= limit.get("token_budget", 10**9)
    assert len(server.billed) <= limit.get("max_calls", 10**9)
    assert len(server.requests) > 2
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.BUDGET_EXHAUSTED
    assert report.analysis.is_out_of_budget


def test_the_last_turn_is_announced_to_the_model(analyse: Analyse) -> None:
    with endpoint(Analyst([code(f"print({n})") for n in range(9)])) as server:
        analyse(server, max_turns=4)
    assert "your LAST turn" in server.prompts[3][-1]["content"]
    assert len(server.prompts) == 4


@pytest.mark.parametrize("limit", [{"budget": 1.0}, {"max_calls": 8}])
def test_the_last_turn_is_announced_while_the_budget_suffices_for_it(
    limit: dict[str, Any], analyse: Analyse
) -> None:
    with endpoint(Analyst([code(f"print({n}, 'word ' * 1900)") for n in range(30)])) as server:
        report = analyse(server, **{"budget": None, "token_budget": 10**7, **limit})
    assert "your LAST turn" in server.prompts[-1][-1]["content"]
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.BUDGET_EXHAUSTED
    assert report.analysis.ending_detail == "the budget is nearly spent"


def test_a_model_that_uses_up_the_budget_for_reading_can_still_submit(analyse: Analyse) -> None:
    greedy = code("ask_many('what?', ['word ' * 4000 + str(n) for n in range(64)])")
    with endpoint(Analyst([greedy, *GOOD])) as server:
        report = analyse(server, budget=1.5)
    assert any("for this stage" in m["content"] for prompt in server.prompts for m in prompt)
    assert [f.title for f in report.findings if f.model] == ["Orders stay unknown"]


def test_text_of_traces_is_always_between_the_delimiters_of_the_run(analyse: Analyse) -> None:
    look = code("print(sql('SELECT input, output FROM spans'))", "print(ask('what?', 'x'))")
    with endpoint(Analyst([look, *GOOD])) as server:
        analyse(server)
    with_canary = [p for p in server.all_prompts if CANARY_TEXT[:40] in json.dumps(p)]
    assert with_canary
    for prompt in with_canary:
        nonce = prompt[0]["content"].split("<data-", 1)[1].split(">")[0]
        for message in prompt:
            outside = without_data(message["content"], f"data-{nonce}")
            assert CANARY_TEXT[:40] not in outside


def test_every_stage_tells_how_far_it_is_with_what_was_spent(traces: Path, tmp_path: Path) -> None:
    seen: list[halo.Progress] = []
    look = code("map_traces(['T1', 'T2', 'T3'], 'What is asked?', {'what': 'string'})")
    with endpoint(Analyst([look, *GOOD])) as server:
        halo.run(
            str(traces),
            home=tmp_path,
            model="scripted",
            model_url=server.url,
            token_budget=10**6,
            on_progress=seen.append,
        )
    last = {each.step: each for each in seen}
    assert {"Comparison", "Survey", "Map", "Investigating"} <= last.keys()
    assert (last["Map"].done, last["Map"].total) == (3, 3)
    assert all(each.done == each.total for each in last.values())
    assert all(
        re.fullmatch(r"(traces|turns), [\d,]+ tokens", last[s].unit)
        for s in ("Survey", "Investigating")
    )


def without_data(text: str, nonce: str) -> str:
    """``text`` without what is delimited as data."""
    parts = text.split(f"<{nonce}>\n")
    return parts[0] + "".join(part.split(f"\n</{nonce}>", 1)[1] for part in parts[1:])


def test_every_event_is_recorded_in_the_run(traces: Path, tmp_path: Path) -> None:
    kinds: list[str] = []
    with endpoint(Analyst(GOOD)) as server:
        result = halo.run(
            str(traces),
            home=tmp_path,
            model="scripted",
            model_url=server.url,
            token_budget=10**6,
            on_event=lambda event: kinds.append(event.kind),
        )
    assert [event.kind for event in Run(result.folder).events()] == kinds
    stages = list(dict.fromkeys(kinds))
    assert stages[:4] == ["read", "compared", "surveyed", "started"]
    assert {"answered", "ran", "submitted", "reviewed", "labelled", "ended"} <= set(kinds)
