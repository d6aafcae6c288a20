"""Which failures of the demo's agent a change of its code has mended, and what else it changed.

python -m benchmarks.mended CHANGED [--base FOLDER] [--count N] [--home FOLDER]

CHANGED is a copy of `examples/demo_agent` whose folder `assistant` was changed, by whoever reads
the work orders. Both are played in conversations of their own (`halo_integrations/demo/world.py`),
each is analysed without a model, and `compare` says of every issue what became of it. A failure is
mended if some of its issues are gone or better, and the others are not seen any more; what is new or
worse stands below.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import halo_integrations as halo
from halo_engine.sides import ComparedIssue, Comparison
from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.demo.world import play_agent

AGENT = Path(__file__).parents[1] / "examples" / "demo_agent"
COUNT = 600
SEEDS = (1, 2)
# What is wrong with the agent as it is, by the detector that finds it.
FAILURES = {
    "identical_call_loop": "reads an order again whose record was cut",
    "unchanged_retry": "repeats a change of a locked order",
    "swallowed_error": "says that it was done although a service failed",
    "unknown_tool": "is told to use a tool that there is not",
    "schema_violation": "is told to give numbers in words",
    "arguments_not_json": "loses the end of streamed arguments",
    "empty_retrieval": "drops passages that are similar enough",
    "truncated_output": "allows too few tokens for an explanation",
    "empty_completion": "shows the model nothing where a tool returned nothing",
    "missing_final_answer": "allows too few steps for several orders",
    "environment_error": "does not wait for a busy provider",
    "secret_in_trace": "reads an order with the key of its payment account",
}
MENDED = (ChangeVerdict.GONE, ChangeVerdict.BETTER)


def play_both(
    base: Path, changed: Path, folder: Path, home: Path, count: int = COUNT
) -> Comparison:
    """Play, analyse and compare both versions of the agent."""
    common: dict[str, Any] = {"home": home, "issue_project": "demo-agent"}
    runs = []
    for name, code, seed in (("base", base, SEEDS[0]), ("changed", changed, SEEDS[1])):
        traces = folder / f"{name}.jsonl"
        play_agent(code, traces, count=count, seed=seed, version=name)
        runs.append(halo.run(traces, no_llm=True, **common).run_id)
    return halo.compare(*runs, **common)


def of_detector(compared: Comparison, detector: str) -> list[ComparedIssue]:
    """The issues of a failure."""
    return [each for each in compared.issues if each.finding.detector == detector]


def is_mended(issues: Sequence[ComparedIssue]) -> bool:
    """Whether some of its issues are gone or better, and the others no longer show."""
    told = any(each.verdict in MENDED for each in issues)
    return told and all(each.verdict in MENDED or not each.head.known for each in issues)


def result_lines(compared: Comparison) -> list[str]:
    """A table of the failures, and what is new or worse."""
    lines = ["| the agent | before | after | said | |", "|---|---|---|---|---|"]
    mended = 0
    for detector, text in FAILURES.items():
        issues = of_detector(compared, detector)
        before, after = (sum(getattr(i, side).known for i in issues) for side in ("base", "head"))
        said = ", ".join(dict.fromkeys(str(issue.verdict) for issue in issues)) or "not found"
        is_so = is_mended(issues)
        mended += is_so
        lines.append(f"| {text} | {before} | {after} | {said} | {'mended' if is_so else '-'} |")
    lines.append(f"\n{mended} of {len(FAILURES)} failures are mended.")
    for each in compared.regressions():
        lines.append(f"{each.verdict}: {each.finding.title} ({each.head.counts})")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Play both, compare, and print what became of each failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("changed", type=Path)
    parser.add_argument("--base", type=Path, default=AGENT, help="[examples/demo_agent]")
    parser.add_argument("--count", type=int, default=COUNT, help="conversations [%(default)s]")
    parser.add_argument("--home", type=Path, help="where the runs are kept [a temporary folder]")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = given.home or folder / "home"
        print(
            "\n".join(result_lines(play_both(given.base, given.changed, folder, home, given.count)))
        )


if __name__ == "__main__":
    main()
