"""Tracking: which known issues the findings of a run are, and how these stand now.

The rules of issues that a model found are applied as well, so that a run without a model sees them.
What counts of an issue are traces in which no other run of the project had looked for it: the same
traces read again say nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

from filelock import FileLock

from halo_adapters.registry import adapter_class
from halo_engine.findings import Finding, Report, UncheckedIssue, importance
from halo_engine.issues import Issue
from halo_engine.issues.checked import (
    CheckedIssues,
    muted_questions_of,
    questions_of,
    why_unchecked,
)
from halo_engine.issues.checking import check_by_rule
from halo_engine.issues.matching import matched_issues, takes_place
from halo_engine.issues.observing import (
    FreshTraces,
    Sighting,
    observations_of,
    sighting_of,
    unseen,
)
from halo_engine.locks import private_lock
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.protection import are_texts_withheld, privacy_of, report_of
from halo_integrations.state.home import Runs
from halo_integrations.state.issues import Issues, SeenIssue, TrackedRun, Window
from halo_integrations.state.run import Run

NOT_ASKED = CheckedIssues()


@dataclass(frozen=True)
class IssueTracker:
    """Tracks the issues of ``project`` over its runs.

    A rehearsal ``is_recorded`` nowhere: its findings say which known issues they are.
    """

    runs: Runs
    project: str
    is_recorded: bool = True

    def questions(self, run: Run) -> tuple[list[Issue], list[Issue]]:
        """The known issues whose questions a model is asked, and those of them that are muted."""
        known = self._known(run)
        return questions_of(known), muted_questions_of(known)

    def tracked(
        self, run: Run, store: TraceStore, report: Report, answers: CheckedIssues = NOT_ASKED
    ) -> Report:
        """``report`` with the known issue of each finding, and with what known checks find besides.

        These are the rules of known issues, and a model's ``answers`` to the questions of others.
        What is seen is recorded in the home before it returns. One run of a home at a time does this:
        two would make two issues of one failure.
        """
        known, checked = self._known(run), CheckedIssues()
        is_withheld = privacy_of(run).metadata_only or are_texts_withheld(store)
        if not is_withheld:
            # Not for others to wait for.
            checked = check_by_rule(known, store, report).with_others(answers)
        with self._locked():
            return self._tracked(run, store, report, checked, is_withheld=is_withheld)

    def _locked(self) -> FileLock:
        return private_lock(self.runs.home / "issues.lock")

    def _known(self, run: Run) -> list[Issue]:
        """The known issues of the project, after what people decide by their verdicts."""
        with self._locked():
            issues = Issues(self.runs.home)
            return [self._decided(issues, issue, run) for issue in issues.all(self.project)]

    def issues_of(self, report: Report) -> list[Issue]:
        """The known issues that the findings of ``report`` are."""
        ids = {finding.issue.id for finding in report.findings if finding.issue}
        return [issue for issue in Issues(self.runs.home).all(self.project) if issue.id in ids]

    def _tracked(
        self,
        run: Run,
        store: TraceStore,
        report: Report,
        checked: CheckedIssues,
        *,
        is_withheld: bool,
    ) -> Report:
        issues = Issues(self.runs.home)
        known = issues.all(self.project)
        window = window_of(store)
        fresh = self._fresh(issues, run, store.trace_ids(), window)
        sightings = sightings_in(report, known, checked, fresh)
        observations = observations_of(sightings, run.id, run.record.created_at)
        seen = [
            SeenIssue(sighting.issue.id if sighting.issue else None, sighting.finding, observation)
            for sighting, observation in zip(sightings, observations, strict=True)
        ]
        issue_of = [sighting.issue for sighting in sightings]
        if self.is_recorded:
            tracked = TrackedRun(self.project, run.id, run.record.created_at, window, fresh.all)
            issue_of = list(issues.record(tracked, seen))
        gaps = [finding for finding in report.findings if finding.is_recording_gap]
        found = [
            with_mark(sighting.finding, issue)
            for sighting, issue in zip(sightings, issue_of, strict=True)
            if sighting.finding
        ]
        failures = (f for f in checked.failures if f not in report.failures)
        return report.model_copy(
            update={
                "findings": tuple(sorted([*found, *gaps], key=importance)),
                "failures": (*report.failures, *failures),
                "unchecked_issues": unchecked_issues(
                    known, sightings, checked, is_withheld=is_withheld
                ),
            }
        )

    def _decided(self, issues: Issues, issue: Issue, run: Run) -> Issue:
        """``issue`` after what people decide about it by their verdicts on the platform."""
        people = f"people in {adapter_class(run.record.source).title}"
        decision = issue.decision_of_people(people, datetime.now(UTC))
        return issues.decide(issue.id, decision) if decision and self.is_recorded else issue

    def _fresh(self, issues: Issues, run: Run, own: Set[str], window: Window) -> FreshTraces:
        """The traces ``own`` of ``run``, and which of them other runs had."""
        tracked = issues.runs_with(self.project, own, window)
        earlier = frozenset(takewhile(lambda run_id: run_id != run.id, tracked))
        others = {run_id: had for run_id, had in tracked.items() if run_id != run.id}
        return FreshTraces(run.id, own, others, earlier)


def sightings_in(
    report: Report, known: Sequence[Issue], checked: CheckedIssues, fresh: FreshTraces
) -> list[Sighting]:
    """What a run says of each issue: of those in its report, and of those ``known`` besides.

    Gaps in the recording are no issues: they say nothing about the agent.
    """
    findings = [finding for finding in report.findings if not finding.is_recording_gap]
    held = {
        id: frozenset(a.trace_id for a in finding.affected)
        for id, finding in checked.findings.items()
    }
    matched = matched_issues(findings, known, held)
    sightings = [
        sighting_of(issue, with_identity(finding, issue), fresh)
        for finding in findings
        for issue in [matched.get(finding.id)]
    ]
    found_again = {issue.id for issue in matched.values()}
    adopted = {id for finding in findings for id in finding.adopted}
    for issue in known:
        if issue.id not in found_again and issue.finding.id not in adopted:
            sightings += sighted_besides(issue, report, checked, fresh)
    return sightings


def sighted_besides(
    issue: Issue, report: Report, checked: CheckedIssues, fresh: FreshTraces
) -> Iterator[Sighting]:
    """What a run says of an issue that none of its findings is, if anything."""
    finding = checked.findings.get(issue.id)
    if finding is None:
        none = unseen(issue, report, fresh)
        yield from [none] if none else []
        return
    sighting = sighting_of(issue, finding, fresh)
    yield sighting if finding.affected else sighting._replace(finding=None)


def unchecked_issues(
    known: Sequence[Issue],
    sightings: Sequence[Sighting],
    checked: CheckedIssues,
    *,
    is_withheld: bool,
) -> tuple[UncheckedIssue, ...]:
    """The issues that nothing was said of, but for muted ones.

    Of a detector's issue that a model took over with others, it is said there.
    """
    looked_for = {sighting.issue.id for sighting in sightings if sighting.issue}
    adopted = {id for sighting in sightings if sighting.finding for id in sighting.finding.adopted}
    now = datetime.now(UTC)
    return tuple(
        UncheckedIssue(
            id=issue.id,
            title=issue.finding.title,
            **why_unchecked(
                issue, metadata_only=is_withheld, why_not_asked=checked.why_not_answered(issue)
            )._asdict(),
        )
        for issue in known
        if issue.id not in looked_for and issue.finding.id not in adopted
        if not issue.is_muted(now)
    )


def with_identity(finding: Finding, issue: Issue | None) -> Finding:
    """``finding`` under id and fingerprint of the issue that it is, so that its marks are updated."""
    if issue is None:
        return finding
    known = issue.finding
    if takes_place(known, finding):
        # A model said more of it than the detector, which sees it again.
        seen = {"affected": finding.affected, "prevalence": finding.prevalence}
        return known.model_copy(update=seen)
    return finding.model_copy(update={"id": known.id, "fingerprint": known.fingerprint})


def with_mark(finding: Finding, issue: Issue | None) -> Finding:
    """``finding`` with the issue that it is."""
    mark = issue.mark(datetime.now(UTC)) if issue else None
    people = issue.people if issue else None
    return finding.model_copy(update={"issue": mark, "people": people})


def decided_report(run: Run) -> Report:
    """The report of ``run``, with what is decided now of the issues in it.

    A run that this home did not analyse, of a folder that was copied, may name issues of another one.
    """
    report, issues, now = report_of(run), Issues(run.home), datetime.now(UTC)
    project = issues.project_of_run(run.id)
    known = {each.id: each.mark(now).decision for each in issues.all(project)} if project else {}
    findings = tuple(
        finding.model_copy(update={"issue": finding.issue.decided(known[finding.issue.id])})
        if finding.issue and finding.issue.id in known
        else finding
        for finding in report.findings
    )
    return report.model_copy(update={"findings": findings})


def project_of(context: Context, run: Run) -> str:
    """The project whose issues ``run`` is about.

    What the settings name, else what it was tracked for before, else what it was read from.
    """
    named = context.run_settings.settings.issue_project
    record = run.record
    return (
        named
        or Issues(context.runs.home).project_of_run(run.id)
        or str(record.request.get("location") or record.source)
    )


def window_of(store: TraceStore) -> Window:
    """The starts of the earliest and of the latest span."""
    overview = store.overview()
    return (overview.first, overview.last) if overview.first and overview.last else None
