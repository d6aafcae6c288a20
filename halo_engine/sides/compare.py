"""How two sides are compared: the same checks on both, and the same tests for all.

Detectors run once over both sides together, so that messages have one template, and outliers are
told by one scale. What a detector tells by a share of all traces, such as a tool that fails often, it
tells if it is so on one side. Known issues that a model found are looked for by their rules. A trace
that is on both sides is on neither.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from halo_engine.detectors.base import Detector
from halo_engine.detectors.runner import DetectorRun, JudgedStore, judge_traces
from halo_engine.detectors.stored_batches import OnTraceDone
from halo_engine.executors import IN_PROCESS, Executor
from halo_engine.findings import Affected, Finding, Report
from halo_engine.issues import Issue
from halo_engine.issues.checking import check_by_rule
from halo_engine.issues.judging import IssueJudge, JudgedIssues
from halo_engine.issues.matching import matched_issues
from halo_engine.sides.comparison import (
    ComparedIssue,
    ComparedMeasure,
    ComparedUse,
    Comparison,
    NotCompared,
    SideTraces,
)
from halo_engine.sides.medians import ratio_of_medians
from halo_engine.statistics.difference import ShareDifference, differences
from halo_engine.statistics.prevalence import Prevalence, lower_bound_prevalence, prevalence_of
from halo_engine.store import TraceStore

BASE, HEAD = "base", "head"
MOST_TOOLS, MOST_SHAPES = 40, 20
NEEDS_MODEL = "it is told by a question to a model"
UNANSWERED = "it is told by a question, which the model answered about no trace within the budget"
NO_ROOM = "it is told by a question, and those of others take the room that a prompt has for them"
MUTED = "it is muted"
NO_CHECK = "an earlier version kept no check of it"
WITHHELD_TEXTS = "it is told by texts, which are withheld"
RULE_FAILED = "its rule failed"
NO_DETECTOR = "its detector is switched off, or not installed"
NOTHING_JUDGED = "what its detector needs is recorded on neither side"

Members = Mapping[str, Set[str]]


class FoundOnSides(NamedTuple):
    """A failure, and how common it is on each side."""

    finding: Finding
    base: Prevalence
    head: Prevalence


def compare_sides(
    store: TraceStore,
    names: tuple[str, str],
    members: Members,
    detectors: Sequence[Detector],
    known: Sequence[Issue] = (),
    *,
    reads_texts: bool = True,
    judge: IssueJudge | None = None,
    progress: OnTraceDone | None = None,
    executor: Executor = IN_PROCESS,
) -> Comparison:
    """Compare the traces ``members`` of ``base`` and ``head`` in ``store``, called ``names``.

    ``known`` are the issues of the project; those whose check is a question are put to ``judge``, if
    there is one. The store holds no other traces; where it has many, ``executor`` judges them.
    """
    part_of = {trace_id: part for part, ids in members.items() for trace_id in ids}
    judged = judge_traces(
        store,
        detectors,
        progress=progress,
        reads_texts=reads_texts,
        parts=members,
        executor=executor,
    )
    report = Report(
        traces=judged.corpus.traces,
        findings=judged.findings,
        detectors=tuple(d.name for d in detectors),
    )
    found = list(found_by_detectors(judged, known, members))
    others = without_found(known, [each.finding for each in found])
    checked = check_by_rule(others if reads_texts else (), store, report)
    asked = judge.judge(others, store, report, members) if judge and reads_texts else JudgedIssues()
    found += found_by_rules(others, checked.findings, members)
    found += found_by_judge(others, asked)
    told = checked.findings.keys() | asked.findings.keys()
    shapes = list(store.run_shapes())
    return Comparison(
        base=side_traces(names[0], BASE, members, store),
        head=side_traces(names[1], HEAD, members, store),
        issues=compared_issues(found, members[HEAD]),
        measures=tuple(compared_measures(store, part_of)),
        tools=compared_uses([(t, tools) for t, _, tools in shapes], members, MOST_TOOLS),
        shapes=compared_uses([(t, [shape]) for t, shape, _ in shapes], members, MOST_SHAPES),
        not_compared=tuple(
            not_compared(
                others, told, judged, reads_texts=reads_texts, asked=asked if judge else None
            )
        ),
        withheld=not reads_texts,
        failures=(*judged.failures, *checked.failures, *asked.failures),
    )


# -- issues --------------------------------------------------------------------------------------


def found_by_detectors(
    judged: JudgedStore, known: Sequence[Issue], members: Members
) -> Iterator[FoundOnSides]:
    """The findings of detectors, with the issues that they are."""
    findings = [finding for finding in judged.findings if not finding.is_recording_gap]
    matched = matched_issues(findings, known, {})
    counts = {run.detector.name: run.judged for run in judged.runs}
    for finding in findings:
        of_detector = counts[finding.detector or ""]
        base, head = (side_prevalence(finding, of_detector[p], members[p]) for p in (BASE, HEAD))
        yield FoundOnSides(as_known_issue(finding, matched.get(finding.id)), base, head)


def without_found(known: Sequence[Issue], findings: Iterable[Finding]) -> list[Issue]:
    """``known`` without those that one of ``findings`` is.

    A detector sees again what a model took over from it, and the check of the model would, too.
    """
    found = {finding.issue.id for finding in findings if finding.issue}
    return [issue for issue in known if issue.id not in found]


def found_by_rules(
    known: Sequence[Issue], checked: Mapping[str, Finding], members: Members
) -> Iterator[FoundOnSides]:
    """What the rules of known issues found; they were applied to every trace."""
    for issue in known:
        finding = checked.get(issue.id)
        if finding and finding.affected:
            base, head = (
                side_prevalence(finding, len(members[p]), members[p]) for p in (BASE, HEAD)
            )
            yield FoundOnSides(as_known_issue(finding, issue), base, head)


def found_by_judge(known: Sequence[Issue], asked: JudgedIssues) -> Iterator[FoundOnSides]:
    """What a model said of known issues in the traces of each side that it read."""
    for issue in known:
        finding = asked.findings.get(issue.id)
        if finding and finding.affected:
            found = asked.prevalence[issue.id]
            yield FoundOnSides(as_known_issue(finding, issue), found[BASE], found[HEAD])


def as_known_issue(finding: Finding, issue: Issue | None) -> Finding:
    """``finding`` with the issue that it is, and with what is known of this in the agent's code."""
    if issue is None:
        return finding.model_copy(update={"issue": None})
    known = issue.finding
    return finding.model_copy(
        update={
            "issue": issue.mark(datetime.now(UTC)),
            "defined_at": known.defined_at,
            "code_causes": known.code_causes,
            "proposed_fix": known.proposed_fix,
        }
    )


