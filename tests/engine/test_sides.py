"""Two sets of traces compared: the same checks on both, and what could not be told of either."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from halo_engine.detectors import Corpus, Detector, Outcome, TraceIndex, cite, detector
from halo_engine.detectors.environment import failing_tool
from halo_engine.findings import DecisionKind, FindingCheck, Severity
from halo_engine.issues import Decision, Issue
from halo_engine.schema import Trace
from halo_engine.sides import ComparedIssue, Comparison, compare_sides
from halo_engine.sides.compare import (
    BASE,
    HEAD,
    MUTED,
    NEEDS_MODEL,
    NO_CHECK,
    NO_DETECTOR,
    NOTHING_JUDGED,
    WITHHELD_TEXTS,
)
from halo_engine.sides.sentences import limits, other_changes
from halo_engine.statistics.difference import ChangeVerdict
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, failed, llm, passed, tool, trace
from sample_reports import finding


@detector(
    id="T1",
    failure_mode="wrong_result",
    severity=Severity.HIGH,
    title="The answer is broken",
    recommendation="Mend it.",
)
def broken_answer(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An answer that says BROKEN; a trace without a root span is not judged."""
    if index.top is None or index.top.output is None:
        yield detector.not_applicable(index.trace, "no answer")
    elif "BROKEN" in index.top.output:
        yield detector.signal(index.trace, index.top, "it is broken", cite(index.top, "output"))


def answers(numbers: Iterable[int], *, broken: int) -> list[Trace]:
    """Traces of one agent, the first ``broken`` of which have a broken answer."""
    ids = list(numbers)
    texts = ["BROKEN answer"] * broken + ["good answer"] * (len(ids) - broken)
    return [trace(agent(output=t), llm(t), number=n) for n, t in zip(ids, texts, strict=True)]


def calls(numbers: Iterable[int], *, failing: int) -> list[Trace]:
    """Traces with a call of one tool, which fails in the first ``failing``."""
    statuses = [failed("no such order")] * failing
    return [
        trace(
            agent(),
            tool("refund", {}, "x", status=(statuses[at : at + 1] or [passed()])[0]),
            number=n,
        )
        for at, n in enumerate(numbers)
    ]


def compared(
    folder: Path,
    base: Sequence[Trace],
    head: Sequence[Trace],
    *detectors: Detector,
    known: Sequence[Issue] = (),
    reads_texts: bool = True,
) -> Comparison:
    members = {
        part: frozenset(each.trace_id for each in traces)
        for part, traces in ((BASE, base), (HEAD, head))
    }
    path = folder / "traces"
    with TraceStore(path) as store:
        store.ingest([*base, *head])
    with TraceStore(path, read_only=True) as store:
        return compare_sides(
            store, ("old", "new"), members, detectors, known, reads_texts=reads_texts
        )


def only(found: Comparison) -> ComparedIssue:
    (issue,) = found.issues
    return issue


def issue(number: int, *decisions: Decision, **fields: object) -> Issue:
    """A known issue that a model found, unless ``fields`` name a detector."""
    now = datetime.now(UTC)
    found = finding(**{"detector": None, "model": "m", "confidence": "high", **fields})
    return Issue(
        id=f"HALO-{number}",
        project="shop",
        finding=found,
        run_id="r",
        created_at=now,
        decisions=decisions,
    )


def test_the_shares_are_those_of_each_side(tmp_path: Path) -> None:
    found = only(
        compared(
            tmp_path,
            answers(range(1, 41), broken=4),
            answers(range(41, 91), broken=30),
            broken_answer,
        )
    )
    assert (found.base.affected, found.base.analysed) == (4, 40)
    assert (found.head.affected, found.head.analysed) == (30, 50)
    assert found.verdict is ChangeVerdict.WORSE
    assert (len(found.affected_on_base), len(found.affected_on_head)) == (4, 30)


def test_a_side_that_records_no_answers_is_not_good(tmp_path: Path) -> None:
    silent = [trace(agent(output=None), number=n) for n in range(41, 81)]
    found = compared(tmp_path, answers(range(1, 41), broken=30), silent, broken_answer)
    assert only(found).head.analysed == 0
    assert only(found).verdict is ChangeVerdict.UNDECIDED
    assert only(found).difference.needed is None
    assert any("could not be judged on one side" in line for line in limits(found))


def test_a_tool_that_fails_often_on_the_smaller_side_is_told(tmp_path: Path) -> None:
    base, head = calls(range(1, 281), failing=4), calls(range(281, 311), failing=20)
    found = only(compared(tmp_path, base, head, failing_tool))
    assert (found.base.affected, found.head.affected) == (4, 20)
    assert found.verdict is ChangeVerdict.WORSE


def test_a_side_that_marks_errors_only_is_judged_by_that(tmp_path: Path) -> None:
    unmarked = [
        trace(
            agent(),
            tool("refund", {}, "x", **({"status": failed("HTTP 503")} if n % 2 else {})),
            number=n,
        )
        for n in range(41, 81)
    ]
    from halo_engine.detectors.environment import environment_error

    found = compared(tmp_path, calls(range(1, 41), failing=0), unmarked, environment_error)
    assert only(found).head.analysed == 40
    assert only(found).verdict is ChangeVerdict.NEW


