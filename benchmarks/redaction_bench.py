"""Measures redaction: misses and false alarms by kind, and time.

    python benchmarks/redaction_bench.py [--seed 0] [TRACES.jsonl ...]

Misses are counted on made-up credentials in the public formats of their providers
(`tests/support/labelled_texts`, written without sight of the rules), false alarms on texts that look
like credentials and, by span, on recorded traces and on the given trace files, which hold none. Time
is CPU time on generated conversations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from corpora import CORPORA
from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor
from labelled_texts.credentials import labelled_credentials
from labelled_texts.look_alikes import negative_texts
from labelled_texts.people import labelled_people
from redaction_rates import Rate, alarm_rates, miss_rates, rows_of, span_texts
from synthetic import conversations

TIMED_TRACES = 500
# What may go wrong, as a share of all texts.
MOST_MISSED = 0.02
MOST_ALARMS = 0.01


def rates_by_subject(seed: int, files: Iterable[Path] = ()) -> dict[str, list[Rate]]:
    """All rates, by what they are about."""
    default, strict = Redactor().text, Redactor(Level.STRICT).text
    return {
        "credentials missed": miss_rates(labelled_credentials(seed), default),
        "personal data missed (strict)": miss_rates(labelled_people(seed), strict),
        "look-alikes masked": alarm_rates(negative_texts(seed), default),
        "spans masked": alarm_rates(real_spans(files), default),
    }


def real_spans(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The spans of recorded traces and of files as texts."""
    yield from span_texts("recorded traces", CORPORA["recorded"]())
    for path in files:
        yield from span_texts(path.parent.name, rows_of(path))


def redaction_table(subjects: dict[str, list[Rate]]) -> str:
    """The rates as Markdown, the total of each subject first."""
    lines = ["| what | texts | wrong | share |", "|---|---|---|---|"]
    for subject, rates in subjects.items():
        lines.append(table_row(f"**{subject}**", rates))
        lines += [table_row(rate.kind, [rate]) for rate in rates]
    return "\n".join(lines)


def table_row(name: str, rates: list[Rate]) -> str:
    """One row: the sum of ``rates``."""
    wrong, texts = sum(len(r.wrong) for r in rates), sum(r.texts for r in rates)
    return f"| {name} | {texts:,} | {wrong} | {wrong / texts:.1%} |"


def broken_limits(subjects: dict[str, list[Rate]]) -> list[str]:
    """The subjects whose share is above what may go wrong, each with an example."""
    found = []
    for subject, rates in subjects.items():
        share = sum(len(r.wrong) for r in rates) / sum(r.texts for r in rates)
        if share > (MOST_MISSED if "missed" in subject else MOST_ALARMS):
            example = next(r.wrong[0] for r in rates if r.wrong)
            found.append(f"{subject}: {share:.1%}, for instance {example}")
    return found


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
    subjects = rates_by_subject(given.seed, given.files)
    print(redaction_table(subjects))
    print(*broken_limits(subjects), sep="\n")
    for level in (Level.DEFAULT, Level.STRICT):
        show_speed(level)


if __name__ == "__main__":
    main()