def compared_issues(
    found: Sequence[FoundOnSides], head_traces: Set[str]
) -> tuple[ComparedIssue, ...]:
    """Each failure on both sides, what got worse first."""
    tests = differences([(each.base, each.head) for each in found])
    compared = [
        on_both_sides(each, difference, head_traces)
        for each, difference in zip(found, tests, strict=True)
    ]
    return tuple(sorted(compared, key=lambda each: each.rank))


def on_both_sides(
    found: FoundOnSides, difference: ShareDifference, head_traces: Set[str]
) -> ComparedIssue:
    """One failure on both sides, with what it affects among ``head_traces`` first."""

    def is_on_base(affected: Affected) -> bool:
        return affected.trace_id not in head_traces

    affected = tuple(sorted(found.finding.affected, key=is_on_base))
    return ComparedIssue(
        finding=found.finding.model_copy(update={"affected": affected}),
        base=found.base,
        head=found.head,
        difference=difference,
        on_head=sum(each.trace_id in head_traces for each in affected),
    )


def side_prevalence(finding: Finding, judged: int, traces: Collection[str]) -> Prevalence:
    """The prevalence of ``finding`` on the side with these ``traces``, ``judged`` of them."""
    is_counted = {a.trace_id: a.is_counted for a in finding.affected if a.trace_id in traces}
    if not judged:
        return lower_bound_prevalence(len(is_counted), len(traces))
    counted = sum(is_counted.values())
    elsewhere = len(is_counted) - counted
    return prevalence_of(counted, judged, len(traces), elsewhere=elsewhere)


