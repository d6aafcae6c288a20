"""Makes the tables of docs/reliability.md: faults, kills, attacks, secrets, intervals.

    make reliability [ARGS="--only kills --kills 10"]

Each section is measured by what the tests use too, in larger numbers. A table replaces the one
between the markers of its name in the document. Exits with 1 where a section shows what the document
promises not to happen.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fault_matrix import case_problems, fault_table, matrix
from interval_coverage import coverage_of, coverage_table, grid
from redaction_bench import broken_limits, rates_by_subject, redaction_table

from canaries import canary_texts, every_output, leaks
from hostile_traces import GROUPS, attempt, batches, successes
from kills import Survival, survive

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"


@dataclass(frozen=True)
class Section:
    """A table in Markdown, and what is not as promised."""

    table: str
    broken: list[str]


def faults(options: argparse.Namespace) -> Section:
    """Commands whose requests meet faults, and are given again."""
    results = matrix(options.lanes)
    return Section(fault_table(results), case_problems(results))


def kills(options: argparse.Namespace) -> Section:
    """Commands that are killed at random points, and given again."""
    done: dict[str, list[Survival]] = defaultdict(list)
    for seed in range(options.seed, options.seed + options.kills):
        with tempfile.TemporaryDirectory() as folder:
            survival = survive(seed, Path(folder))
        print(f"kill {seed}: {survival.command} at {survival.request}", *survival.problems)
        done[survival.command].append(survival)
    rows = [
        "| command | killed | gone on to the end, nothing lost, twice or left |",
        "|---|---|---|",
    ]
    for command, survivals in sorted(done.items()):
        well = sum(not survival.problems for survival in survivals)
        rows.append(f"| `{command}` | {len(survivals)} | {well} |")
    broken = [
        f"kill {survival.seed}: {problem}"
        for survivals in done.values()
        for survival in survivals
        for problem in survival.problems
    ]
    return Section("\n".join(rows), broken)


def coverage(options: argparse.Namespace) -> Section:
    """How often intervals hold the true rate."""
    results = [coverage_of(design, options.corpora, options.seed) for design in grid()]
    held, widths = [r.coverage for r in results], [r.width for r in results]
    broken = []
    if fmean(held) < 0.95 or min(held) < 0.9 or fmean(widths) > 1.3:
        broken.append(f"coverage {fmean(held):.3f}, lowest {min(held):.3f}, {fmean(widths):.3f}")
    return Section("\n".join(coverage_table(results)), broken)


def redaction(options: argparse.Namespace) -> Section:
    """Secrets that are missed, and what is masked without being one."""
    subjects = rates_by_subject(options.seed, options.traces or ())
    return Section(redaction_table(subjects), broken_limits(subjects))


def canaries(options: argparse.Namespace) -> Section:
    """Secrets of every kind through the whole product."""
    texts = canary_texts(options.seed)
    rows = ["| what runs | secrets | outputs searched | secrets found |", "|---|---|---|---|"]
    broken = []
    for name, outputs in every_output(texts):
        found = leaks(texts, outputs)
        rows.append(f"| {name} | {len(texts)} | {len(outputs)} | {len(found)} |")
        broken += [f"{name}: {leak.kind} in {leak.output}" for leak in found]
    return Section("\n".join(rows), broken)


def attacks(_: argparse.Namespace) -> Section:
    """Hostile traces, with a model that obeys them."""
    rows = ["| what a gullible reader would do | attacks tried | succeeded |", "|---|---|---|"]
    broken = []
    for group, members in GROUPS.items():
        achieved: dict[str, list[str]] = {}
        for batch in batches(members):
            with tempfile.TemporaryDirectory() as folder:
                achieved |= successes(*attempt(batch, Path(folder)), Path(folder))
        print(f"attacks: {group}: {len(members)}", *achieved.items())
        rows.append(f"| {group} | {len(members)} | {len(achieved)} |")
        broken += [f"{group}: {name}: {what}" for name, what in achieved.items()]
    return Section("\n".join(rows), broken)


SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "faults": faults,
    "kills": kills,
    "coverage": coverage,
    "redaction": redaction,
    "canaries": canaries,
    "attacks": attacks,
}


def with_table(document: str, name: str, table: str) -> str:
    """``document`` with ``table`` between the markers of the section ``name``."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, document, re.S):
        raise SystemExit(f"{DOCUMENT} has no markers for the section {name}.")
    return re.sub(pattern, lambda found: f"{found[1]}{table}\n{found[2]}", document, flags=re.S)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4, help="stages that meet faults at a time")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--corpora", type=int, default=2000, help="simulated corpora per cell")
    parser.add_argument("--traces", action="append", type=Path, help="traces without secrets")
    options = parser.parse_args()
    broken: list[str] = []
    for name in options.only or SECTIONS:
        section = SECTIONS[name](options)
        print(f"\n{section.table}\n")
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(with_table(document, name, section.table), encoding="utf-8")
        broken += section.broken
    print(*broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
