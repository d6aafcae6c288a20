"""Scores the root causes of a run against labels, beside trivial baselines.

python -m benchmarks.quality.causes SCORER DATA RUN_FOLDER --annotator NAME

SCORER is a script with the commands `localize DATA PREDICTIONS` and `baselines DATA`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.quality.systems import REPORT

Row = dict[str, Any]


def cause_rows(report: Row) -> list[Row]:
    """Root causes as predictions of where failed traces broke."""
    return [
        {
            "trace_id": cause["trace_id"],
            "span_id": cause["span_id"],
            "category": cause["failure_mode"],
            "root_cause": True,
        }
        for cause in report.get("root_causes", ())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorer", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--annotator", required=True)
    given = parser.parse_args()
    causes = cause_rows(json.loads((given.run / REPORT).read_bytes()))
    by = ("--annotator", given.annotator)
    print(f"# root causes: {len(causes)}")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(cause) + "\n" for cause in causes)
        file.flush()
        print(output_of(given.scorer, "localize", given.data, file.name, *by))
    print("# baselines")
    print(output_of(given.scorer, "baselines", given.data, *by))


def output_of(scorer: Path, *arguments: object) -> str:
    """What the scorer prints."""
    command = [sys.executable, str(scorer), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
