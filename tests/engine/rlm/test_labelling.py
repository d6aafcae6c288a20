"""Which traces show a finding, how many that is of how many, and how sure we are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from halo_engine.findings import Affected, Confidence, Finding
from halo_engine.llm import Budget, ChatMessage, Limits, Price
from halo_engine.rlm.assembly import finding_of, merged
from halo_engine.rlm.candidates import Candidate, CheckRules, FindingCheck, Impact, submission_of
from halo_engine.rlm.labelling import FindingLabels, label
from halo_engine.rlm.review import Reviewed, review
from halo_integrations.testing import ScriptedModel
from rlm_desk import Desk

DECLINED = "The card was declined."
FREE = Price(prompt=0, completion=0)


def candidate(
    desk: Desk,
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
    submitted = submission_of(id, fields, desk.references, CheckRules(desk.store))
    assert submitted.candidate, submitted.problems
    return submitted.candidate


def judging(shows: Callable[[int], bool]) -> ScriptedModel:
    """Says which traces show F1, with a quote of the tool's result."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        rows = []
        for name in re.findall(r"^(?:## Trace |- )(T\d+)", messages[-1].content, re.MULTILINE):
            hit = {"finding": "F1", "span": f"{name}.3", "quote": DECLINED, "why": "seen"}
            rows.append({"trace": name, "shows": [hit] if shows(int(name[1:])) else []})
        return json.dumps(rows)

    return ScriptedModel(answer)


def labelled(
    desk: Desk,
    model: ScriptedModel,
    *candidates: Candidate,
    budget: Budget | None = None,
    price: Price | None = FREE,
) -> list[FindingLabels]:
    labels, _, _ = label(
        candidates,
        CheckRules(desk.store),
        desk.references,
        desk.mapper(model),
        budget or Budget(),
        price,
        seed=1,
    )
    return labels


def test_a_rule_tells_all_traces_for_nothing(desk: Desk) -> None:
    model = ScriptedModel([])
    (labels,) = labelled(desk, model, candidate(desk, {"pattern": "declined", "field": "output"}))
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (20, 60)
    assert not model.requests


def test_every_trace_that_a_rule_names_has_the_words_as_they_stand_there(desk: Desk) -> None:
    (labels,) = labelled(desk, ScriptedModel([]), candidate(desk, {"pattern": "d[a-z]+ned"}))
    for affected in labels.affected.values():
        (proof,) = affected.evidence
        span = desk.references.trace(proof.trace_id).by_id[proof.span_id]
        assert proof.field == "output"
        assert (span.output or "")[proof.offset :].startswith(proof.quote)


def test_a_query_tells_all_traces_and_their_first_words_are_the_proof(desk: Desk) -> None:
    sql = f"SELECT trace_id, span_id FROM spans WHERE output = '{DECLINED}'"
    (labels,) = labelled(desk, ScriptedModel([]), candidate(desk, {"sql": sql}))
    assert len(labels.affected) == 20
    assert {a.evidence[0].quote for a in labels.affected.values()} == {DECLINED}


def test_a_question_is_put_to_every_trace(desk: Desk) -> None:
    model = judging(lambda n: n % 6 == 0)
    (labels,) = labelled(desk, model, candidate(desk, {"question": "Is it?"}))
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (10, 60)


def test_a_rule_with_a_question_asks_only_where_the_rule_holds(desk: Desk) -> None:
    model = judging(lambda n: n % 6 == 0)
    check = {"pattern": "declined", "field": "output", "question": "Is it?"}
    (labels,) = labelled(desk, model, candidate(desk, check))
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (10, 60)
    assert len(model.requests) == 1


def test_what_a_judge_cannot_prove_is_not_analysed(desk: Desk) -> None:
    model = judging(lambda n: n == 1)  # which says that it is paid
    labels, failures, _ = label(
        [candidate(desk, {"question": "Is it?"})],
        CheckRules(desk.store),
        desk.references,
        desk.mapper(model),
        Budget(),
        FREE,
        seed=1,
    )
    prevalence = labels[0].prevalence(60)
    assert prevalence is not None
    assert (prevalence.affected, prevalence.analysed) == (0, 59)
    assert "is not in T1.3" in failures[0].what


def test_a_budget_that_does_not_reach_draws_traces_at_random(desk: Desk) -> None:
    budget = Budget(Limits(usd=0.03))
    model = judging(lambda n: n % 6 == 0)
    (labels,) = labelled(
        desk,
        model,
        candidate(desk, {"question": "Is it?"}),
        budget=budget,
        price=Price(prompt=3, completion=15),
    )
    assert 5 < len(labels.judged) < 55
    prevalence = labels.prevalence(60)
    assert prevalence is not None
    assert prevalence.analysed == len(labels.judged)
    assert prevalence.total == 60


def test_a_rare_finding_is_not_crowded_out_by_a_common_one(desk: Desk) -> None:
    common = candidate(desk, {"pattern": "declined|Paid", "question": "Is it?"}, id="F1")
    rare = candidate(desk, {"pattern": "order (6|12)\\b", "question": "Is it?"}, id="F2")
    _, labels = labelled(
        desk,
        judging(lambda n: False),
        common,
        rare,
        budget=Budget(Limits(usd=0.01)),
        price=Price(prompt=3, completion=15),
    )
    assert len(labels.judged) == 2