def not_compared(
    known: Sequence[Issue],
    told: Set[str],
    judged: JudgedStore,
    *,
    reads_texts: bool,
    asked: JudgedIssues | None,
) -> Iterator[NotCompared]:
    """The known issues that could not be looked for, and why. ``asked`` is what a model said."""
    runs = {run.detector.name: run for run in judged.runs}
    for issue in known:
        if issue.id in told:
            continue
        name = issue.finding.detector
        reason = (
            reason_of_check(issue, reads_texts=reads_texts, asked=asked)
            if name is None
            else reason_of_detector(runs.get(name))
        )
        if reason:
            yield NotCompared(issue_id=issue.id, title=issue.finding.title, reason=reason)


def reason_of_check(issue: Issue, *, reads_texts: bool, asked: JudgedIssues | None) -> str:
    """Why the check of a model's finding told nothing; ``asked``: what a model said, if one was."""
    check = issue.finding.portable_check
    if check is None or not (check.question or check.has_rule):
        return NO_CHECK
    if not reads_texts:
        return WITHHELD_TEXTS
    if not check.question:
        return RULE_FAILED
    if issue.is_muted(datetime.now(UTC)):
        return MUTED
    if asked is None:
        return NEEDS_MODEL
    return NO_ROOM if issue.id in asked.no_room else UNANSWERED


def reason_of_detector(run: DetectorRun | None) -> str | None:
    """Why a detector told nothing; None where it looked, and for what it shows without judging."""
    if run is None:
        return NO_DETECTOR
    return None if run.judged or run.verified else NOTHING_JUDGED


# -- measures and tools --------------------------------------------------------------------------


def side_traces(name: str, part: str, members: Members, store: TraceStore) -> SideTraces:
    """One side in numbers."""
    ids = members[part]
    first, last = store.window_of(ids)
    return SideTraces(name=name, traces=len(ids), first=first, last=last)


def compared_measures(store: TraceStore, part_of: Mapping[str, str]) -> Iterator[ComparedMeasure]:
    """The medians of what is recorded of runs: their duration, cost, tokens and calls."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trace_id, sizes in store.run_sizes():
        for name, value in sizes.items():
            values[name][part_of.get(trace_id, "")].append(value)
    for name, sides in values.items():
        base, head = sides[BASE], sides[HEAD]
        if base and head:
            ratio, interval = ratio_of_medians(base, head) or (None, None)
            yield ComparedMeasure(
                name=name,
                base=median(base),
                head=median(head),
                base_runs=len(base),
                head_runs=len(head),
                ratio=ratio,
                interval=interval,
            )


def compared_uses(
    uses: Iterable[tuple[str, Collection[str]]], members: Members, most: int
) -> tuple[ComparedUse, ...]:
    """How many runs of each side use what, of the ``most`` frequent; the clearest change first.

    ``uses`` are the trace id of each run and what it uses.
    """
    counts: dict[str, Counter[str]] = {BASE: Counter(), HEAD: Counter()}
    for trace_id, used in uses:
        for part in counts:
            counts[part].update(used if trace_id in members[part] else ())
    names = [name for name, _ in (counts[BASE] + counts[HEAD]).most_common(most)]
    sizes = {part: len(ids) for part, ids in members.items()}
    if not all(sizes.values()):
        return ()

    def share(name: str, part: str) -> Prevalence:
        return prevalence_of(counts[part][name], sizes[part], sizes[part])

    sides = [(share(name, BASE), share(name, HEAD)) for name in names]
    compared = [
        ComparedUse(name=name, base=base, head=head, difference=difference)
        for name, (base, head), difference in zip(names, sides, differences(sides), strict=True)
    ]
    return tuple(sorted(compared, key=lambda each: (each.difference.p_value, each.name)))
