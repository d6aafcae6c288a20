"""How fast this checkout is: ratios to other versions of it and to peers, measured side by side.

    make bench [ARGS="--traces 1000 10000 100000 --runs 3 --beside COMMIT ripgrep --only run store"]

Each round runs everything on the same generated files (`agents.py`), on two cores, one after the
other. A figure is the median of the rounds, a ratio the median of the ratios of the rounds. Only a
ratio says something about the code: figures are those of the machine and of what else it does.
Linux.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.agents import write_traces
from benchmarks.speed.jobs import (
    PARTS,
    Figures,
    Inputs,
    Key,
    folder_of,
    jobs_beside,
    measured,
    peer_jobs,
    run_folder,
)
from benchmarks.speed.systems import HALO_ENGINE, Checkout, checkout_of, ripgrep, this_checkout
from benchmarks.speed.usage import set_up_measuring

FIRST_VERSION = "d56c049"
PEERS = ("halo-engine", "ripgrep", "duckdb")
ADDED_TRACES = 1000
THIS = "this"


@dataclass(frozen=True)
class Row:
    """A figure of this checkout beside one of something else, by round."""

    what: str
    unit: str
    own: Sequence[float]
    beside: str
    other: Sequence[float]
    target: str = ""

    @property
    def cells(self) -> list[str]:
        """The row as texts."""
        ratios = [a / b if b else float("nan") for a, b in zip(self.own, self.other, strict=True)]
        own, other = statistics.median(self.own), statistics.median(self.other)
        return [
            self.what,
            f"{number(own)} {self.unit}",
            self.beside,
            f"{number(other)} {self.unit}",
            f"{statistics.median(ratios):.3f}",
            self.target,
        ]


class Measurements:
    """What was measured, as rows of a table."""

    def __init__(self, found: Mapping[Key, Sequence[Figures]], inputs: Inputs, work: Path) -> None:
        self._found, self._inputs, self._work = found, inputs, work
        self._systems = list(dict.fromkeys(system for system, _ in found))

    def rows(self) -> Iterator[Row]:
        """All rows; what was not measured has none."""
        for count in self._inputs.by_count:
            yield from self._runs(count)
        for count in self._inputs.by_count:
            yield from self._loads(count)
        yield from self._scale()
        yield from self._store()
        yield from self._starts()

    def _runs(self, count: int) -> Iterator[Row]:
        """The whole run without a model."""
        run, parallel = f"run {count}", f"run {count} parallel"
        what = f"run, {count:,} traces"
        for other in self._others(run):
            yield self._row(f"{what}: processor", "cpu_seconds", run, other, run, "1/5")
            yield self._row(f"{what}: time", "seconds", run, other, run)
            yield self._row(f"{what}: peak", "peak_mb", run, other, run, "350 MB")
            if self._has(THIS, parallel):
                two = f"{what}, 2 workers"
                yield self._row(f"{two}: time", "seconds", parallel, other, run, "1/7")
                yield self._row(f"{two}: peak", "peak_mb", parallel, other, run, "590 MB")
            yield self._same_findings(what, run, other)

    def _same_findings(self, what: str, run: str, other: str) -> Row:
        """Findings of this checkout that the other has too, of the same traces."""
        mine, theirs = (findings_in(folder_of(self._work, (s, run))) for s in (THIS, other))
        name = f"{what}: findings that both have, of all"
        # The first version had fewer detectors and other titles: nobody expects the same of it.
        target = "" if other == FIRST_VERSION else "1"
        return Row(name, "", [len(mine & theirs)], other, [len(mine | theirs)], target)

    def _loads(self, count: int) -> Iterator[Row]:
        """Loading and storing alone."""
        pull, parallel, index = f"pull {count}", f"pull {count} parallel", f"index {count}"
        what = f"pull, {count:,} traces"
        beside = [(other, pull) for other in self._others(pull)]
        beside += [(other, index) for other in self._others(index)]
        for other, job in beside:
            target = "1" if other == HALO_ENGINE else ""
            yield self._row(f"{what}: processor", "cpu_seconds", pull, other, job)
            yield self._row(f"{what}: time", "seconds", pull, other, job)
            yield self._row(f"{what}: peak", "peak_mb", pull, other, job)
            if self._has(THIS, parallel):
                two = f"{what}, 2 workers"
                yield self._row(f"{two}: time", "seconds", parallel, other, job, target)
                yield self._row(f"{two}: peak", "peak_mb", parallel, other, job)

    def _scale(self) -> Iterator[Row]:
        """Larger files beside the smallest."""
        smallest, *larger = sorted(self._inputs.by_count)
        if not {(THIS, "start"), (THIS, f"run {smallest}")} <= self._found.keys():
            return
        beside = f"{smallest:,} traces"
        for count in larger:
            what = f"run, {count:,} traces"
            yield Row(
                f"{what}: processor per trace, without the start",
                "ms",
                self._per_trace(count),
                beside,
                self._per_trace(smallest),
                ".85 to 1.15",
            )
            stores = [
                [1000 * size / n for size in self._figures(THIS, f"run {n}", "store_mb")]
                for n in (count, smallest)
            ]
            yield Row(f"{what}: store per trace", "kB", stores[0], beside, stores[1], ".85 to 1.15")
            peaks = [self._figures(THIS, f"run {n}", "peak_mb") for n in (count, smallest)]
            yield Row(f"{what}: peak", "MB", peaks[0], beside, peaks[1])

    def _per_trace(self, count: int) -> list[float]:
        """Milliseconds of a processor for a trace."""
        starts = self._figures(THIS, "start", "one span CPU")
        whole = self._figures(THIS, f"run {count}", "cpu_seconds")
        return [1000 * (a - b) / count for a, b in zip(whole, starts, strict=True)]

    def _store(self) -> Iterator[Row]:
        """Questions to the store of the largest file."""
        titles = {
            "open": ("open and count", "0.3 s at 100,000"),
            "overview": ("overview", "0.1 s"),
            "matches": ("regex, the first 50 of all texts", "2 s at 100,000"),
            "traces matched": ("regex, which traces match", "2 s at 100,000"),
            "one trace": ("one trace", "0.005 s"),
            "append": ("append of more traces", ""),
        }
        for figure, (title, target) in titles.items():
            what = f"store, {self._inputs.largest:,} traces: {title}"
            for other, job in (*self._asked("store", figure), *self._asked("scan", figure)):
                own, others = (
                    self._figures(*key, figure) for key in ((THIS, "store"), (other, job))
                )
                yield Row(what, "s", own, other, others, target)

    def _starts(self) -> Iterator[Row]:
        """What a start takes."""
        for figure, title in (
            ("help", "--help: time"),
            ("import", "import halo_integrations: time"),
            ("one span", "run, one span: time"),
            ("one span CPU", "run, one span: processor"),
        ):
            for other, job in self._asked("start", figure):
                own, others = (self._figures(*key, figure) for key in ((THIS, job), (other, job)))
                yield Row(title, "s", own, other, others)

    def _row(
        self, what: str, figure: str, own: str, other: str, other_job: str, target: str = ""
    ) -> Row:
        unit = "MB" if figure.endswith("mb") else "s"
        others = self._figures(other, other_job, figure)
        return Row(what, unit, self._figures(THIS, own, figure), other, others, target)

    def _figures(self, system: str, job: str, figure: str) -> list[float]:
        return [figures[figure] for figures in self._found[system, job]]

    def _others(self, job: str) -> list[str]:
        """The systems beside which ``job`` was done."""
        return [s for s in self._systems if s != THIS and self._has(s, job)]

    def _asked(self, job: str, figure: str) -> list[Key]:
        """The jobs beside this checkout's that have ``figure``."""
        return [(s, job) for s in self._others(job) if figure in self._found[s, job][0]]

    def _has(self, system: str, job: str) -> bool:
        return (system, job) in self._found


