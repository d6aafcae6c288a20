"""Labelling, review and assembly: affected traces, prevalence, confidence, duplicates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from claim_readers import claim_rows, is_review
from halo_engine.errors import AnswerWithheld, PromptTooLong
from halo_engine.findings import (
    Affected,
    Confidence,
    Finding,
    FindingCheck,
    Report,
    Verdict,
    Verification,
)
from halo_engine.llm import Budget, ChatMessage, Ledger, Limits, ModelClient, Price
from halo_engine.rlm.assembly import model_finding, without_duplicates
from halo_engine.rlm.candidates import Candidate, Impact, submission_of
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import (
    CHECK_FAILED,
    NOT_DRAWN,
    OVERSIZED,
    READ_IN_PART,
    UNANSWERED,
    FindingLabels,
)
from halo_engine.rlm.investigation import Investigation
from halo_engine.rlm.labelling import label
from halo_engine.rlm.mapping import OUT_OF_BUDGET, TOO_LONG
from halo_engine.rlm.read_again import ClaimAnswer, ReadAgain
from halo_engine.rlm.review import ReviewResult, found_traces, review
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.prevalence import Prevalence, prevalence_of, two_stage_prevalence
from halo_engine.store import TraceStore
from halo_engine.store.queries import MAX_TRACE_CHARS
from halo_integrations.testing import ScriptedModel, agent, span, tool, trace
from model_endpoint import code, submit
from rlm_context import NONCE, RlmContext

DECLINED = "The card was declined."
NO_COST = Price(prompt=0, completion=0)


def confirming(one: Candidate) -> ReadAgain:
    """That all traces that ``one`` cites confirm it."""
    ids = frozenset(one.trace_ids)
    return ReadAgain(ids, dict.fromkeys(ids, ClaimAnswer(shows=True)))


def candidate(
    context: RlmContext,
    check: dict[str, str],
    *,
    id: str = "F1",
    title: str = "T",
    impact: str = "wrong_outcome",
    quote: str = DECLINED,
    cites: Sequence[int] = (6, 12),
    place: int = 3,
) -> Candidate:
    fields: dict[str, Any] = {
        "title": title,
        "failure_mode": "tool_error_mishandled",
        "summary": "s",
        "cause": "c",
        "recommendation": "r",
        "impact": impact,
        "evidence": [{"span": f"T{n}.{place}", "quote": quote} for n in cites],
        "check": check,
    }
    submission = submission_of(id, fields, context.short_ids, CheckRules(context.store))
    assert submission.candidate, submission.problems
    return submission.candidate


def judging(shows: Callable[[int], bool]) -> ScriptedModel:
    """A model that answers which traces show F1, with a quote of the tool's result."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        rows = []
        for name in re.findall(r"^(?:## Trace |- )(T\d+)", messages[-1].content, re.MULTILINE):
            hit = {"finding": "F1", "span": f"{name}.3", "quote": DECLINED, "why": "seen"}
            rows.append({"trace": name, "shows": [hit] if shows(int(name[1:])) else []})
        return json.dumps(rows)

    return ScriptedModel(answer)


def labelled(
    context: RlmContext,
    model: ScriptedModel,
    *candidates: Candidate,
    budget: Budget | None = None,
    price: Price | None = NO_COST,
    seed: int = 1,
) -> list[FindingLabels]:
    labels, _, _ = label(
        candidates,
        CheckRules(context.store),
        context.short_ids,
        context.mapper(model),
        budget or Budget(),
        price,
        seed=seed,
    )
    return labels


def counted(labels: FindingLabels, total: int = 60) -> Prevalence:
    """The prevalence by the check alone."""
    prevalence = labels.prevalence(labels.affected.keys(), total)
    assert prevalence is not None
    return prevalence


def context_of(store: TraceStore) -> RlmContext:
    return RlmContext(store, ShortIds(store), ModelClient(Budget(), Ledger(), retry_timeout=0))


def test_a_rule_is_applied_to_all_traces_without_a_model(context: RlmContext) -> None:
    model = ScriptedModel([])
    (labels,) = labelled(
        context, model, candidate(context, {"pattern": "declined", "field": "output"})
    )
    assert counted(labels).counts == "20 of 60"
    assert labels.not_read(60) == ()
    assert not model.requests


