"""What a system found: the rows of a file, or the report of a run folder of ours, of any version."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.labelled import LabelledSet, rows
from benchmarks.quality.strict import Finding

Row = dict[str, Any]
REPORT = "report.json"


@dataclass(frozen=True)
class Cost:
    """What one purpose took; without a price, ``usd`` is None."""

    purpose: str
    calls: int
    tokens: int
    usd: float | None


@dataclass(frozen=True)
class System:
    """A system under test with what it found and took."""

    name: str
    findings: tuple[Finding, ...]
    costs: tuple[Cost, ...] = ()

    @property
    def tokens(self) -> int | None:
        """All tokens; None if they were not recorded."""
        return sum(cost.tokens for cost in self.costs) if self.costs else None

    @property
    def usd(self) -> float | None:
        """All it cost; None if that was not recorded."""
        prices = [cost.usd for cost in self.costs if cost.usd is not None]
        return sum(prices) if prices else None


def read_systems(name: str, path: Path, labelled: LabelledSet) -> list[System]:
    """A file of findings is one system; a run folder two: the model's findings, and all of them.

    What a system took that has a file of findings is in a file of the same name that ends in
    ``.costs.json``, if there is one: a list of costs as a report has them.
    """
    if path.is_file():
        beside = path.with_suffix(".costs.json")
        known = json.loads(beside.read_bytes()) if beside.exists() else ()
        return [System(name, findings_of(rows(path), labelled), tuple(map(cost_of, known)))]
    report = json.loads((path / REPORT).read_bytes())
    costs = tuple(map(cost_of, (report.get("analysis") or {}).get("costs", ())))
    by_model = [finding for finding in report["findings"] if finding.get("model")]
    found = [System(name, findings_of(map(row_of, by_model), labelled), costs)]
    if len(by_model) < len(report["findings"]):
        everything = findings_of(map(row_of, report["findings"]), labelled)
        found.append(System(f"{name}, with detectors", everything, costs))
    return found


def findings_of(found: Iterable[Row], labelled: LabelledSet) -> tuple[Finding, ...]:
    """Rows as findings; ids that are no traces of the set are left out."""
    return tuple(
        Finding(
            str(row["finding_id"]),
            str(row.get("title", "")),
            labelled.known(row["trace_ids"]),
            interval_in(row),
        )
        for row in found
    )


def interval_in(row: Row) -> tuple[float, float] | None:
    """The interval of the prevalence of a finding."""
    interval = row.get("prevalence_interval")
    return (float(interval[0]), float(interval[1])) if interval else None


def row_of(finding: Row) -> Row:
    """A finding of a report as a row; a lower bound of its prevalence is no interval."""
    prevalence = finding["prevalence"]
    interval = [prevalence["low"], prevalence["high"]] if prevalence.get("analysed") else None
    return {
        "finding_id": finding["id"],
        "title": finding["title"],
        "trace_ids": sorted({affected["trace_id"] for affected in finding["affected"]}),
        "prevalence_interval": interval,
    }


def cost_of(cost: Row) -> Cost:
    """What a purpose of a report took."""
    tokens = cost["prompt_tokens"] + cost["completion_tokens"]
    return Cost(cost["purpose"], cost["calls"], tokens, cost["usd"])
