"""Findings, and what their verification says."""

from __future__ import annotations

import pytest

from halo_engine.findings import Finding, Report, Verdict, Verification
from halo_engine.statistics.prevalence import prevalence_of
from sample_reports import affected, finding, trace_ids


@pytest.mark.parametrize(
    ("traces", "answered", "confirmed", "verdict"),
    [
        (4, 4, 4, Verdict.CONFIRMED),
        (4, 4, 2, Verdict.CONFIRMED),
        (4, 2, 1, Verdict.CONFIRMED),
        (4, 4, 1, Verdict.REFUTED),
        (4, 1, 0, Verdict.REFUTED),
        (4, 1, 1, Verdict.UNDECIDED),
        (4, 0, 0, Verdict.UNDECIDED),
        (1, 0, 0, Verdict.UNDECIDED),
    ],
)
def test_no_answer_is_neither_a_confirmation_nor_a_refutation(
    traces: int, answered: int, confirmed: int, verdict: Verdict
) -> None:
    assert Verification(traces=traces, answered=answered, confirmed=confirmed).verdict is verdict


@pytest.mark.parametrize(("answered", "is_unanimous"), [(4, True), (3, False), (0, False)])
def test_a_verification_is_unanimous_only_with_an_answer_for_every_trace(
    answered: int, is_unanimous: bool
) -> None:
    verification = Verification(traces=4, answered=answered, confirmed=answered)
    assert verification.is_unanimous is is_unanimous


def test_a_verification_says_how_many_traces_got_an_answer() -> None:
    texts = [
        str(Verification(traces=4, answered=a, confirmed=c)) for a, c in ((4, 3), (3, 3), (1, 1))
    ]
    assert texts == [
        "3 of 4 cited traces were confirmed",
        "3 of 3 cited traces were confirmed, 1 got no answer",
        "not confirmed: 1 of 4 cited traces got an answer",
    ]


def test_a_finding_of_an_earlier_version_is_read() -> None:
    later = {"verification", "not_read"}
    stored = finding().model_dump(mode="json", exclude=later)
    assert Finding.model_validate(stored) == finding()


def test_a_group_counts_each_trace_once_and_those_outside_of_the_count_apart() -> None:
    counted = [affected(trace_id) for trace_id in trace_ids(3)]
    outside = affected(trace_ids(4)[3]).model_copy(update={"is_counted": False})
    parts = [
        finding(*counted[:2], outside, tool="a", group_title="It fails", id="f-1"),
        finding(*counted[1:], outside, tool="b", group_title="It fails", id="f-2"),
    ]
    (group,) = Report(findings=tuple(parts), traces=50).groups
    assert group.prevalence == prevalence_of(3, 40, 50, elsewhere=1)