def test_the_evidence_of_a_pattern_is_the_stored_text_at_the_match(
    context: RlmContext,
) -> None:
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"pattern": "d[a-z]+ned"}))
    for affected in labels.affected.values():
        (evidence,) = affected.evidence
        span = context.short_ids.trace(evidence.trace_id).by_id[evidence.span_id]
        assert evidence.field == "output"
        assert (span.output or "")[evidence.offset :].startswith(evidence.quote)


def evidence_by_trace(labels: FindingLabels, short_ids: ShortIds) -> dict[str, list[str]]:
    """The quotes of each affected trace, by its short id."""
    return {
        short_ids.name(trace_id): [e.quote for e in affected.evidence]
        for trace_id, affected in labels.affected.items()
    }


def test_the_evidence_of_a_query_are_the_words_that_it_returns(context: RlmContext) -> None:
    sql = """
        SELECT trace_id, span_id, regexp_extract(output, 'card [a-z ]+') AS quote,
            'output' AS field
        FROM spans WHERE output LIKE '%declined%' AND kind = 'TOOL'
    """
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"sql": sql}))
    quotes = evidence_by_trace(labels, context.short_ids)
    assert len(quotes) == 20
    assert set(map(tuple, quotes.values())) == {("card was declined",)}
    evidence = labels.affected[context.short_ids.trace_ids[2]].evidence[0]
    assert (evidence.field, evidence.offset) == ("output", DECLINED.index("card"))


def test_short_words_of_a_named_field_are_evidence_too(context: RlmContext) -> None:
    sql = """
        SELECT trace_id, span_id, 'pay' AS quote, 'tool_name' AS field FROM spans
        WHERE tool_name = 'pay' AND output LIKE '%declined%'
    """
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"sql": sql}))
    assert evidence_by_trace(labels, context.short_ids)["T3"] == ["pay"]


@pytest.mark.parametrize("quote", ["", ", 'words that are nowhere' AS quote", ", NULL AS quote"])
def test_a_query_without_words_proves_nothing_but_what_is_cited_and_still_counts(
    quote: str, context: RlmContext
) -> None:
    sql = f"SELECT trace_id, span_id{quote} FROM spans WHERE output = '{DECLINED}'"
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"sql": sql}))
    quotes = evidence_by_trace(labels, context.short_ids)
    assert {name for name, found in quotes.items() if found} == {"T6", "T12"}
    assert len(quotes) == counted(labels).affected == 20
    assert "no words to quote" in labels.affected[context.short_ids.trace_ids[2]].reason


def test_a_selected_span_without_any_text_counts(tmp_path: Path) -> None:
    runs = [
        trace(agent(output=DECLINED), span(name="x", span_id="e" * 16), number=n) for n in (1, 2)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
    with TraceStore(store.path, read_only=True) as stored:
        context = context_of(stored)
        sql = "SELECT trace_id, span_id FROM spans WHERE name = 'x'"
        one = candidate(context, {"sql": sql}, cites=(1,), place=1)
        (labels,) = labelled(context, ScriptedModel([]), one)
        assert {a.span_id for a in labels.affected.values()} == {"e" * 16}
        assert counted(labels, total=2).counts == "2 of 2"


def test_a_query_that_gives_many_rows_a_trace_counts_each_trace_once(context: RlmContext) -> None:
    sql = f"SELECT a.trace_id FROM spans a, spans b, spans c WHERE a.output = '{DECLINED}'"
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"sql": sql}))
    assert len(labels.affected) == 20


