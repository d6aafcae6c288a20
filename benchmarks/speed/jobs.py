"""What is measured of each system, and the rounds in which that is done."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.speed.systems import HALO_ENGINE, Checkout, halo_engine, ripgrep
from benchmarks.speed.usage import CORES, Usage, usage_of

HERE = Path(__file__).parent
# Case-insensitive, and of words that some spans have: what a person looks for.
PATTERN = "timeouterror|rate_limit_exceeded|exceeds the limit|can't help"
INDEX = """
import asyncio, pathlib, sys
from engine.traces.models.trace_index_config import TraceIndexConfig
from engine.traces.trace_index_builder import TraceIndexBuilder
if __name__ == "__main__":
    config = TraceIndexConfig(index_dir=pathlib.Path("index"))
    asyncio.run(TraceIndexBuilder.ensure_index_exists(pathlib.Path(sys.argv[1]), config))
"""
STARTS = 3
# The parts of a measurement that can be asked for alone, with the jobs of each.
PARTS = {
    "start": {"start"},
    "run": {"run"},
    "pull": {"pull", "index"},
    "store": {"pull", "store", "scan"},
}

Figures = Mapping[str, float]
Key = tuple[str, str]


@dataclass(frozen=True)
class Job:
    """One measurement of a system. Its folder is empty before and stays until the next round."""

    system: str
    name: str
    measure: Callable[[Path], Figures]

    @property
    def kind(self) -> str:
        """The first word of the name."""
        return self.name.split()[0]


@dataclass(frozen=True)
class Inputs:
    """The trace files: one with a single span, those of each size, and further traces to append."""

    one_span: Path
    by_count: Mapping[int, Path]
    added: Path

    @property
    def largest(self) -> int:
        """The number of traces in the largest file."""
        return max(self.by_count)


def folder_of(work: Path, key: Key) -> Path:
    """The folder of a job."""
    return work / "_".join(key).replace(" ", "_")


def measured(jobs: Sequence[Job], rounds: int, work: Path) -> dict[Key, list[Figures]]:
    """The figures of every job in each round."""
    found: dict[Key, list[Figures]] = {(job.system, job.name): [] for job in jobs}
    for number in range(rounds):
        for job in jobs:
            key = (job.system, job.name)
            folder = folder_of(work, key)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            start = time.perf_counter()
            found[key].append(job.measure(folder))
            seconds = time.perf_counter() - start
            print(f"round {number + 1}: {': '.join(key)}: {seconds:.1f} s", file=sys.stderr)
    return found


def jobs_beside(checkouts: Sequence[Checkout], inputs: Inputs) -> Iterator[Job]:
    """The jobs of checkouts of this product; what is compared is done one after the other."""
    for checkout in checkouts:
        yield Job(checkout.name, "start", start_of(checkout, inputs.one_span))
    for verb in ("run", "pull"):
        for count, traces in inputs.by_count.items():
            for checkout in checkouts:
                yield from traces_jobs(checkout, verb, count, traces)
    for checkout in checkouts:
        yield Job(checkout.name, "pull added", command_on(checkout, "pull", inputs.added))
        yield Job(checkout.name, "store", store_of(checkout, inputs.largest))


def traces_jobs(checkout: Checkout, verb: str, count: int, traces: Path) -> Iterator[Job]:
    """``verb`` on a file in one process, and in several where the version can do that."""
    options = ["--no-llm"] if verb == "run" else []
    if not checkout.has_option(verb, "--workers"):
        yield Job(checkout.name, f"{verb} {count}", command_on(checkout, verb, traces, *options))
        return
    for workers, name in ((1, f"{verb} {count}"), (CORES, f"{verb} {count} parallel")):
        measure = command_on(checkout, verb, traces, *options, "--workers", str(workers))
        yield Job(checkout.name, name, measure)


def peer_jobs(names: Iterable[str], inputs: Inputs) -> Iterator[Job]:
    """The jobs of those peers that are named."""
    traces = inputs.by_count[inputs.largest]
    if "halo-engine" in names:
        python = halo_engine()
        for count, file in inputs.by_count.items():
            yield Job(HALO_ENGINE, f"index {count}", index_of(python, file))
    if "ripgrep" in names and (program := ripgrep()):
        yield Job("ripgrep", "scan", ripgrep_on(program, traces))
    if "duckdb" in names:
        yield Job("DuckDB", "scan", scan_of(traces, inputs.added))
    yield Job("bare Python", "start", bare_start)


def start_of(checkout: Checkout, one_span: Path) -> Callable[[Path], Figures]:
    """What each start takes before there is anything to do."""

    def measure(folder: Path) -> Figures:
        shown = fastest(checkout.command("--help"), folder)
        imported = fastest([checkout.python, "-c", "import halo_integrations"], folder)
        ran = fastest(checkout.command("run", one_span, "--no-llm"), folder)
        return {
            "help": shown.seconds,
            "import": imported.seconds,
            "one span": ran.seconds,
            "one span CPU": ran.cpu_seconds,
        }

    return measure


def bare_start(folder: Path) -> Figures:
    """The start of Python itself."""
    return {"import": fastest([sys.executable, "-c", "pass"], folder).seconds}


def fastest(command: Sequence[str | Path], folder: Path) -> Usage:
    """The run of several that other load on the machine slowed least."""
    usages = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            usages.append(usage_of(command, Path(name)))
    return Usage(*map(min, zip(*(asdict(usage).values() for usage in usages), strict=True)))


def command_on(
    checkout: Checkout, verb: str, traces: Path, *options: str
) -> Callable[[Path], Figures]:
    """``verb`` on a file: its usage and the size of its store in MB."""

    def measure(folder: Path) -> Figures:
        usage = usage_of(checkout.command(verb, traces, *options), folder)
        files = (path for path in run_folder(folder).glob("traces*/**/*") if path.is_file())
        single = run_folder(folder).glob("traces.duckdb*")
        size = sum(path.stat().st_size for path in (*files, *single)) / 1e6
        return {**asdict(usage), "store_mb": size}

    return measure


def store_of(checkout: Checkout, count: int) -> Callable[[Path], Figures]:
    """Operations on the store of what was pulled before."""

    def measure(folder: Path) -> Figures:
        pulled, added = (
            run_folder(folder_of(folder.parent, (checkout.name, name)))
            for name in (f"pull {count}", "pull added")
        )
        script = HERE / "store_script.py"
        return printed([checkout.python, script, pulled, added, PATTERN], folder)

    return measure


def index_of(python: Path, traces: Path) -> Callable[[Path], Figures]:
    """The index that `halo-engine` builds before it reads a file."""

    def measure(folder: Path) -> Figures:
        script = folder / "index.py"
        script.write_text(INDEX)
        return asdict(usage_of([python, script, traces], folder))

    return measure


def ripgrep_on(program: Path, traces: Path) -> Callable[[Path], Figures]:
    """The search for the pattern in all lines."""
    command = [program, "--ignore-case", "--count", "--regexp", PATTERN, traces]
    return lambda folder: {"matches": usage_of(command, folder).seconds}


def scan_of(traces: Path, added: Path) -> Callable[[Path], Figures]:
    """The questions put to the raw file."""
    command = [sys.executable, HERE / "scan_script.py", traces, added, PATTERN]
    return lambda folder: printed(command, folder)


def printed(command: Sequence[str | Path], folder: Path) -> Figures:
    """The figures that a script prints."""
    usage_of(command, folder)
    figures: Figures = json.loads((folder / "output.txt").read_bytes())
    return figures


def run_folder(folder: Path) -> Path:
    """The folder of the only run in the home under ``folder``."""
    (found,) = (folder / ".halo" / "runs").iterdir()
    return found
