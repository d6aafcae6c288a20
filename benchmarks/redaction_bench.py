"""Measures redaction: misses and false alarms by kind, and time.

    python benchmarks/redaction_bench.py [--seed 0] [TRACES.jsonl ...]

Misses are counted on made-up credentials in the public formats of their providers
(`tests/support/labelled_texts`, written without sight of the rules), false alarms on texts that look
like credentials and, by span, on the given trace files, which hold none. Time is CPU time on
generated conversations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor
from labelled_texts.credentials import labelled_credentials
from labelled_texts.look_alikes import negative_texts
from labelled_texts.people import labelled_people
from redaction_rates import Rate, alarm_rates, miss_rates, span_texts
from synthetic import conversations

TIMED_TRACES = 500


def tables(seed: int, files: Iterable[Path]) -> dict[str, list[Rate]]:
    """All rates, by what they are about."""
    default, strict = Redactor().text, Redactor(Level.STRICT).text
    spans = (item for path in files for item in span_texts(path))
    return {
        "credentials missed, default": miss_rates(labelled_credentials(seed), default),
        "personal data missed, strict": miss_rates(labelled_people(seed), strict),
        "look-alikes masked, default": alarm_rates(negative_texts(seed), default),
        "spans of real traces masked, default": alarm_rates(spans, default),
    }


def show_rates(title: str, rates: list[Rate]) -> None:
    """Print one table, the total first."""
    wrong, texts = sum(len(r.wrong) for r in rates), sum(r.texts for r in rates)
    share = wrong / texts if texts else 0
    print(f"\n{title}: {wrong} of {texts}, {share:.2%}")
    for rate in rates:
        print(f"  {rate.kind:28} {len(rate.wrong):4} of {rate.texts:5}")
        for example in rate.wrong[:2]:
            print(f"      {example[:200]}")


def show_speed(level: Level) -> None:
    """Print the CPU time for a megabyte of spans."""
    redactor = Redactor(level)
    redactor.text("")
    texts = [str(row) for row in conversations(TIMED_TRACES)]
    for text in texts[:100]:
        redactor.text(text)
    began = time.process_time()
    for text in texts:
        redactor.text(text)
    megabytes = sum(map(len, texts)) / 1e6
    print(f"{level}: {(time.process_time() - began) * 1000 / megabytes:.1f} ms a MB")


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for title, rates in tables(given.seed, given.files).items():
        show_rates(title, rates)
    print()
    for level in (Level.DEFAULT, Level.STRICT):
        show_speed(level)


if __name__ == "__main__":
    main()
