"""Which known issue a finding is.

One of a detector is the same if it has the same fingerprint, or the same detector, failure mode and
tool and a message that differs in values only: templates are mined from the messages of one run. One
of a model is the same if the check of the issue holds in most of the traces that the finding affects,
and in few others, or if it was found last in such traces: a model words it differently each time.
An issue keeps some of the traces that it was last found in, by which the others are estimated.
Where one of a model took the place of a detector's, both are one issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from halo_engine.findings import Finding
from halo_engine.findings.overlap import affected_trace_ids, jaccard_index
from halo_engine.issues.issue import Issue
from halo_engine.text.template_mining import is_one_message

# How much findings are alike that are the same for another reason than their traces: more than any
# are alike by these.
ADOPTED, SAME_SIGNAL = 3.0, 2.0
# The least Jaccard index of the traces of a finding and those of an issue's check: with one failure
# mode, and with two.
SAME_MODE, OTHER_MODE = 0.6, 0.8


def matched_issues(
    findings: Sequence[Finding],
    issues: Iterable[Issue],
    held: Mapping[str, Set[str]],
) -> dict[str, Issue]:
    """The issue that each of ``findings`` is, by the id of the finding; new ones have none.

    ``held`` are the traces in which the check of an issue holds, by its id, where it could be told.
    Each issue is one finding at most: the most alike.
    """
    every = list(issues)
    found = with_one_fingerprint(findings, every)
    taken = {issue.id for issue in found.values()}
    pairs = [
        (likeness, finding.id, issue)
        for issue in every
        if issue.id not in taken
        for finding in findings
        if finding.id not in found
        if (likeness := likeness_of(finding, issue.finding, held.get(issue.id, frozenset())))
    ]
    for _, finding_id, issue in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2].id)):
        if finding_id not in found and issue.id not in taken:
            found[finding_id] = issue
            taken.add(issue.id)
    return found


def with_one_fingerprint(findings: Iterable[Finding], issues: Sequence[Issue]) -> dict[str, Issue]:
    """The issue with the fingerprint of each finding: of most findings, without a comparison."""
    known = {issue.finding.fingerprint: issue for issue in reversed(issues)}
    by_fingerprint = {finding.fingerprint: finding.id for finding in findings}
    return {id: known[shown] for shown, id in by_fingerprint.items() if shown in known}


def likeness_of(finding: Finding, known: Finding, held: Set[str]) -> float:
    """How much a finding is like a known one, of whose check the traces are ``held``; 0: another."""
    if takes_place(finding, known) or takes_place(known, finding):
        return ADOPTED
    if finding.detector or known.detector:
        return SAME_SIGNAL if is_same_signal(finding, known) else 0.0
    affected = affected_trace_ids(finding)
    alike = max(jaccard_index(affected, held), likeness_to_last(affected, known))
    least = SAME_MODE if finding.failure_mode == known.failure_mode else OTHER_MODE
    return alike if alike >= least else 0.0


def likeness_to_last(affected: Set[str], known: Finding) -> float:
    """The Jaccard index of ``affected`` and the traces of ``known``, estimated by those it keeps."""
    kept = affected_trace_ids(known)
    every = max(known.prevalence.known, len(kept))
    both = min(len(affected), len(affected & kept) / max(1, len(kept)) * every)
    return both / max(1.0, len(affected) + every - both)


def takes_place(finding: Finding, of: Finding) -> bool:
    """Whether a model's finding took the place of a detector's."""
    return of.id in finding.adopted


def is_same_signal(a: Finding, b: Finding) -> bool:
    """Whether two findings of detectors differ only in the values in their messages."""
    kinds = [(each.detector, each.failure_mode, each.tool) for each in (a, b)]
    return kinds[0] == kinds[1] and is_one_message(a.template or "", b.template or "")