def findings_in(folder: Path) -> set[tuple[str, int]]:
    """The findings of the run under ``folder``: what is alike in them, and in how many traces."""
    report = json.loads((run_folder(folder) / "report.json").read_bytes())
    return {(f["fingerprint"], len(f["affected"])) for f in report["findings"]}


def number(value: float) -> str:
    """``value`` in as many digits as are worth reading."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    head = ["what", THIS, "beside", "that", "ratio", "asked for"]
    cells = [row.cells for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [head, ["-" * width for width in widths], *cells]
    return "\n".join(
        f"| {' | '.join(t.ljust(w) for t, w in zip(line, widths, strict=True))} |" for line in lines
    )


def inputs_in(work: Path, counts: Iterable[int]) -> Inputs:
    """Generate the trace files."""
    by_count = {count: work / f"traces-{count}.jsonl" for count in sorted(set(counts))}
    for count, path in by_count.items():
        write_traces(path, count)
    one_span, added = work / "one-span.jsonl", work / "added.jsonl"
    with next(iter(by_count.values())).open("rb") as lines:
        one_span.write_bytes(lines.readline())
    write_traces(added, min(ADDED_TRACES, max(by_count)), seed=2)
    return Inputs(one_span, by_count, added)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[FIRST_VERSION, *PEERS],
        help=f"commits of this repository, and of {', '.join(PEERS)}",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--python",
        type=Path,
        help="of an environment that has this checkout [one in build/bench, made at first use]",
    )
    options = parser.parse_args()
    set_up_measuring()
    this = Checkout(THIS, options.python) if options.python else this_checkout()
    others = [checkout_of(name) for name in options.beside if name not in PEERS]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        inputs = inputs_in(work, options.traces)
        jobs = [*jobs_beside([this, *others], inputs), *peer_jobs(options.beside, inputs)]
        kinds = set().union(*(PARTS[part] for part in options.only))
        found = measured([j for j in jobs if j.kind in kinds], options.runs, work)
        print(table(Measurements(found, inputs, work).rows()))
    for verb in ("run", "pull"):
        if not this.has_option(verb, "--workers"):
            print(f"Left out: {verb} with 2 workers, since {verb} has no option --workers.")
    if "ripgrep" in options.beside and not ripgrep():
        print("Left out: ripgrep, of which there is no wheel for this machine.")


if __name__ == "__main__":
    main()
