"""Rules that are measured after submission, judges that are asked again, signals that are adopted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from claim_readers import claim_rows, is_review
from halo_engine.findings import (
    Affected,
    Agreement,
    Finding,
    FindingCheck,
    Harm,
    Severity,
    Verdict,
    Verification,
)
from halo_engine.llm import Budget, ChatMessage, Limits, Spend
from halo_engine.rlm.assembly import model_finding, without_adopted
from halo_engine.rlm.candidates import Candidate, submission_of
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import CANNOT_TELL, FindingLabels
from halo_engine.rlm.labelling import label
from halo_engine.rlm.read_again import NOT_READ_AGAIN, ClaimAnswer, ReadAgain
from halo_engine.rlm.review import CHECK_REVIEW, ReviewResult, not_reviewed, review
from halo_engine.rlm.rule_labels import apply_rules
from halo_engine.rlm.second_look import SecondLook
from halo_engine.statistics.prevalence import JudgedStratum, prevalence_of, two_stage_prevalence
from halo_integrations.testing import ScriptedModel
from rlm_context import DECLINED, RlmContext

Answer = Callable[[int], bool | None]


def submitted(context: RlmContext, check: dict[str, Any], **changes: Any) -> Candidate:
    texts = dict.fromkeys(("title", "summary", "cause", "recommendation"), "The card is declined.")
    quotes = [{"span": f"T{n}.3", "quote": DECLINED} for n in (3, 6)]
    fields = {**texts, "failure_mode": "other", "impact": "wrong_outcome", "evidence": quotes}
    rules = CheckRules(context.store)
    submission = submission_of(
        "F1", {**fields, "check": check, **changes}, context.short_ids, rules, [signal(1)]
    )
    assert submission.candidate, submission.problems
    return submission.candidate


def signal(*numbers: int) -> Finding:
    return Finding(
        id="signal-1",
        fingerprint="f",
        failure_mode="other",
        title="Calls fail",
        severity=Severity.LOW,
        summary="s",
        recommendation="r",
        detector="failed_calls",
        prevalence=prevalence_of(len(numbers), 60, 60),
        affected=tuple(Affected(trace_id=f"{n:032x}", reason="it fails") for n in numbers),
    )


def reader(shows: Answer, *, again: Answer | None = None) -> ScriptedModel:
    """A model that reads claims, and judges; where it judges again, by ``again``."""
    judged: set[str] = set()

    def about(name: str, _: str) -> dict[str, Any]:
        return {"shows": shows(int(name[1:])), "harm": int(name[1:]) % 2 == 0}

    def answer(messages: Sequence[ChatMessage]) -> str:
        if is_review(messages[0].content):
            return json.dumps(claim_rows(messages[1].content, about))
        rows = []
        for name in re.findall(r"^## Trace (T\d+)$", messages[1].content, re.MULTILINE):
            number = int(name[1:])
            seen = (again or shows)(number) if name in judged else shows(number)
            judged.add(name)
            hit = {"finding": "F1", "span": f"{name}.3", "quote": text_of(number), "why": "so"}
            untold = ["F1"] if seen is None else []
            rows.append({"trace": name, "shows": [hit] if seen else [], "cannot_tell": untold})
        return json.dumps(rows)

    return ScriptedModel(answer)


def text_of(number: int) -> str:
    return DECLINED if number % 3 == 0 else "Paid 20 EUR."


def looked_at(
    context: RlmContext,
    model: ScriptedModel,
    candidate: Candidate,
    *,
    groups: dict[str, int] | None = None,
    budget: Budget | None = None,
) -> FindingLabels:
    """The labels of ``candidate`` after the second look."""
    rules, mapper = CheckRules(context.store, groups), context.mapper(model)
    available = budget or Budget()
    args = [candidate], rules, context.short_ids, mapper, available, None
    (labels,), failures, _ = label(*args, seed=1)
    assert not failures
    look = SecondLook(rules, mapper, context.short_ids, available, 1)
    look.repeat([labels])
    look.at([not_reviewed(candidate, 1)], [labels])
    return labels


def looked_at_together(
    context: RlmContext, model: ScriptedModel, checks: Sequence[dict[str, Any]]
) -> list[FindingLabels]:
    """The labels of a finding F1, F2, ... for each of ``checks`` after their second look."""
    candidates = [
        submitted(context, check).model_copy(update={"id": f"F{n}"})
        for n, check in enumerate(checks, start=1)
    ]
    rules, mapper = CheckRules(context.store), context.mapper(model)
    labelled, _ = apply_rules(candidates, rules, context.short_ids)
    look = SecondLook(rules, mapper, context.short_ids, Budget(), 1)
    look.at([not_reviewed(candidate, 1) for candidate in candidates], labelled)
    return labelled


def names(context: RlmContext, labels: FindingLabels) -> set[str]:
    return {context.short_ids.name(trace_id) for trace_id in labels.affected}


def pages(model: ScriptedModel) -> list[list[str]]:
    return [re.findall(r"## Trace (T\d+)", request[1].content) for request in model.requests]


DECLINES = {"pattern": "declined", "field": "output"}


def test_six_hits_and_four_near_misses_of_a_rule_are_read_on_one_page_mixed(
    context: RlmContext,
) -> None:
    model = reader(lambda n: n % 3 == 0)
    labels = looked_at(context, model, submitted(context, DECLINES))
    (page,) = pages(model)
    is_hit = [int(name[1:]) % 3 == 0 for name in page]
    assert sum(is_hit) == 7  # one of the two that are cited was not drawn besides
    assert len(page) == 11
    assert is_hit not in ([True] * 7 + [False] * 4, [False] * 4 + [True] * 7)
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=20, judged=6, shown=6)
    (near,) = labels.measured.near
    assert near.judged == JudgedStratum(traces=40, judged=4, shown=0)
    assert not labels.measured.is_wide


def test_a_rule_whose_judged_hits_all_show_it_counts_every_hit_with_a_wider_interval(
    context: RlmContext,
) -> None:
    labels = looked_at(context, reader(lambda n: n % 3 == 0), submitted(context, DECLINES))
    prevalence = labels.prevalence(labels.affected.keys(), 60)
    assert prevalence
    assert prevalence.counts == "20 of 60"
    assert prevalence.low == two_stage_prevalence(6, 6, 20, 60, 60).low
    assert prevalence.low < prevalence_of(20, 60, 60).low


@pytest.mark.parametrize(
    ("shown", "verdict"), [(range(9, 61), Verdict.CONFIRMED), (range(0), Verdict.REFUTED)]
)
def test_a_rule_whose_examples_are_wrong_stands_by_the_hits_that_are_right(
    shown: range, verdict: Verdict, context: RlmContext
) -> None:
    one = submitted(context, DECLINES)
    wrong = {context.short_ids.name(trace_id) for trace_id in one.trace_ids}
    model = reader(lambda n: n % 3 == 0 and n in shown and f"T{n}" not in wrong)
    rules, mapper = CheckRules(context.store), context.mapper(model)
    labelled, _ = apply_rules([one], rules, context.short_ids)
    look = SecondLook(rules, mapper, context.short_ids, Budget(), 1)
    (result,) = look.at([not_reviewed(one, 1)], labelled)
    assert result.verification.verdict is verdict
    assert not names(context, labelled[0]) & wrong


def test_a_cited_hit_that_its_review_refuted_is_not_counted(context: RlmContext) -> None:
    one = submitted(context, DECLINES)
    labels = looked_at(context, reader(lambda n: n % 3 == 0), one)
    unread = next(trace_id for trace_id in labels.affected if trace_id not in labels.judged)
    labels.leave_out({unread})
    prevalence = labels.prevalence(labels.affected.keys(), 60)
    assert prevalence
    assert prevalence.counts == "19 of 60"


def test_of_few_hits_all_are_read_and_the_count_is_exact(context: RlmContext) -> None:
    listed = [f"T{n}" for n in range(3, 31, 3)]
    model = reader(lambda n: n != 30)
    labels = looked_at(context, model, submitted(context, {"traces": listed}))
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=10, judged=10, shown=9)
    assert names(context, labels) == set(listed) - {"T30"}
    assert labels.prevalence(labels.affected.keys(), 60) == prevalence_of(9, 60, 60)


def test_a_rule_that_is_too_wide_is_narrowed_by_reading_all_of_its_hits(
    context: RlmContext,
) -> None:
    labels = looked_at(context, reader(lambda n: n % 9 == 0), submitted(context, DECLINES))
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=20, judged=20, shown=6)
    assert labels.measured.is_wide
    assert names(context, labels) == {f"T{n}" for n in range(9, 61, 9)}
    assert "so the rule is too wide" in str(labels.measured)


def test_all_rules_are_measured_in_one_reading_and_narrowed_in_another(
    context: RlmContext,
) -> None:
    model = reader(lambda n: n % 9 == 0)
    some = {"traces": [f"T{n}" for n in range(3, 49, 3)]}
    labelled = looked_at_together(context, model, [DECLINES, some])
    first, second = pages(model)
    assert len(first) == len(set(first))
    assert len(second) == len(set(second))
    hits = [labels.measured.hits for labels in labelled if labels.measured]
    assert [(h.traces, h.judged, h.shown) for h in hits] == [(20, 20, 6), (16, 16, 5)]


def test_the_samples_of_rules_that_hold_in_the_same_traces_are_the_same(
    context: RlmContext,
) -> None:
    model = reader(lambda n: n % 3 == 0)
    first, second = looked_at_together(context, model, [DECLINES, DECLINES])
    assert first.judged == second.judged
    assert first.measured == second.measured
    assert len(pages(model)) == 1


def test_a_second_look_that_is_repeated_reads_the_traces_that_were_paid_for(
    context: RlmContext,
) -> None:
    model, budget = reader(lambda n: n % 3 == 0), Budget(Limits(tokens=2700))
    one = submitted(context, DECLINES)
    first = looked_at(context, model, one, budget=budget)
    asked = len(model.requests)
    budget.charge(CHECK_REVIEW, Spend(prompt_tokens=2000))
    assert looked_at(context, model, one, budget=budget).measured == first.measured
    assert len(model.requests) == asked


def test_a_rule_that_fails_in_the_second_look_is_measured_by_its_hits_and_told(
    context: RlmContext,
) -> None:
    one = submitted(context, {"traces": ["T3", "T6"]})
    (labels,), _ = apply_rules([one], CheckRules(context.store), context.short_ids)
    labels.candidate = one.model_copy(update={"check": FindingCheck(sql="SELECT nothing")})
    mapper = context.mapper(reader(lambda _: True))
    look = SecondLook(CheckRules(context.store), mapper, context.short_ids, Budget(), 1)
    look.at([not_reviewed(one, 1)], [labels])
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=2, judged=2, shown=2)
    (failure,) = look.failures
    assert (failure.stage, failure.where) == ("second look", "F1")


def test_without_the_budget_for_that_only_what_was_read_is_affected_and_the_rest_estimated(
    context: RlmContext,
) -> None:
    poor = Budget(Limits(tokens=5000))
    model = reader(lambda n: n % 9 == 0)
    labels = looked_at(context, model, submitted(context, DECLINES), budget=poor)
    assert labels.measured
    hits = labels.measured.hits
    assert (hits.traces, hits.judged) == (20, 6)
    assert len(labels.affected) == hits.shown
    assert labels.prevalence(labels.affected.keys(), 60) == two_stage_prevalence(
        hits.shown, 6, 20, 60, 60
    )


def test_near_misses_that_show_it_are_counted_against_the_recall(context: RlmContext) -> None:
    groups = dict.fromkeys(context.short_ids.trace_ids[:12], 1)
    listed = ["T3", "T6"]
    labels = looked_at(
        context,
        reader(lambda n: n % 3 == 0),
        submitted(context, {"traces": listed}),
        groups=groups,
    )
    assert labels.measured
    (near,) = labels.measured.near
    assert (near.judged.traces, near.judged.judged) == (10, 4)
    assert labels.measured.unjudged == 48
    recall = labels.measured.recall
    assert recall
    assert recall.share == 2 / (2 + 10 * near.judged.shown / 4)
    assert "of the other 48 traces none was judged" in str(labels.measured)


def test_a_trace_of_which_a_reader_cannot_tell_is_not_judged(context: RlmContext) -> None:
    def shows(n: int) -> bool | None:
        return None if n > 15 else n % 3 == 0

    listed = [f"T{n}" for n in range(3, 31, 3)]
    labels = looked_at(context, reader(shows), submitted(context, {"traces": listed}))
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=10, judged=5, shown=5)
    assert labels.measured.untold >= 5
    assert names(context, labels) == set(listed)


def test_a_trace_of_which_a_judge_cannot_tell_is_not_judged(context: RlmContext) -> None:
    def shows(n: int) -> bool | None:
        return None if n <= 10 else n % 3 == 0

    labels = looked_at(context, reader(shows), submitted(context, {"question": "Is it?"}))
    reasons = {entry.reason: entry.traces for entry in labels.not_read(60)}
    assert reasons == {CANNOT_TELL: 10}
    assert len(labels.judged) == 50


def test_a_review_that_cannot_tell_confirms_and_refutes_nothing(context: RlmContext) -> None:
    one = submitted(context, {"question": "Is it?"})
    model = reader(lambda n: None if n == 6 else True)
    (result,) = review([one], context.mapper(model), context.short_ids, seed=0)
    read = result.read
    assert read.verification == Verification(traces=2, answered=1, confirmed=1, untold=1)
    assert str(read.verification).endswith("were confirmed, of 1 the model could not tell")
    assert read.harm == {context.short_ids.trace_ids[2]: False}


def test_a_reader_sees_what_counts_but_no_cause_and_the_quotes_of_each_trace_by_name(
    context: RlmContext,
) -> None:
    one = submitted(
        context,
        {"question": "Is it?"},
        boundaries="A refused payment counts.",
        facts="Elsewhere order 6 is paid.",
        cause="The bank is closed.",
        summary="It fails. " * 150,
    )
    model = reader(lambda _: True)
    review([one], context.mapper(model), context.short_ids, seed=0)
    (request,) = model.requests
    assert "What counts and what does not: A refused payment counts." in request[0].content
    assert "which is no proof: Elsewhere order 6 is paid." in request[0].content
    assert "The bank is closed." not in request[0].content
    assert 50 < request[0].content.count("It fails.") < 70
    heads = re.findall(r"^Claims: .*$", request[1].content, re.MULTILINE)
    assert sorted(heads) == ["Claims: F1 (quotes [T3.3])", "Claims: F1 (quotes [T6.3])"]


def test_a_judge_that_is_asked_again_in_another_order_is_measured_against_itself(
    context: RlmContext,
) -> None:
    model = reader(lambda n: n % 3 == 0, again=lambda n: n % 6 == 0)
    labels = looked_at(context, model, submitted(context, {"question": "Is it?"}))
    assert labels.repeat
    assert labels.repeat.traces == 6
    assert labels.repeat.either >= 3
    assert labels.repeat.same == 6 - (labels.repeat.either - labels.repeat.both)
    again = Agreement(traces=6, same=5, either=3, both=2)
    assert str(again).endswith("5 of 6 traces; of 3 that show it by either, 2 by both")


def test_a_judge_has_a_second_look_besides(context: RlmContext) -> None:
    labels = looked_at(
        context, reader(lambda n: n % 3 == 0), submitted(context, {"question": "Is it?"})
    )
    assert labels.second_look == Verification(traces=6, answered=6, confirmed=6)


def test_of_a_rule_with_a_question_the_judge_measures_the_hits_and_readers_the_near_misses(
    context: RlmContext,
) -> None:
    one = submitted(context, {**DECLINES, "question": "Is it?"})
    labels = looked_at(context, reader(lambda n: n % 6 == 0 or n == 4), one)
    assert labels.measured
    assert labels.measured.hits == JudgedStratum(traces=20, judged=20, shown=10)
    (near,) = labels.measured.near
    assert near.judged.judged == 4
    assert labels.measured.recall
    assert names(context, labels) == {f"T{n}" for n in range(6, 61, 6)}


def test_a_finding_tells_its_measure_and_the_harm_that_was_seen(context: RlmContext) -> None:
    one = submitted(context, DECLINES)
    labels = looked_at(context, reader(lambda n: n % 3 == 0), one)
    finding = model_finding(ReviewResult(one, NOT_READ_AGAIN), labels, "m", 60)
    assert finding.measured == labels.measured
    assert finding.harm
    assert finding.harm.judged == 6
    assert str(Harm(seen=2, judged=6)) == "seen in 2 of the 6 traces of which a model could tell"


def test_a_finding_takes_the_place_of_the_signal_that_it_adopts(context: RlmContext) -> None:
    one = submitted(context, DECLINES, adopts=["failed_calls"])
    labels = looked_at(context, reader(lambda n: n % 3 == 0), one)
    adopted, other = signal(3, 4), signal(5).model_copy(update={"id": "signal-2"})
    ids = frozenset(one.trace_ids)
    read = ReadAgain(ids, dict.fromkeys(ids, ClaimAnswer(shows=True)))
    finding = model_finding(ReviewResult(one, read), labels, "m", 60, [adopted, other])
    assert {a.trace_id for a in finding.affected} == labels.affected.keys() | {f"{4:032x}"}
    assert [a.reason for a in finding.affected if a.trace_id == f"{4:032x}"] == ["it fails"]
    assert finding.adopted == ("signal-1",)
    assert without_adopted([adopted, other], [finding]) == [other]


@pytest.mark.parametrize(
    ("tokens", "hits", "near"),
    [(None, 6, 4), (100_000, 6, 4), (2700, 4, 2), (500, 2, 1)],
)
def test_as_much_of_each_rule_is_read_as_the_budget_suffices_for(
    tokens: int | None, hits: int, near: int, context: RlmContext
) -> None:
    budget = Budget(Limits(tokens=tokens)) if tokens else Budget()
    one = submitted(context, DECLINES)
    labels = looked_at(context, reader(lambda n: n % 3 == 0), one, budget=budget)
    assert labels.measured
    assert labels.measured.hits.judged == hits
    assert [stratum.judged for stratum in labels.measured.judged_near] == [near]