def test_an_oversized_trace_is_in_no_denominator(tmp_path: Path) -> None:
    large = trace(agent(input="x" * MAX_TRACE_CHARS, output=DECLINED), number=4)
    small = [
        trace(agent(output=text), number=n) for n, text in enumerate([DECLINED, "ok", "ok"], 1)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([*small, large])
    with TraceStore(store.path, read_only=True) as stored:
        context = context_of(stored)
        one = candidate(context, {"pattern": "declined"}, cites=(1,), place=1)
        (labels,) = labelled(context, ScriptedModel([]), one)
    assert str(counted(labels, total=4)) == "1 of 3 traces, 33.3% (1.7% to 88.2%), 4 in all"
    assert [(n.reason, n.traces) for n in labels.not_read(4)] == [(OVERSIZED, 1)]


def test_a_rule_that_fails_at_labelling_is_a_failure_and_counts_nothing(
    context: RlmContext,
) -> None:
    works = candidate(context, {"pattern": "declined"})
    broken = works.model_copy(update={"check": FindingCheck(sql="SELECT nothing FROM spans")})
    labels, failures, _ = label(
        [broken, works],
        CheckRules(context.store),
        context.short_ids,
        context.mapper(ScriptedModel([])),
        Budget(),
        NO_COST,
        seed=1,
    )
    assert labels[0].prevalence(set(), 60) is None
    assert [(n.reason, n.traces) for n in labels[0].not_read(60)] == [(CHECK_FAILED, 60)]
    assert counted(labels[1]).counts == "20 of 60"
    (failure,) = failures
    assert "its rule failed" in failure.what


def test_a_question_is_asked_about_every_trace(context: RlmContext) -> None:
    model = judging(lambda n: n % 6 == 0)
    (labels,) = labelled(context, model, candidate(context, {"question": "Is it?"}))
    assert counted(labels).counts == "10 of 60"


def test_a_question_with_a_rule_is_asked_only_about_traces_that_match(context: RlmContext) -> None:
    model = judging(lambda n: n % 6 == 0)
    check = {"pattern": "declined", "field": "output", "question": "Is it?"}
    (labels,) = labelled(context, model, candidate(context, check))
    assert counted(labels).counts == "10 of 60"
    assert len(model.requests) == 1


def test_a_trace_whose_judgement_has_no_valid_quote_is_not_analysed(context: RlmContext) -> None:
    model = judging(lambda n: n == 1)  # in this trace the payment succeeded
    labels, failures, _ = label(
        [candidate(context, {"question": "Is it?"})],
        CheckRules(context.store),
        context.short_ids,
        context.mapper(model),
        Budget(),
        NO_COST,
        seed=1,
    )
    assert counted(labels[0]).counts == "0 of 59"
    assert "is not in T1.3" in failures[0].what
    assert [(n.reason, n.traces) for n in labels[0].not_read(60)] == [(UNANSWERED, 1)]


@pytest.mark.parametrize(
    ("limits", "answer", "reasons"),
    [
        (Limits(calls=1), None, [(OUT_OF_BUDGET, 40)]),
        (Limits(), PromptTooLong("The request is too long."), [(TOO_LONG, 60)]),
        (Limits(), AnswerWithheld("It was withheld."), [(UNANSWERED, 60)]),
    ],
)
def test_a_trace_without_a_label_has_the_reason_that_is_true(
    context: RlmContext, limits: Limits, answer: Exception | None, reasons: list[tuple[str, int]]
) -> None:
    client = ModelClient(Budget(limits), Ledger(), retry_timeout=0)
    asked = RlmContext(context.store, context.short_ids, client)
    answers = judging(lambda _: False)
    model = ScriptedModel([answer] * 200) if answer else answers
    (labels,) = labelled(asked, model, candidate(asked, {"question": "Is it?"}))
    assert [(n.reason, n.traces) for n in labels.not_read(60)] == reasons


def test_some_of_the_traces_are_judged_if_the_budget_does_not_suffice_for_all(
    context: RlmContext,
) -> None:
    budget = Budget(Limits(usd=0.03))
    model = judging(lambda n: n % 6 == 0)
    (labels,) = labelled(
        context,
        model,
        candidate(context, {"question": "Is it?"}),
        budget=budget,
        price=Price(prompt=3, completion=15),
    )
    assert 5 < len(labels.judged) < 55
    prevalence = counted(labels)
    assert (prevalence.analysed, prevalence.total) == (len(labels.judged), 60)
    assert [(n.reason, n.traces) for n in labels.not_read(60)] == [
        (NOT_DRAWN, 60 - len(labels.judged))
    ]


def test_where_some_matches_of_a_rule_are_read_the_others_are_in_no_count(
    context: RlmContext,
) -> None:
    (labels,) = labelled(
        context,
        judging(lambda n: n % 6 == 0),
        candidate(context, {"pattern": "declined", "field": "output", "question": "Is it?"}),
        budget=Budget(Limits(usd=0.01)),
        price=Price(prompt=3, completion=15),
    )
    assert 2 <= len(labels.judged) < 20
    prevalence = counted(labels)
    found = len(labels.judged & labels.affected.keys())
    assert prevalence == two_stage_prevalence(found, len(labels.judged), 20, 60, 60)
    assert prevalence.counts == f"{found} of {len(labels.judged)} read, out of 20 of 60 that match"


def test_a_sample_is_drawn_at_random_and_alike_for_a_seed(context: RlmContext) -> None:
    samples = []
    for seed in (1, 1, 2):
        (labels,) = labelled(
            context,
            judging(lambda n: False),
            candidate(context, {"question": "Is it?"}),
            budget=Budget(Limits(usd=0.03)),
            price=Price(prompt=3, completion=15),
            seed=seed,
        )
        samples.append(labels.sample)
    assert samples[0] == samples[1] != samples[2]
    in_order = context.short_ids.trace_ids
    ends = [set(order[: len(samples[0])]) for order in (in_order, sorted(in_order), in_order[::-1])]
    assert samples[0] not in ends


def test_a_trace_that_is_read_only_in_part_is_not_judged(tmp_path: Path) -> None:
    long = f"{'x' * 20_000}{DECLINED}{'x' * 20_000}"
    texts = [DECLINED, "Paid.", long, long]
    runs = [
        trace(agent(), tool("pay", {}, output=text), number=n) for n, text in enumerate(texts, 1)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
    with TraceStore(store.path, read_only=True) as stored:
        context = context_of(stored)
        hit = {"finding": "F1", "span": "T1.2", "quote": DECLINED, "why": "seen"}
        seen = {**hit, "span": "T3.2"}
        rows = [{"trace": f"T{n}", "shows": []} for n in (2, 4)]
        rows += [{"trace": "T1", "shows": [hit]}, {"trace": "T3", "shows": [seen]}]
        one = candidate(context, {"question": "Is it?"}, cites=(1,), place=2)
        (labels,) = labelled(context, ScriptedModel([json.dumps(rows)]), one)
    assert counted(labels, total=4).counts == "1 of 2"
    assert counted(labels, total=4).elsewhere == 1
    assert {context.short_ids.name(t) for t in labels.affected} == {"T1", "T3"}
    assert [(n.reason, n.traces) for n in labels.not_read(4)] == [(READ_IN_PART, 2)]


def test_a_frequent_finding_does_not_use_up_the_budget_of_a_rare_one(context: RlmContext) -> None:
    common = candidate(context, {"pattern": "declined|Paid", "question": "Is it?"}, id="F1")
    rare = candidate(context, {"pattern": "order (6|12)\\b", "question": "Is it?"}, id="F2")
    _, labels = labelled(
        context,
        judging(lambda n: False),
        common,
        rare,
        budget=Budget(Limits(usd=0.01)),
        price=Price(prompt=3, completion=15),
    )
    assert len(labels.judged) == 2


def test_a_finding_with_a_rule_is_not_affected_by_traces_that_the_rule_does_not_match(
    context: RlmContext,
) -> None:
    wide = candidate(context, {"pattern": "declined", "question": "Was it refused?"}, id="F2")
    narrow = candidate(context, {"pattern": "order (6|12)\\b", "question": "Is it?"}, id="F1")
    _, labels = labelled(context, judging(lambda n: n % 6 == 0), wide, narrow)
    assert len(labels.affected) == 2
    assert counted(labels).counts == "2 of 60"


def test_a_trace_read_for_one_finding_that_shows_another_counts_only_as_affected(
    context: RlmContext,
) -> None:
    ruled = candidate(context, {"pattern": "declined", "question": "Was it refused?"}, id="F2")
    plain = candidate(context, {"question": "Is it?"}, id="F1")
    _, labels = labelled(
        context,
        judging(lambda n: n % 3 == 0),
        ruled,
        plain,
        budget=Budget(Limits(usd=0.03)),
        price=Price(prompt=3, completion=15),
    )
    elsewhere = labels.affected.keys() - labels.judged
    assert elsewhere
    assert counted(labels).affected == len(labels.affected) - len(elsewhere)
    assert counted(labels).elsewhere == len(elsewhere)
    assert counted(labels).analysed == len(labels.sample)


def reviewing(
    shows: Callable[[int], bool], put_right: bool = False, answers: Callable[[str], bool] = bool
) -> ScriptedModel:
    """A reviewer, which gives an answer about those traces for whose name ``answers`` holds."""

    def about(name: str, _: str) -> dict[str, Any]:
        return {"shows": shows(int(name[1:])), "put_right": put_right}

    def answer(messages: Sequence[ChatMessage]) -> str:
        rows = claim_rows(messages[1].content, about)
        return json.dumps([row for row in rows if answers(row["trace"])])

    return ScriptedModel(answer)


def reviewed_by(model: ScriptedModel, one: Candidate, context: RlmContext) -> ReviewResult:
    (result,) = review([one], context.mapper(model), context.short_ids, seed=0)
    return result


@pytest.mark.parametrize(
    ("model", "confirmed"),
    [
        (reviewing(lambda _: True), 2),
        (reviewing(lambda n: n == 6), 1),
        (reviewing(lambda _: False), 0),
        (reviewing(lambda _: True, put_right=True), 0),
    ],
)
def test_a_review_counts_the_traces_that_show_the_finding(
    model: ScriptedModel, confirmed: int, context: RlmContext
) -> None:
    one = candidate(context, {"question": "Is it?"})
    reviewed = reviewed_by(model, one, context)
    assert reviewed.verification == Verification(traces=2, answered=2, confirmed=confirmed)


def test_a_trace_without_an_answer_is_neither_confirmed_nor_refuted(context: RlmContext) -> None:
    one = candidate(context, {"question": "Is it?"}, cites=(3, 6, 12, 18))
    model = reviewing(lambda _: True, answers=lambda name: name == "T6")
    reviewed = reviewed_by(model, one, context)
    assert reviewed.verification == Verification(traces=4, answered=1, confirmed=1)
    assert reviewed.verification.verdict is Verdict.UNDECIDED
    assert reviewed.evidence == one.evidence


def test_a_review_reads_a_claim_as_data(context: RlmContext) -> None:
    one = candidate(context, {"question": "Is it?"}, title=DECLINED, cites=(3, 6, 12))
    model = reviewing(lambda _: True)
    reviewed_by(model, one, context)
    (request,) = model.requests
    instruction = request[0].content
    claim = instruction.split(f"The claims:\n<{NONCE}>\n", 1)[1].split(f"\n</{NONCE}>")[0]
    assert DECLINED in claim
    assert DECLINED not in instruction.replace(claim, "")


def test_what_a_check_found_is_read_again_in_other_traces_than_those_cited(
    context: RlmContext,
) -> None:
    one = candidate(context, {"question": "Is it?"})
    ids = [context.short_ids.trace_id(f"T{n}") or "" for n in (3, 6, 9, 12, 15, 18, 21)]
    found = {trace_id: Affected(trace_id=trace_id, reason="so") for trace_id in ids}
    drawn = found_traces(one, found, context.short_ids, seed=0)
    assert {context.short_ids.name(t) for t in drawn} == {"T3", "T9", "T15", "T18", "T21"}


def test_a_finding_about_cost_is_not_refuted_by_a_later_correction(context: RlmContext) -> None:
    costly = candidate(context, {"question": "Is it?"}, impact="degraded")
    model = reviewing(lambda _: True, put_right=True)
    assert reviewed_by(model, costly, context).verification.verdict is Verdict.CONFIRMED


def assembled(
    context: RlmContext, one: Candidate, reviewer: ScriptedModel, judge: ScriptedModel | None = None
) -> Finding:
    """A finding after its review and labelling."""
    reviewed = reviewed_by(reviewer, one, context)
    (labels,) = labelled(context, judge or ScriptedModel([]), one)
    return model_finding(reviewed, labels, "m", 60)


def test_confidence_is_high_if_review_and_check_agree(context: RlmContext) -> None:
    found = assembled(
        context, candidate(context, {"pattern": "declined"}), reviewing(lambda _: True)
    )
    assert found.confidence is Confidence.HIGH


def test_confidence_is_medium_if_the_check_misses_the_cited_traces(context: RlmContext) -> None:
    one = candidate(context, {"question": "Is it?"})
    found = assembled(context, one, reviewing(lambda _: True), judging(lambda _: False))
    assert found.confidence is Confidence.MEDIUM


def test_a_finding_whose_review_got_no_answer_is_kept_with_low_confidence_and_says_so(
    context: RlmContext,
) -> None:
    found = assembled(context, candidate(context, {"pattern": "declined"}), ScriptedModel([]))
    assert found.confidence is Confidence.LOW
    assert found.found_by == "model m, confidence low, not confirmed"
    assert str(found.verification) == "not confirmed: 0 of 2 cited traces got an answer"


def test_confidence_is_not_high_if_a_cited_trace_got_no_answer(context: RlmContext) -> None:
    one = candidate(context, {"pattern": "declined"}, cites=(3, 6))
    found = assembled(context, one, reviewing(lambda _: True, answers=lambda name: name != "T3"))
    assert found.confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    ("impact", "severity"),
    list(zip(Impact, ("critical", "high", "medium", "low"), strict=True)),
)
def test_severity_follows_from_the_impact(impact: Impact, severity: str) -> None:
    assert impact.severity == severity


def test_findings_that_affect_the_same_spans_are_merged(context: RlmContext) -> None:
    one = candidate(context, {"pattern": "declined"}, title="One")
    same = candidate(context, {"pattern": "card"}, title="Same")
    other = candidate(
        context, {"pattern": "Paid 20"}, title="Other", quote="Paid 20 EUR.", cites=(1, 2)
    )
    findings = [assembled(context, c, reviewing(lambda _: True)) for c in (one, same, other)]
    kept, duplicates = without_duplicates(findings)
    assert [f.title for f in kept] == ["Other", "One"]
    assert [(d.title, d.reason) for d in duplicates] == [
        ("Same", "It shows in the same places as: One")
    ]


@pytest.mark.parametrize("failure_mode", ["wrong_result", "environment_fault"])
def test_findings_in_the_same_traces_at_other_spans_are_two(
    failure_mode: str, context: RlmContext
) -> None:
    one = assembled(context, candidate(context, {"pattern": "declined"}), reviewing(lambda _: True))
    at = one.model_copy(update={"affected": tuple(at_span(one, "s"))})
    other = one.model_copy(
        update={"failure_mode": failure_mode, "affected": tuple(at_span(one, "another"))}
    )
    kept, _ = without_duplicates([at, other])
    assert len(kept) == 2


def at_span(finding: Finding, span_id: str) -> Iterator[Affected]:
    """The affected traces of a finding, all with ``span_id``."""
    return (affected.model_copy(update={"span_id": span_id}) for affected in finding.affected)


def test_traces_that_the_review_confirmed_are_kept_if_the_check_misses_them(
    context: RlmContext,
) -> None:
    one = candidate(context, {"question": "Is it?"})
    reviewed = ReviewResult(one, confirming(one))
    (labels,) = labelled(context, judging(lambda _: False), one)
    finding = model_finding(reviewed, labels, "m", 60)
    cited = {e.trace_id for e in one.evidence}
    assert cited == {a.trace_id for a in finding.affected}
    assert finding.prevalence.counts == "2 of 60"


def test_a_finding_without_analysed_traces_has_a_lower_bound_as_prevalence(
    context: RlmContext,
) -> None:
    one = candidate(context, {"question": "Is it?"})
    reviewed = ReviewResult(one, confirming(one))
    prevalence = model_finding(reviewed, FindingLabels(one, stored=60), "m", 60).prevalence
    assert str(prevalence) == "at least 2 of 60 traces, the others were not analysed"
    assert (prevalence.low, prevalence.high) == (2 / 60, 1.0)


def test_a_check_is_described_by_its_rule_and_question() -> None:
    check = FindingCheck(pattern="x", question="Is it?")
    assert str(check) == "text matches x; judged Is it?"


def investigated(
    context: RlmContext, check: str, shows: Callable[[int], bool]
) -> tuple[Report, ScriptedModel]:
    """The report of an analysis that submits one finding, and that is reviewed by ``shows``."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        instruction = messages[0].content
        if instruction.startswith("You look for"):
            turns = sum(message.role == "assistant" for message in messages)
            return code("finish('done')") if turns else code(submit(CITED, check))
        if not is_review(instruction):  # the survey notes nothing
            names = re.findall(r"^## Trace (T\d+)", messages[1].content, re.MULTILINE)
            return json.dumps([{"trace": name, "faults": []} for name in names])
        return reviewing(shows).complete(messages, max_tokens=1).text

    model, sandbox = ScriptedModel(answer), MontySandbox()
    client = ModelClient(Budget(Limits(usd=5)), Ledger(), retry_timeout=0)
    try:
        report = Investigation(
            context.store, Report(traces=60), client, model, model, sandbox
        ).run()
    finally:
        sandbox.close()
    return report, model


def test_a_check_that_finds_what_readers_do_not_confirm_counts_only_what_is_cited(
    context: RlmContext,
) -> None:
    report, _ = investigated(context, "{'pattern': '.'}", lambda n: n in (3, 6))
    (finding,) = report.findings
    cited = {context.short_ids.trace_id(name) for name in ("T3", "T6")}
    assert {affected.trace_id for affected in finding.affected} == cited
    assert finding.prevalence == prevalence_of(2, 60, 60)  # all hits of so wide a rule were read
    assert finding.measured
    assert finding.measured.is_wide
    assert "2 of 60 judged of 60 hits show it: precision 3.3%" in str(finding.measured)
    assert not report.failures


def test_a_rule_is_rejected_where_readers_refute_what_it_is_cited_for(context: RlmContext) -> None:
    report, _ = investigated(context, "{'pattern': 'declined'}", lambda _: False)
    assert not report.findings
    assert report.analysis
    assert [r.reason for r in report.analysis.rejected] == ["so it is; so it is"]
    assert {cost.purpose for cost in report.analysis.costs} == {
        *("survey", "root", "review of checks")
    }


def test_a_trace_that_the_rule_matches_and_a_reader_refutes_is_not_affected(
    context: RlmContext,
) -> None:
    report, model = investigated(context, "{'pattern': 'declined'}", lambda n: n % 6 != 3)
    (finding,) = report.findings
    pages = {
        name
        for request in model.requests
        if is_review(request[0].content)
        for name in re.findall(r"^## Trace (T\d+)$", request[1].content, re.MULTILINE)
    }
    refuted = {name for name in pages if int(name[1:]) % 6 == 3}
    assert "T3" in refuted  # one that the finding cites, and others that its check found
    assert len(refuted) > 1
    affected = {context.short_ids.name(a.trace_id) for a in finding.affected}
    assert affected == {f"T{n}" for n in range(3, 61, 3)} - refuted
    assert finding.measured
    hits = finding.measured.hits
    assert (hits.traces, hits.judged, hits.shown) == (20, 6, 4)
    assert finding.prevalence == two_stage_prevalence(4, 6, 20, 60, 60)


def test_a_refuted_trace_that_was_read_for_its_finding_counts_as_one_that_does_not_show_it(
    context: RlmContext,
) -> None:
    (labels,) = labelled(
        context,
        judging(lambda n: n % 6 == 0),
        candidate(context, {"pattern": "declined", "field": "output", "question": "Is it?"}),
        budget=Budget(Limits(usd=0.01)),
        price=Price(prompt=3, completion=15),
    )
    read, found = len(labels.judged), sorted(labels.judged & labels.affected.keys())
    labels.leave_out({found[0]})
    assert counted(labels) == two_stage_prevalence(len(found) - 1, read, 20, 60, 60)
    assert found[0] not in labels.affected


CITED = "[{'span': s, 'quote': 'The card was declined.'} for s in ('T3.3', 'T6.3')]"
