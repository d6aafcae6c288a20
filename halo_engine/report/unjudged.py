"""What was not judged: by detectors that lacked data, and known issues that were not looked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from halo_engine.findings import Report, UncheckedIssue
from halo_engine.report.linked_ids import safe_name
from halo_engine.text.sanitize import safe_line

TEXT_CHARS = 1000
TITLE_CHARS = 240


@dataclass(frozen=True)
class NotJudgedView:
    """A detector that could not judge, the reason, and in how many traces ("3 of 40")."""

    detector: str
    reason: str
    traces: str


@dataclass(frozen=True)
class UncheckedView:
    """Known issues that were not looked for, each with id and title, why, and what to do."""

    reason: str
    remedy: str
    issues: tuple[tuple[str, str], ...]


def not_judged_views(report: Report) -> Iterator[NotJudgedView]:
    """Which detectors lacked which data, grouped by detector."""
    traces: Counter[tuple[str, str]] = Counter()
    for entry in sorted(report.not_judged, key=lambda n: n.detector):
        traces[safe_name(entry.detector), safe_line(entry.reason, TEXT_CHARS)] += entry.traces
    for (detector, reason), number in traces.items():
        yield NotJudgedView(detector, reason, f"{number:,} of {report.traces:,}")


def unchecked_views(unchecked: Iterable[UncheckedIssue]) -> Iterator[UncheckedView]:
    """The known issues that were not looked for, those together that have one reason."""
    issues: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for each in unchecked:
        why = safe_line(each.reason, TEXT_CHARS), safe_line(each.remedy, TEXT_CHARS)
        issues[why].append((safe_name(each.id), safe_line(each.title, TITLE_CHARS)))
    for (reason, remedy), named in issues.items():
        yield UncheckedView(reason, remedy, tuple(named))