# -- known issues --------------------------------------------------------------------------------


def test_the_rule_of_a_known_issue_is_applied_to_both_sides(tmp_path: Path) -> None:
    known = issue(1, portable_check=FindingCheck(pattern="BROKEN", field="output"))
    base, head = answers(range(1, 41), broken=2), answers(range(41, 81), broken=20)
    found = only(compared(tmp_path, base, head, known=[known]))
    assert found.finding.issue
    assert found.finding.issue.id == "HALO-1"
    assert (found.base.affected, found.head.affected) == (2, 20)
    assert found.is_regression
    assert all(each.evidence for each in found.finding.affected)


@pytest.mark.parametrize(
    "check", [FindingCheck(pattern="BROKEN", field="output"), FindingCheck(question="Is it so?")]
)
def test_what_a_model_took_over_from_a_detector_is_compared_once(
    tmp_path: Path, check: FindingCheck
) -> None:
    base, head = answers(range(1, 41), broken=2), answers(range(41, 81), broken=20)
    signal = only(compared(tmp_path, base, head, broken_answer)).finding
    known = issue(1, portable_check=check, adopted=(signal.id,), fingerprint="m")
    shutil.rmtree(tmp_path / "traces")
    found = compared(tmp_path, base, head, broken_answer, known=[known])
    assert only(found).finding.issue
    assert found.not_compared == ()


@pytest.mark.parametrize("decision", [DecisionKind.MUTED, DecisionKind.ACCEPTED])
def test_what_a_person_decided_is_compared_and_no_regression(
    tmp_path: Path, decision: DecisionKind
) -> None:
    decided = Decision(kind=decision, at=datetime.now(UTC), reason="known")
    known = issue(1, decided, portable_check=FindingCheck(pattern="BROKEN"))
    base, head = answers(range(1, 41), broken=0), answers(range(41, 81), broken=20)
    found = compared(tmp_path, base, head, known=[known])
    assert only(found).verdict is ChangeVerdict.NEW
    assert found.regressions() == []


def test_an_issue_that_could_not_be_looked_for_is_named_with_the_reason(tmp_path: Path) -> None:
    muted = Decision(kind=DecisionKind.MUTED, at=datetime.now(UTC), reason="known")
    known = [
        issue(5, muted, portable_check=FindingCheck(question="Is it slow?")),
        issue(1, portable_check=FindingCheck(question="Is it rude?")),
        issue(2, portable_check=None),
        issue(3, detector="swallowed_error", model=None),
        issue(4, detector="broken_answer", model=None),
    ]
    silent = [trace(agent(output=None), number=n) for n in range(1, 21)]
    found = compared(tmp_path, silent[:10], silent[10:], broken_answer, known=known)
    reasons = {each.issue_id: each.reason for each in found.not_compared}
    assert reasons == {
        "HALO-1": NEEDS_MODEL,
        "HALO-2": NO_CHECK,
        "HALO-3": NO_DETECTOR,
        "HALO-4": NOTHING_JUDGED,
        "HALO-5": MUTED,
    }


def test_where_texts_are_withheld_a_rule_that_reads_them_tells_nothing(tmp_path: Path) -> None:
    known = [issue(5, portable_check=FindingCheck(pattern="BROKEN"))]
    base, head = answers(range(1, 11), broken=0), answers(range(11, 21), broken=9)
    found = compared(tmp_path, base, head, broken_answer, known=known, reads_texts=False)
    assert found.issues == ()
    assert [each.reason for each in found.not_compared] == [WITHHELD_TEXTS]
    assert any("texts of a side are withheld" in line for line in limits(found))


# -- measures and tools --------------------------------------------------------------------------


def test_longer_runs_and_other_tools_are_told_with_an_interval(tmp_path: Path) -> None:
    base = [trace(agent(), llm("a"), tool("search", {}, "x"), number=n) for n in range(1, 31)]
    head = [
        trace(agent(), llm("a"), tool("crawl", {}, "x"), tool("crawl", {}, "x"), llm("b"), number=n)
        for n in range(31, 61)
    ]
    found = compared(tmp_path, base, head)
    calls_made = next(each for each in found.measures if each.name == "model calls")
    assert (calls_made.base, calls_made.head, calls_made.ratio) == (1, 2, 2)
    assert calls_made.is_change
    verdicts = {each.name: each.difference.verdict for each in found.tools}
    assert verdicts == {"search": ChangeVerdict.GONE, "crawl": ChangeVerdict.NEW}
    assert any(line.startswith("Median model calls: 1 -> 2") for line in other_changes(found))


def test_a_detector_that_fails_is_told(tmp_path: Path) -> None:
    @detector(
        id="T2",
        failure_mode="other",
        severity=Severity.LOW,
        title="Never",
        recommendation="None.",
    )
    def raises(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
        yield from ()
        raise ValueError("odd")

    base, head = answers(range(1, 3), broken=0), answers(range(3, 5), broken=0)
    found = compared(tmp_path, base, head, raises)
    assert {failure.stage for failure in found.failures} == {"detector raises"}
