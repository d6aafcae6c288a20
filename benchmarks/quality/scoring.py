"""Scores the report of a run with `score.py`, and trivial baselines for comparison.

python benchmarks/quality/scoring.py EVAL/score.py EVAL/tau_retail RUN_FOLDER [--annotator NAME]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from halo_engine.findings import Finding, Report

Row = dict[str, Any]


def finding_row(finding: Finding) -> Row:
    """A finding as a prediction of which traces share a failure mode."""
    return {
        "finding_id": finding.id,
        "title": finding.title,
        "trace_ids": sorted({a.trace_id for a in finding.affected}),
        "evidence": [{"trace_id": e.trace_id, "span_id": e.span_id} for e in finding.evidence],
        "prevalence": finding.prevalence.share,
    }


def cause_rows(report: Report) -> list[Row]:
    """Root causes as predictions of where failed traces broke."""
    return [
        {
            "trace_id": cause.trace_id,
            "span_id": cause.span_id,
            "category": cause.failure_mode,
            "root_cause": True,
        }
        for cause in report.root_causes
    ]


def scored(score: Path, *arguments: object, rows: Iterable[Row] = ()) -> str:
    """The output of the scorer; the argument ``ROWS`` becomes the path of a file with ``rows``."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        command = [sys.executable, str(score), *map(str, arguments)]
        command = [file.name if part == "ROWS" else part for part in command]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def affected_found(data: Path, rows: Iterable[Row], pairs: Iterable[tuple[str, str, float]]) -> str:
    """How many of the traces with a labelled mode the finding that matches the mode names."""
    lines = (data / "modes.jsonl").read_text(encoding="utf-8").splitlines()
    modes = {mode["mode_id"]: set(mode["trace_ids"]) for mode in map(json.loads, lines)}
    named = {row["finding_id"]: set(row["trace_ids"]) for row in rows}
    found = sum(len(named[finding] & modes[mode]) for finding, mode, _ in pairs)
    return f"affected traces found: {found:,} of {sum(map(len, modes.values())):,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("score", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--annotator")
    given = parser.parse_args()
    report = Report.model_validate_json((given.run / "report.json").read_bytes())
    print_corpus(given.score, given.data, report)
    if given.annotator and report.root_causes:
        print_causes(given.score, given.data, report, given.annotator)


def print_corpus(score: Path, data: Path, report: Report) -> None:
    """Findings against modes: by the model alone, and all of them."""
    by_model = [finding_row(f) for f in report.findings if f.model]
    for name, rows in (
        ("by the model", by_model),
        ("all", list(map(finding_row, report.findings))),
    ):
        print(f"# findings {name}: {len(rows)}")
        scores = scored(score, "corpus", data, "ROWS", rows=rows)
        print(scores)
        print(affected_found(data, rows, json.loads(scores)["pairs"]))
    for row in by_model:
        print(f"- {row['finding_id']}: {len(row['trace_ids'])} traces, {row['title']}")
    if report.analysis:
        print("# costs")
        for cost in report.analysis.costs:
            tokens = cost.prompt_tokens + cost.completion_tokens
            print(
                f"{cost.purpose:14} {cost.calls:4} calls {tokens:9,} tokens {cost.usd or 0:.3f} USD"
            )


def print_causes(score: Path, data: Path, report: Report, annotator: str) -> None:
    """Root causes against labels, and the scores of trivial baselines."""
    print(f"# root causes: {len(report.root_causes)}")
    rows = cause_rows(report)
    print(scored(score, "localize", data, "ROWS", "--annotator", annotator, rows=rows))
    print("# baselines")
    print(scored(score, "baselines", data, "--annotator", annotator))


if __name__ == "__main__":
    main()
