"""Labelling, review and assembly: affected traces, prevalence, confidence, duplicates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from halo_engine.findings import Affected, Confidence, Finding
from halo_engine.llm import Budget, ChatMessage, Limits, Price
from halo_engine.rlm.assembly import model_finding, without_duplicates
from halo_engine.rlm.candidates import Candidate, CheckRules, FindingCheck, Impact, submission_of
from halo_engine.rlm.labelling import FindingLabels, label
from halo_engine.rlm.review import ReviewResult, review
from halo_integrations.testing import ScriptedModel
from rlm_context import RlmContext

DECLINED = "The card was declined."
NO_COST = Price(prompt=0, completion=0)


def candidate(
    context: RlmContext,
    check: dict[str, str],
    *,
    id: str = "F1",
    title: str = "T",
    impact: str = "wrong_outcome",
    quote: str = DECLINED,
    cites: Sequence[int] = (6, 12),
) -> Candidate:
    fields: dict[str, Any] = {
        "title": title,
        "failure_mode": "tool_error_mishandled",
        "summary": "s",
        "cause": "c",
        "recommendation": "r",
        "impact": impact,
        "evidence": [{"span": f"T{n}.3", "quote": quote} for n in cites],
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
) -> list[FindingLabels]:
    labels, _, _ = label(
        candidates,
        CheckRules(context.store),
        context.short_ids,
        context.mapper(model),
        budget or Budget(),
        price,
        seed=1,
    )
    return labels


def test_a_rule_is_applied_to_all_traces_without_a_model(context: RlmContext) -> None:
    model = ScriptedModel([])
    (labels,) = labelled(
        context, model, candidate(context, {"pattern": "declined", "field": "output"})
    )
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (20, 60)
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


def test_the_evidence_of_an_sql_rule_is_the_first_text_of_the_span(context: RlmContext) -> None:
    """Today's behaviour and not the wanted one: that text need not show what the rule selects."""
    sql = f"SELECT trace_id, span_id FROM spans WHERE output = '{DECLINED}'"
    (labels,) = labelled(context, ScriptedModel([]), candidate(context, {"sql": sql}))
    assert len(labels.affected) == 20
    assert {a.evidence[0].quote for a in labels.affected.values()} == {DECLINED}


def test_a_question_is_asked_about_every_trace(context: RlmContext) -> None:
    model = judging(lambda n: n % 6 == 0)
    (labels,) = labelled(context, model, candidate(context, {"question": "Is it?"}))
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (10, 60)


def test_a_question_with_a_rule_is_asked_only_about_traces_that_match(context: RlmContext) -> None:
    model = judging(lambda n: n % 6 == 0)
    check = {"pattern": "declined", "field": "output", "question": "Is it?"}
    (labels,) = labelled(context, model, candidate(context, check))
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (10, 60)
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
    prevalence = labels[0].prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (0, 59)
    assert "is not in T1.3" in failures[0].what


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
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert prevalence.analysed == len(labels.judged)
    assert prevalence.total == 60


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


def test_a_trace_read_for_one_finding_that_shows_another_counts_only_as_affected(
    context: RlmContext,
) -> None:
    wide = candidate(context, {"pattern": "declined", "question": "Was it refused?"}, id="F2")
    narrow = candidate(context, {"pattern": "order (6|12)\\b", "question": "Is it?"}, id="F1")
    _, labels = labelled(context, judging(lambda n: n % 6 == 0), wide, narrow)
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert prevalence.affected == 2
    assert len(labels.affected) == 10


def reviewing(shows: Callable[[int], bool], put_right: bool = False) -> ScriptedModel:
    def answer(messages: Sequence[ChatMessage]) -> str:
        names = re.findall(r"^## Trace (T\d+)$", messages[-1].content, re.MULTILINE)
        row = {"put_right": put_right, "earlier_cause": None, "why": "so it is"}
        return json.dumps([{"trace": n, "shows": shows(int(n[1:])), **row} for n in names])

    return ScriptedModel(answer)


