"""Mutation testing: would the tests notice if money, writes, proof or privacy were wrong?

    make mutants ARGS="--count 400 --seed 1 --workers 2"

Each mutant is put into a copy of this checkout, and the tests of its target run there until one
fails. Prints how many were killed per target, the survivors with their change, and whether every
named mutant was killed; exits with 1 where the share is below ``--at-least`` or a named one lives.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutation.declared import Mutant, Target, named_mutants
from benchmarks.mutation.mutants import sampled_mutants

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".git", ".halo", "artifacts", "__pycache__", ".*_cache"
)
PYTEST = ("-m", "pytest", "--exitfirst", "--quiet", "--no-header", "-p", "no:cacheprovider")
# A mutant that makes the tests this much slower than they are has been noticed.
SLOWER = 5
GRACE_SECONDS = 30


@dataclass(frozen=True)
class Outcome:
    """A mutant, and how its tests ended: ``killed``, ``timed out`` or ``survived``."""

    mutant: Mutant
    ending: str
    seconds: float

    @property
    def is_killed(self) -> bool:
        """Whether the tests noticed it."""
        return self.ending != "survived"


class Checkout:
    """A copy of this checkout to put mutants into."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        self._folder = folder
        paths = os.pathsep.join((str(folder), str(folder / "adapters")))
        self._environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, tests: Sequence[str], timeout: float | None = None) -> int | None:
        """Run tests: the exit code of pytest, or None where they took too long."""
        command = [sys.executable, *PYTEST, *tests]
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end_group(process)

    def outcome(self, mutant: Mutant, timeout: float) -> Outcome:
        """Put ``mutant`` in, run its tests, and take it out again."""
        path = self._folder / mutant.module
        original = path.read_bytes()
        started = time.monotonic()
        path.write_text(mutant.code, encoding="utf-8")
        try:
            code = self.run(mutant.target.tests, timeout)
        finally:
            path.write_bytes(original)
        ending = "timed out" if code is None else "killed" if code else "survived"
        return Outcome(mutant, ending, time.monotonic() - started)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def seconds_of_tests(checkout: Checkout, targets: Iterable[Target]) -> dict[tuple[str, ...], float]:
    """How long the tests of each target take without a mutant; they have to pass."""
    taken: dict[tuple[str, ...], float] = {}
    for tests in {target.tests for target in targets}:
        started = time.monotonic()
        if checkout.run(tests) != 0:
            raise SystemExit(f"Without a mutant these fail: {' '.join(tests)}")
        taken[tests] = time.monotonic() - started
    return taken


def outcomes_of(mutants: Sequence[Mutant], workers: int) -> list[Outcome]:
    """Try every mutant, ``workers`` at a time."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        free: queue.Queue[Checkout] = queue.Queue()
        for number in range(workers):
            free.put(Checkout(Path(folder) / f"checkout-{number}"))
        usual = seconds_of_tests(free.queue[0], [mutant.target for mutant in mutants])

        def tried(mutant: Mutant) -> Outcome:
            checkout = free.get()
            try:
                timeout = SLOWER * usual[mutant.target.tests] + GRACE_SECONDS
                outcome = checkout.outcome(mutant, timeout)
            finally:
                free.put(checkout)
            print(f"{outcome.ending:9} {outcome.seconds:6.1f} s  {place_of(mutant)}", flush=True)
            return outcome

        return list(pool.map(tried, mutants))


def place_of(mutant: Mutant) -> str:
    """Where a mutant is, and what it does."""
    return f"{mutant.module}:{mutant.line} {mutant.name}"


def table_of(outcomes: Sequence[Outcome]) -> str:
    """Killed and all mutants per target, as Markdown."""
    total = Counter(outcome.mutant.target.guards for outcome in outcomes)
    killed = Counter(o.mutant.target.guards for o in outcomes if o.is_killed)
    rows = [(g, killed[g], n, f"{killed[g] / n:.0%}") for g, n in sorted(total.items())]
    rows.append(("all", killed.total(), total.total(), f"{killed.total() / total.total():.1%}"))
    lines = ["| guards | killed | mutants | share |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {g} | {k} | {n} | {share} |" for g, k, n, share in rows)])


def change_of(mutant: Mutant) -> str:
    """The lines that a mutant changes."""
    code = (ROOT / mutant.module).read_text(encoding="utf-8")
    lines = difflib.unified_diff(code.splitlines(), mutant.code.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def positive(text: str) -> int:
    """An option that counts something there has to be at least one of."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def share(text: str) -> float:
    """An option that is a part of all, 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{number:g} is not from 0 to 1")
    return number


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=positive, default=400, help="how many mutants are sampled")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=positive, default=os.cpu_count() or 1)
    parser.add_argument("--at-least", type=share, default=0.85, help="share that has to be killed")
    options = parser.parse_args()
    named = named_mutants(ROOT)
    sampled = sampled_mutants(ROOT, options.count, options.seed)
    outcomes = outcomes_of([*named, *sampled], options.workers)
    of_named, of_sampled = outcomes[: len(named)], outcomes[len(named) :]
    survivors = [outcome.mutant for outcome in outcomes if not outcome.is_killed]
    for mutant in survivors:
        print(f"\nsurvived: {place_of(mutant)}\n{change_of(mutant)}")
    print(f"\n{table_of(of_sampled)}")
    alive = [outcome.mutant.name for outcome in of_named if not outcome.is_killed]
    print(f"\nnamed mutants: {len(named) - len(alive)} of {len(named)} killed", *alive, sep="\n  ")
    killed = sum(outcome.is_killed for outcome in of_sampled) / len(of_sampled)
    return 0 if killed >= options.at_least and not alive else 1


if __name__ == "__main__":
    sys.exit(main())
