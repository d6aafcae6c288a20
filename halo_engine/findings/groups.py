"""Findings that differ only by their tool as one group, and the order in which they are shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import zip_longest

from halo_engine.findings.evidence import Affected
from halo_engine.findings.finding import Finding, Severity
from halo_engine.findings.issue_mark import IssueMark
from halo_engine.findings.people import PeopleVerdicts
from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import Prevalence, lower_bound_prevalence, prevalence_of

NAMED_TOOLS = 3  # in the title of a group


class FindingGroup(FrozenModel):
    """Findings that differ only by their tool, as one; most groups have one part.

    ``prevalence`` counts the traces that any of the ``parts`` affects; ``severity`` is the worst.
    """

    title: str
    severity: Severity
    prevalence: Prevalence
    parts: tuple[Finding, ...]

    @property
    def is_recording_gap(self) -> bool:
        """Whether it is about what was recorded, which never counts against the agent."""
        return self.parts[0].is_recording_gap

    @property
    def issues(self) -> tuple[IssueMark, ...]:
        """The known issues that the parts are."""
        return tuple(part.issue for part in self.parts if part.issue)

    @property
    def people(self) -> PeopleVerdicts | None:
        """What people say of the marks of all parts; None where they say nothing."""
        said = [part.people for part in self.parts if part.people]
        if not said:
            return None
        return PeopleVerdicts(
            confirmed=sum(each.confirmed for each in said), judged=sum(each.judged for each in said)
        )

    @property
    def affected(self) -> tuple[Affected, ...]:
        """What the parts affect, the first of each part before the second of any."""
        turns = zip_longest(*(part.affected for part in self.parts))
        return tuple(each for turn in turns for each in turn if each is not None)

    @property
    def first_of_each_trace(self) -> tuple[Affected, ...]:
        """What the parts affect, once for each trace."""
        first: dict[str, Affected] = {}
        for affected in self.affected:
            first.setdefault(affected.trace_id, affected)
        return tuple(first.values())


def group_parts(findings: Iterable[Finding]) -> list[list[Finding]]:
    """``findings``, those together that differ only by their tool."""
    groups: dict[Hashable, list[Finding]] = {}
    for position, finding in enumerate(findings):
        kind = (finding.detector, finding.failure_mode, finding.group_title)
        groups.setdefault(kind if finding.group_title else position, []).append(finding)
    return list(groups.values())


def group_of(parts: Sequence[Finding]) -> FindingGroup:
    """The group of ``parts``, which one detector found in traces that it could all judge."""
    first = parts[0]
    if len(parts) == 1:
        title, prevalence = first.title, first.prevalence
    else:
        tools = [part.tool or "" for part in parts]
        more = f" and {len(tools) - NAMED_TOOLS:,} more" if len(tools) > NAMED_TOOLS else ""
        title = first.group_title or first.title
        title = f"{title[:1].upper()}{title[1:]} ({', '.join(tools[:NAMED_TOOLS])}{more})"
        affected = [affected for part in parts for affected in part.affected]
        prevalence = share_of(affected, first.prevalence.analysed, first.prevalence.total)
    severity = min((part.severity for part in parts), key=lambda severity: severity.rank)
    return FindingGroup(title=title, severity=severity, prevalence=prevalence, parts=tuple(parts))


def share_of(affected: Iterable[Affected], analysed: int, total: int) -> Prevalence:
    """The prevalence of what is ``affected`` where ``analysed`` of ``total`` traces were judged."""
    is_counted = {a.trace_id: a.is_counted for a in affected}
    if not analysed:
        return lower_bound_prevalence(len(is_counted), total)
    counted = sum(is_counted.values())
    return prevalence_of(counted, analysed, total, elsewhere=len(is_counted) - counted)


def importance(found: Finding | FindingGroup) -> tuple[int, int, str]:
    """Sort key: the most severe first, then the most common, then by id."""
    first = found.parts[0] if isinstance(found, FindingGroup) else found
    return (found.severity.rank, -found.prevalence.known, first.id)
