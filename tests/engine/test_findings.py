"""Findings, and what their verification says."""

from __future__ import annotations

import pytest

from halo_engine.findings import Finding, Verdict, Verification
from sample_reports import finding


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