@pytest.mark.parametrize(
    ("model", "is_confirmed"),
    [
        (reviewing(lambda _: True), True),
        (reviewing(lambda n: n == 6), True),
        (reviewing(lambda _: False), False),
        (reviewing(lambda _: True, put_right=True), False),
    ],
)
def test_a_finding_is_confirmed_by_at_least_half_of_the_traces_it_cites(
    model: ScriptedModel, is_confirmed: bool, context: RlmContext
) -> None:
    reviewed = review(
        candidate(context, {"question": "Is it?"}), context.mapper(model), context.short_ids
    )
    assert reviewed.is_confirmed is is_confirmed


def test_a_finding_whose_review_got_no_answer_is_confirmed(context: RlmContext) -> None:
    """Today's behaviour and not the wanted one: a missing answer is no confirmation."""
    one = candidate(context, {"question": "Is it?"})
    assert review(one, context.mapper(ScriptedModel([])), context.short_ids).is_confirmed


def test_a_finding_about_cost_is_not_refuted_by_a_later_correction(context: RlmContext) -> None:
    costly = candidate(context, {"question": "Is it?"}, impact="degraded")
    model = reviewing(lambda _: True, put_right=True)
    assert review(costly, context.mapper(model), context.short_ids).is_confirmed


def assembled(
    context: RlmContext, one: Candidate, reviewer: ScriptedModel, judge: ScriptedModel | None = None
) -> Finding:
    """A finding after its review and labelling."""
    reviewed = review(one, context.mapper(reviewer), context.short_ids)
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


def test_confidence_is_low_without_a_review(context: RlmContext) -> None:
    found = assembled(context, candidate(context, {"pattern": "declined"}), ScriptedModel([]))
    assert found.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("impact", "severity"),
    list(zip(Impact, ("critical", "high", "medium", "low"), strict=True)),
)
def test_severity_follows_from_the_impact(impact: Impact, severity: str) -> None:
    assert impact.severity == severity


def test_findings_of_one_failure_mode_in_the_same_traces_are_merged(context: RlmContext) -> None:
    one = candidate(context, {"pattern": "declined"}, title="One")
    same = candidate(context, {"pattern": "card"}, title="Same")
    other = candidate(
        context, {"pattern": "Paid 20"}, title="Other", quote="Paid 20 EUR.", cites=(1, 2)
    )
    findings = [assembled(context, c, reviewing(lambda _: True)) for c in (one, same, other)]
    assert [f.title for f in without_duplicates(findings)] == ["Other", "One"]


@pytest.mark.parametrize(("span_id", "kept"), [("s", 1), ("another", 2)])
def test_findings_of_two_failure_modes_are_merged_only_if_they_affect_the_same_spans(
    span_id: str, kept: int, context: RlmContext
) -> None:
    one = assembled(context, candidate(context, {"pattern": "declined"}), reviewing(lambda _: True))
    at = one.model_copy(update={"affected": tuple(at_span(one, "s"))})
    other = one.model_copy(
        update={"failure_mode": "wrong_result", "affected": tuple(at_span(one, span_id))}
    )
    assert len(without_duplicates([at, other])) == kept


def at_span(finding: Finding, span_id: str) -> Iterator[Affected]:
    """The affected traces of a finding, all with ``span_id``."""
    return (affected.model_copy(update={"span_id": span_id}) for affected in finding.affected)


def test_traces_that_the_review_confirmed_are_kept_if_the_check_misses_them(
    context: RlmContext,
) -> None:
    one = candidate(context, {"question": "Is it?"})
    reviewed = ReviewResult(one, one.evidence, (), is_checked=True)
    (labels,) = labelled(context, judging(lambda _: False), one)
    finding = model_finding(reviewed, labels, "m", 60)
    cited = {e.trace_id for e in one.evidence}
    assert cited <= {a.trace_id for a in finding.affected}


def test_a_finding_without_analysed_traces_has_a_lower_bound_as_prevalence(
    context: RlmContext,
) -> None:
    one = candidate(context, {"question": "Is it?"})
    reviewed = ReviewResult(one, one.evidence, (), is_checked=True)
    prevalence = model_finding(reviewed, FindingLabels(one), "m", 60).prevalence
    assert str(prevalence) == "at least 2 of 60 traces, the others were not analysed"
    assert (prevalence.low, prevalence.high) == (2 / 60, 1.0)


def test_a_check_is_described_by_its_rule_and_question() -> None:
    check = FindingCheck(pattern="x", question="Is it?")
    assert str(check) == "text matches x; judged Is it?"
