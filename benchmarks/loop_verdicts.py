"""How often a comparison of two releases is right, over many seeds of the demo's agent.

Prints for each size of a release the verdicts on planted changes: told, not told, and wrong. Usage:
``python -m benchmarks.loop_verdicts --seeds 20 --sizes 600,40``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.demo.loop import play_releases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sizes", default="600,40")
    given = parser.parse_args()
    print(
        "| conversations a release | planted changes | told | verdicts that tell a change | wrong |"
        " better for worse | too little data |"
    )
    print("|---|---|---|---|---|---|---|")
    for size in map(int, given.sizes.split(",")):
        print(row(size, given.seeds), flush=True)


def row(size: int, seeds: int) -> str:
    counts: Counter[str] = Counter()
    for seed in range(seeds):
        with TemporaryDirectory() as folder:
            compared, told = play_releases(Path(folder), size, seed)
        for each in told:
            is_change = each.truth is not ChangeVerdict.UNCHANGED
            counts["planted"] += is_change
            counts["right"] += is_change and each.is_right
            verdicts = [verdict for verdict in each.verdicts if verdict.is_change]
            counts["told"] += len(verdicts)
            counts["wrong"] += len(verdicts) if each.is_wrong else 0
            counts["reversed"] += is_change and each.is_wrong
        undecided = [i for i in compared.issues if i.verdict is ChangeVerdict.UNDECIDED]
        counts["undecided"] += len(undecided)
        counts["issues"] += len(compared.issues)
    right = f"{counts['right']} of {counts['planted']}"
    unsure = f"{counts['undecided']} of {counts['issues']} issues"
    cells = size, counts["planted"], right, counts["told"], counts["wrong"], counts["reversed"]
    return "| " + " | ".join(map(str, (*cells, unsure))) + " |"


if __name__ == "__main__":
    main()
