"""Known issues: how they stand after what runs saw, and which finding is which issue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from halo_engine.findings import (
    Affected,
    DecisionKind,
    Finding,
    IssueState,
    Report,
    Severity,
)
from halo_engine.issues import Decision, Issue, IssueStatus, Observation, status_of
from halo_engine.issues.matching import matched_issues
from halo_engine.issues.observing import (
    FreshTraces,
    Sighting,
    observations_of,
    sighting_of,
    unseen,
)
from halo_engine.statistics.difference import EffectiveCounts
from halo_engine.statistics.prevalence import (
    Prevalence,
    lower_bound_prevalence,
    prevalence_of,
    two_stage_prevalence,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def seen(affected: int, analysed: int, run: int = 1, *, is_worse: bool = False) -> Observation:
    return Observation(
        run_id=f"run-{run}",
        at=NOW + timedelta(days=run),
        affected=affected,
        counts=EffectiveCounts(affected=affected, analysed=analysed),
        is_worse=is_worse,
    )


def finding(traces: Sequence[str] = ("a",), **changes: object) -> Finding:
    fields: dict[str, object] = {
        "id": "loop-1",
        "fingerprint": "f1",
        "failure_mode": "loop",
        "title": "It goes round in circles",
        "severity": Severity.HIGH,
        "summary": "s",
        "recommendation": "r",
        "detector": "loops",
        "prevalence": prevalence_of(len(traces), 100, 100),
        "affected": tuple(Affected(trace_id=t, reason="r") for t in traces),
    }
    return Finding.model_validate({**fields, **changes})


def issue(number: int = 1, **changes: object) -> Issue:
    fields: dict[str, object] = {
        "id": f"HALO-{number}",
        "project": "shop",
        "finding": finding(),
        "run_id": "run-1",
        "created_at": NOW,
    }
    return Issue.model_validate({**fields, **changes})


# -- states --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observations", "state"),
    [
        ([seen(5, 100)], IssueState.NEW),
        ([seen(5, 100), seen(4, 100, 2)], IssueState.ONGOING),
        ([seen(5, 100), seen(30, 100, 2, is_worse=True)], IssueState.WORSE),
        ([seen(5, 100), seen(0, 82, 2)], IssueState.NEW),
        ([seen(5, 100), seen(0, 83, 2)], IssueState.RESOLVED),
        ([seen(5, 100), seen(0, 40, 2), seen(0, 43, 3)], IssueState.RESOLVED),
        ([seen(5, 100), seen(0, 83, 2), seen(1, 50, 3)], IssueState.REGRESSED),
        ([seen(5, 100), seen(0, 83, 2), seen(1, 50, 3), seen(1, 50, 4)], IssueState.ONGOING),
    ],
)
def test_the_state_follows_from_what_runs_saw(
    observations: list[Observation], state: IssueState
) -> None:
    assert status_of(observations).state is state


def test_traces_without_it_that_are_too_few_count_when_it_is_seen_again() -> None:
    status = status_of([seen(5, 100), seen(0, 50, 2), seen(1, 10, 3)])
    assert status.known == EffectiveCounts(affected=6, analysed=160)


def test_what_was_never_counted_is_never_resolved() -> None:
    bound = Observation(
        run_id="run-1", at=NOW, affected=3, counts=EffectiveCounts(affected=0, analysed=0)
    )
    status = status_of([bound, seen(0, 100_000, 2)])
    assert (status.state, status.needed) == (IssueState.NEW, None)


def test_after_a_regression_the_counts_begin_anew() -> None:
    status = status_of([seen(50, 100), seen(0, 100, 2), seen(1, 50, 3)])
    assert status == IssueStatus(
        state=IssueState.REGRESSED,
        was_seen=True,
        known=EffectiveCounts(affected=1, analysed=50),
    )


# -- decisions -----------------------------------------------------------------------------------


def test_a_decision_holds_until_its_end() -> None:
    muted = issue(
        decisions=[Decision(kind=DecisionKind.MUTED, at=NOW, until=NOW + timedelta(days=2))]
    )
    assert muted.mark(NOW + timedelta(days=1)).decision is DecisionKind.MUTED
    assert muted.mark(NOW + timedelta(days=2)).decision is None


def test_what_was_decided_before_holds_again_when_the_time_of_a_decision_ends() -> None:
    accepted = Decision(kind=DecisionKind.ACCEPTED, at=NOW)
    muted = Decision(kind=DecisionKind.MUTED, at=NOW, until=NOW + timedelta(days=2))
    known = issue(decisions=[accepted, muted])
    assert known.mark(NOW + timedelta(days=1)).decision is DecisionKind.MUTED
    assert known.mark(NOW + timedelta(days=2)).decision is DecisionKind.ACCEPTED


def test_what_was_reopened_is_open_when_the_time_of_a_later_decision_ends() -> None:
    accepted, reopened = (
        Decision(kind=kind, at=NOW) for kind in (DecisionKind.ACCEPTED, DecisionKind.REOPENED)
    )
    muted = Decision(kind=DecisionKind.MUTED, at=NOW, until=NOW + timedelta(days=2))
    known = issue(decisions=[accepted, reopened, muted])
    assert known.mark(NOW + timedelta(days=2)).decision is None


def test_the_last_decision_counts() -> None:
    decisions = [
        Decision(kind=kind, at=NOW) for kind in (DecisionKind.MUTED, DecisionKind.REOPENED)
    ]
    assert issue(decisions=decisions).decision(NOW) is None


# -- which finding is which issue ----------------------------------------------------------------


def test_a_message_with_other_values_is_the_same_issue() -> None:
    known = issue(finding=finding(template="User <*> was not found in the shop"))
    again = finding(id="new", fingerprint="f2", template="User bob was not found in the shop")
    assert matched_issues([again], [known], {})["new"].id == "HALO-1"


def test_thousands_of_issues_that_are_seen_again_are_matched_at_once() -> None:
    numbers = range(3000)
    again = [finding(id=f"n{n}", fingerprint=f"f{n}", template=f"Error {n}") for n in numbers]
    known = [issue(n, finding=again[n]) for n in numbers]
    begun = time.perf_counter()
    matched = matched_issues(again, known, {})
    assert time.perf_counter() - begun < 10  # nine million comparisons take minutes
    assert {id: found.id for id, found in matched.items()} == {
        f"n{n}": f"HALO-{n}" for n in numbers
    }


@pytest.mark.parametrize(
    "changes",
    [{"tool": "pay"}, {"failure_mode": "other"}, {"detector": "x"}, {"template": "Not allowed"}],
)
def test_another_tool_mode_detector_or_message_is_another_issue(changes: dict[str, str]) -> None:
    known = issue(finding=finding(template="Not found"))
    other = finding(**{"fingerprint": "f2", "template": "Not found", **changes})
    assert matched_issues([other], [known], {}) == {}


def by_model(traces: Sequence[str], **changes: object) -> Finding:
    return finding(traces, **{"detector": None, "model": "m", "fingerprint": "f2", **changes})


def test_what_a_model_found_is_the_issue_whose_check_holds_in_the_same_traces() -> None:
    known = issue(finding=by_model(["old"], fingerprint="f1", title="Worded otherwise"))
    again = by_model(["a", "b", "c"])
    assert matched_issues([again], [known], {"HALO-1": {"a", "b"}})[again.id] == known
    assert matched_issues([again], [known], {"HALO-1": {"a", "x"}}) == {}


def test_what_a_model_finds_again_in_the_traces_of_last_time_is_the_same_issue() -> None:
    known = issue(finding=by_model(["a", "b"], fingerprint="f1", title="Worded otherwise"))
    again = by_model(["a", "b", "c"])
    assert matched_issues([again], [known], {})[again.id] == known
    assert matched_issues([by_model(["b", "c"])], [known], {}) == {}


def test_of_an_issue_in_many_traces_those_that_it_keeps_stand_for_all() -> None:
    traces = [f"t{n}" for n in range(100)]
    whole = by_model(traces, fingerprint="f1", prevalence=prevalence_of(100, 200, 200))
    known = issue(finding=whole.model_copy(update={"affected": whole.affected[:20]}))
    assert matched_issues([by_model(traces)], [known], {}) != {}
    assert matched_issues([by_model(traces[:20])], [known], {}) == {}
    assert matched_issues([by_model(traces[15:])], [known], {}) == {}


def test_one_of_another_failure_mode_has_to_hold_in_nearly_the_same_traces() -> None:
    known = issue(finding=by_model(["old"], fingerprint="f1", failure_mode="other"))
    again = by_model(["a", "b", "c", "d", "e"])
    assert matched_issues([again], [known], {"HALO-1": {"a", "b", "c"}}) == {}
    assert matched_issues([again], [known], {"HALO-1": {"a", "b", "c", "d"}}) != {}


def test_an_issue_is_one_finding_the_most_alike() -> None:
    known = issue(finding=by_model(["old"], fingerprint="f1"))
    near = by_model(["a", "b", "c"], id="near")
    same = by_model(["a", "b"], id="same")
    assert set(matched_issues([near, same], [known], {"HALO-1": {"a", "b"}})) == {"same"}


def test_what_a_model_s_finding_took_the_place_of_is_the_same_issue_in_both_directions() -> None:
    signal = finding(id="loop-1", fingerprint="f1")
    by_a_model = by_model(["a"], id="m", adopted=("loop-1",))
    assert matched_issues([by_a_model], [issue(finding=signal)], {})["m"].id == "HALO-1"
    assert matched_issues([signal], [issue(finding=by_a_model)], {})["loop-1"].id == "HALO-1"


# -- what a run says -----------------------------------------------------------------------------


def traces(first: int, last: int) -> frozenset[str]:
    return frozenset(f"t{n}" for n in range(first, last))


def test_only_traces_count_in_which_no_other_run_looked_for_it() -> None:
    fresh = FreshTraces("run-2", traces(0, 100), {"run-1": traces(0, 80), "run-7": traces(80, 90)})
    known = issue(observations=[seen(5, 80)])
    found = finding([f"t{n}" for n in range(70, 85)])
    sighting = sighting_of(known, found, fresh)
    assert (sighting.affected, sighting.counts) == (5, EffectiveCounts(affected=5, analysed=20))


def test_another_analysis_of_a_run_counts_what_it_counted_and_what_no_other_run_did() -> None:
    fresh = FreshTraces("run-1", traces(0, 50), {"run-2": traces(40, 90)})
    counted_again = issue(observations=[seen(5, 50, 1), seen(1, 40, 2)])
    looked_for_first = issue(observations=[seen(1, 50, 2)])
    assert fresh.of(counted_again) == traces(0, 50)
    assert fresh.of(looked_for_first) == traces(0, 40)
    second = FreshTraces("run-2", traces(40, 90), {"run-1": traces(0, 50)}, {"run-1"})
    assert second.of(counted_again) == traces(50, 90)


def test_for_a_new_issue_all_traces_are_new() -> None:
    fresh = FreshTraces("run-2", traces(0, 100), {"run-1": traces(0, 100)})
    sighting = sighting_of(None, finding(["t1", "t2"]), fresh)
    assert sighting.counts == EffectiveCounts(affected=2, analysed=100)


@pytest.mark.parametrize(
    "prevalence",
    [prevalence_of(8, 10, 100), two_stage_prevalence(8, 20, 40, 100, 100)],
)
def test_of_fresh_traces_no_more_are_affected_than_are_counted(prevalence: Prevalence) -> None:
    """All of the few that a detector judged, or that a sample found, can be among the new ones."""
    fresh = FreshTraces("run-2", traces(0, 100), {"run-1": traces(0, 92)})
    known = issue(observations=[seen(5, 80)])
    shown = [f"t{n}" for n in range(92, 100)]
    found = sighting_of(known, finding(shown, prevalence=prevalence), fresh)
    assert found.affected == 8
    assert 0 < found.counts.share <= 1
    assert observations_of([found], "run-2", NOW)[0]


def test_traces_known_to_show_it_are_no_share_of_what_was_never_sampled() -> None:
    bound = finding(["t1", "t2"], prevalence=lower_bound_prevalence(2, 100))
    sighting = sighting_of(None, bound, FreshTraces("run-2", traces(0, 100)))
    assert (sighting.affected, sighting.counts.analysed) == (2, 0)


def test_a_detector_that_did_not_run_says_nothing() -> None:
    fresh = FreshTraces("run-2", traces(0, 100))
    ran = unseen(issue(), Report(traces=100, detectors=("loops",)), fresh)
    assert ran is not None
    assert ran.counts == EffectiveCounts(affected=0, analysed=100)
    assert unseen(issue(), Report(traces=100, detectors=("others",)), fresh) is None


def test_a_share_is_worse_if_it_is_larger_by_a_test_for_all_issues_of_the_run() -> None:
    def sighting(affected: int) -> Sighting:
        counts = EffectiveCounts(affected=affected, analysed=100)
        return Sighting(issue(observations=[seen(8, 100)]), finding(), affected, counts)

    def worse(*sightings: Sighting, at: datetime = NOW + timedelta(days=2)) -> list[bool]:
        found = observations_of(sightings, "run-2", at)
        return [observation.is_worse for observation in found if observation]

    assert worse(sighting(20)) == [True]
    assert worse(sighting(20), *[sighting(8)] * 20)[0] is False
    assert worse(sighting(0)) == [False]
    assert worse(sighting(20), at=NOW) == [False]  # what was seen is of a later run


def test_where_nothing_new_was_judged_nothing_is_observed() -> None:
    nothing = Sighting(issue(), None, 0, EffectiveCounts(affected=0, analysed=0))
    assert observations_of([nothing], "run-2", NOW) == [None]