def test_a_trace_read_for_one_finding_that_shows_another_counts_only_as_affected(
    desk: Desk,
) -> None:
    wide = candidate(desk, {"pattern": "declined", "question": "Was it refused?"}, id="F2")
    narrow = candidate(desk, {"pattern": "order (6|12)\\b", "question": "Is it?"}, id="F1")
    _, labels = labelled(desk, judging(lambda n: n % 6 == 0), wide, narrow)
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
    ("model", "stands"),
    [
        (reviewing(lambda _: True), True),
        (reviewing(lambda n: n == 6), True),
        (reviewing(lambda _: False), False),
        (reviewing(lambda _: True, put_right=True), False),
        (ScriptedModel([]), True),
    ],
)
def test_a_finding_stands_while_half_of_what_it_cites_does(
    model: ScriptedModel, stands: bool, desk: Desk
) -> None:
    looked_at = review(candidate(desk, {"question": "Is it?"}), desk.mapper(model), desk.references)
    assert looked_at.stands is stands


def test_a_detour_that_ended_well_is_no_less_of_a_detour(desk: Desk) -> None:
    detour = candidate(desk, {"question": "Is it?"}, impact="degraded")
    model = reviewing(lambda _: True, put_right=True)
    assert review(detour, desk.mapper(model), desk.references).stands


def made(
    desk: Desk, one: Candidate, reviewer: ScriptedModel, judge: ScriptedModel | None = None
) -> Finding:
    """A finding after its second look and its labels."""
    looked_at = review(one, desk.mapper(reviewer), desk.references)
    (labels,) = labelled(desk, judge or ScriptedModel([]), one)
    return finding_of(looked_at, labels, "m", 60)


def test_confidence_is_high_where_second_look_and_check_agree(desk: Desk) -> None:
    found = made(desk, candidate(desk, {"pattern": "declined"}), reviewing(lambda _: True))
    assert found.confidence is Confidence.HIGH


def test_confidence_is_medium_where_the_check_misses_what_was_cited(desk: Desk) -> None:
    one = candidate(desk, {"question": "Is it?"})
    found = made(desk, one, reviewing(lambda _: True), judging(lambda _: False))
    assert found.confidence is Confidence.MEDIUM


def test_confidence_is_low_without_a_second_look(desk: Desk) -> None:
    found = made(desk, candidate(desk, {"pattern": "declined"}), ScriptedModel([]))
    assert found.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("impact", "severity"),
    list(zip(Impact, ("critical", "high", "medium", "low"), strict=True)),
)
def test_severity_follows_from_the_impact(impact: Impact, severity: str) -> None:
    assert impact.severity == severity


def test_two_findings_about_the_same_traces_are_one(desk: Desk) -> None:
    one = candidate(desk, {"pattern": "declined"}, title="One")
    same = candidate(desk, {"pattern": "card"}, title="Same")
    other = candidate(
        desk, {"pattern": "Paid 20"}, title="Other", quote="Paid 20 EUR.", cites=(1, 2)
    )
    findings = [made(desk, c, reviewing(lambda _: True)) for c in (one, same, other)]
    assert [f.title for f in merged(findings)] == ["Other", "One"]


@pytest.mark.parametrize(("span_id", "kept"), [("s", 1), ("another", 2)])
def test_findings_of_two_failure_modes_are_one_where_they_are_about_the_same_spans(
    span_id: str, kept: int, desk: Desk
) -> None:
    one = made(desk, candidate(desk, {"pattern": "declined"}), reviewing(lambda _: True))
    at = one.model_copy(update={"affected": tuple(replaced(one, "s"))})
    other = one.model_copy(
        update={"failure_mode": "wrong_result", "affected": tuple(replaced(one, span_id))}
    )
    assert len(merged([at, other])) == kept


def replaced(finding: Finding, span_id: str) -> Iterator[Affected]:
    """The affected traces of a finding, all at another span."""
    return (place.model_copy(update={"span_id": span_id}) for place in finding.affected)


def test_what_stood_in_the_second_look_is_kept_where_the_check_misses_it(desk: Desk) -> None:
    one = candidate(desk, {"question": "Is it?"})
    looked_at = Reviewed(one, one.evidence, (), is_checked=True)
    (labels,) = labelled(desk, judging(lambda _: False), one)
    finding = finding_of(looked_at, labels, "m", 60)
    cited = {e.trace_id for e in one.evidence}
    assert cited <= {a.trace_id for a in finding.affected}


def test_what_was_never_counted_has_no_share(desk: Desk) -> None:
    one = candidate(desk, {"question": "Is it?"})
    looked_at = Reviewed(one, one.evidence, (), is_checked=True)
    prevalence = finding_of(looked_at, FindingLabels(one), "m", 60).prevalence
    assert str(prevalence) == "at least 2 of 60 traces, the others were not analysed"
    assert (prevalence.low, prevalence.high) == (2 / 60, 1.0)


def test_a_check_says_in_words_what_it_is() -> None:
    check = FindingCheck(pattern="x", question="Is it?")
    assert str(check) == "text matches x; judged Is it?"
