"""The matrix of frameworks and faults: what is found in the recorded traces of each.

``python tests/frameworks/matrix.py`` writes it into ``docs/frameworks.md``; ``test_matrix.py`` holds
it there. With a folder of other recordings as argument it prints theirs. The rule, stated once:

- a cell is *found* where each of its traces has a finding of the right failure mode, of severity
  medium or above (a refusal may be low), whose words name the fault; under *another name* where each
  has some finding of severity medium or above; else *missed*;
- what ``not_in_spans.toml`` gives a reason for cannot be found by anybody, and is not counted;
- a finding is *false* in a run without a fault: any in one that went well, but of gaps in the
  recording; one of severity medium or above where the agent met a failure and dealt with it.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import halo_integrations as halo
from cut import scenario_of

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
PAGE = HERE.parents[1] / "docs" / "frameworks.md"
MARKERS = ("<!-- matrix -->", "<!-- end of the matrix -->")
REASONS: dict[str, dict[str, str]] = tomllib.loads((HERE / "not_in_spans.toml").read_text())
SEVERE = (halo.Severity.CRITICAL, halo.Severity.HIGH, halo.Severity.MEDIUM)
GOOD = "ok"
CLEAN = (GOOD, "honest", "honest_plain", "handled", "recovers")


@dataclass(frozen=True, slots=True)
class Right:
    """What a finding says that is right for a fault: one of these failure modes, in such words."""

    modes: frozenset[str]
    words: re.Pattern[str]


def right(modes: str, words: str = "") -> Right:
    """The right finding, its failure modes separated by spaces."""
    return Right(frozenset(modes.split()), re.compile(words, re.IGNORECASE))


MISHANDLED = "tool_error_mishandled premature_stop"
FAULTS = {
    "tool_raises": right(MISHANDLED, "refund_order|payment service|tool"),
    "not_found": right(MISHANDLED, "get_order|not found|tool"),
    "retry_unchanged": right(f"{MISHANDLED} step_repetition", "get_order|again|not found"),
    "repeat": right("step_repetition"),
    "unknown_tool": right("hallucinated_tool"),
    "bad_json": right("invalid_tool_arguments"),
    "bad_type": right("invalid_tool_arguments"),
    "length": right("output_malformed", "cut|limit|truncat|length"),
    "empty": right("output_malformed", "nothing|empty|blank|no answer"),
    "refusal": right("unwarranted_refusal"),
    "content_filter": right("unwarranted_refusal output_malformed", "filter|block|refus|withheld"),
    "max_steps": right("premature_stop run_overrun", "limit|step|turn|iteration"),
    "rate_limit": right("environment_fault", "rate|429|limit|overload"),
    "server_error": right("environment_fault"),
    "context_length": right(
        "context_loss environment_fault premature_stop", "context|too long|overflow"
    ),
}


class Cell(Enum):
    """What is made of a fault, as the table shows it."""

    FOUND = "found"
    OTHER_NAME = "other name"
    MISSED = "**missed**"
    NOT_IN_SPANS = "–"
    NOT_RECORDED = ""


BEST_FIRST = (Cell.FOUND, Cell.OTHER_NAME, Cell.MISSED)


@dataclass(frozen=True, slots=True)
class Row:
    """A recording: a cell for each fault, and the traces without a fault that were accused."""

    name: str
    cells: Mapping[str, Cell]
    accused: tuple[str, ...]
    clean: int
    faulty: int
    told: int


def recordings(folder: Path = RECORDINGS) -> list[str]:
    """The names of the recordings that play scenarios of the matrix."""
    names = (path.name.removesuffix(".truth.json") for path in folder.glob("*.truth.json"))
    known = {*CLEAN, *FAULTS}
    return sorted(name for name in names if known & set(truth_of(name, folder).values()))


def truth_of(name: str, folder: Path = RECORDINGS) -> dict[str, str]:
    """Trace id -> the scenario that it plays."""
    truth = json.loads((folder / f"{name}.truth.json").read_text())
    return {trace_id: scenario_of(played) for trace_id, played in truth.items()}


def row_of(name: str, folder: Path = RECORDINGS) -> Row:
    """Run the product on a recording and judge its findings."""
    with tempfile.TemporaryDirectory() as home:
        result = halo.run(folder / f"{name}.otlp.jsonl.gz", home=home)
    return judged(name, truth_of(name, folder), result.report.findings)


def judged(name: str, truth: Mapping[str, str], findings: Iterable[halo.Finding]) -> Row:
    """The row that the findings on a recording give."""
    hit: set[str] = set()
    told: set[str] = set()
    accused: set[str] = set()
    count = 0
    for finding, trace_id, reason in each_affected(findings):
        scenario = truth.get(trace_id, "")
        severe = finding.severity in SEVERE
        if is_right(finding, reason, scenario):
            hit.add(trace_id)
        if severe and scenario in FAULTS:
            told.add(trace_id)
            count += 1
        if scenario in CLEAN and (severe or is_about_run(finding, scenario)):
            accused.add(f"{scenario}: {finding.title}")
    traces = defaultdict(set)
    for trace_id, scenario in truth.items():
        traces[scenario].add(trace_id)
    return Row(
        name=name,
        cells={fault: cell_of(name, fault, traces[fault], hit, told) for fault in FAULTS},
        accused=tuple(sorted(accused)),
        clean=sum(len(traces[scenario]) for scenario in CLEAN),
        faulty=sum(len(traces[fault]) for fault in FAULTS),
        told=count,
    )


def each_affected(findings: Iterable[halo.Finding]) -> Iterator[tuple[halo.Finding, str, str]]:
    """Each finding with each trace it affects, and the reason there."""
    for finding in findings:
        for affected in finding.affected:
            yield finding, affected.trace_id, affected.reason or ""


def is_right(finding: halo.Finding, reason: str, scenario: str) -> bool:
    """Whether the finding names the fault of the scenario."""
    wanted = FAULTS.get(scenario)
    if wanted is None or finding.failure_mode not in wanted.modes:
        return False
    if finding.severity not in SEVERE and scenario != "refusal":
        return False
    words = (finding.title, finding.message, finding.tool, reason)
    return wanted.words.search(" ".join(filter(None, words))) is not None


def is_about_run(finding: halo.Finding, scenario: str) -> bool:
    """Whether the finding says of a run that went well that it did not."""
    return scenario == GOOD and finding.failure_mode != "instrumentation"


def cell_of(name: str, fault: str, traces: set[str], hit: set[str], told: set[str]) -> Cell:
    """The cell of the traces that play one fault."""
    if not traces:
        return Cell.NOT_RECORDED
    if traces <= hit:
        return Cell.FOUND
    if fault in REASONS.get(name, {}):
        return Cell.NOT_IN_SPANS
    return Cell.OTHER_NAME if traces <= told else Cell.MISSED


def table(rows: Iterable[Row]) -> str:
    """The rows as a table, the sums below it, and why some cells can be found by nobody."""
    rows = list(rows)
    head = ["recording", *(fault.replace("_", " ") for fault in FAULTS), "accused"]
    lines = [line(head), line(["---"] * len(head))]
    for row in rows:
        cells = [row.cells[fault].value for fault in FAULTS]
        lines.append(line([row.name, *cells, f"{len(row.accused)} of {row.clean}"]))
    return "\n".join([*lines, "", summary(rows), "", *reasons(rows)]) + "\n"


def line(cells: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def summary(rows: Iterable[Row]) -> str:
    """How many cells were found, how many clean runs accused, how often a fault is told."""
    rows = list(rows)
    cells = Counter(cell for row in rows for cell in row.cells.values())
    counted = sum(cells[cell] for cell in BEST_FIRST)
    faulty = sum(row.faulty for row in rows)
    return (
        f"{cells[Cell.FOUND]} of {counted} cells found, {cells[Cell.OTHER_NAME]} under another name, "
        f"{cells[Cell.MISSED]} missed, {cells[Cell.NOT_IN_SPANS]} not in the spans. "
        f"{sum(len(row.accused) for row in rows)} false findings on "
        f"{sum(row.clean for row in rows)} runs without a fault. "
        f"{sum(row.told for row in rows) / max(1, faulty):.2f} findings of severity medium or above "
        f"for a faulty run."
    )


def reasons(rows: Iterable[Row]) -> Iterator[str]:
    """Why cells are not in the spans, a line each."""
    for row in rows:
        for fault, cell in row.cells.items():
            if cell is Cell.NOT_IN_SPANS:
                yield f"- {row.name}, {fault.replace('_', ' ')}: {REASONS[row.name][fault]}"


def written(page: str) -> dict[str, dict[str, Cell]]:
    """Recording -> fault -> cell, as a page with the table has it."""
    lines = (text.strip("|") for text in between(page).splitlines() if text.startswith("|"))
    rows = [[cell.strip() for cell in text.split("|")] for text in lines]
    return {name: dict(zip(FAULTS, map(Cell, cells), strict=False)) for name, *cells in rows[2:]}


def between(page: str, markers: tuple[str, str] = MARKERS) -> str:
    """What stands between the markers of a page."""
    return page.split(markers[0])[1].split(markers[1])[0]


def with_table(page: str, written: str, markers: tuple[str, str] = MARKERS) -> str:
    """A page with another table between the markers."""
    before, after = page.split(markers[0])[0], page.split(markers[1])[1]
    return f"{before}{markers[0]}\n{written}{markers[1]}{after}"


def publish(written: str, folder: Path, markers: tuple[str, str] = MARKERS) -> None:
    """Write the table of our recordings into the page; print one of others."""
    if folder != RECORDINGS:
        print(written)
        return
    page = with_table(PAGE.read_text(encoding="utf-8"), written, markers)
    PAGE.write_text(page, encoding="utf-8")


def folder_in(arguments: list[str], ours: Path) -> Path:
    """The folder that the first of the arguments names; ours where there is none."""
    return Path(arguments[0]).resolve() if arguments else ours


def main(folder: Path) -> None:
    """Make the table of the recordings in ``folder``."""
    rows = []
    for name in recordings(folder):
        rows.append(row_of(name, folder))
        missed = [fault for fault, cell in rows[-1].cells.items() if cell in BEST_FIRST[1:]]
        print(name, "missed:", *missed, "accused:", *rows[-1].accused, flush=True)
    publish(table(rows), folder)
    print(summary(rows))


if __name__ == "__main__":
    main(folder_in(sys.argv[1:], RECORDINGS))
