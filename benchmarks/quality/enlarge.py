"""Makes a large set of traces out of a small labelled one, with modes at known prevalence.

python benchmarks/quality/enlarge.py EVAL/tau_retail OUT --traces 10000 --seed 1

Each trace of the large set is a copy of a real one in which people, ids, amounts and times are
renamed consistently, so that text search does not find the copies of a trace. Modes get prevalences
spread evenly on a logarithmic scale over LOW to HIGH; all other traces are copies of runs that went
well and are in no mode. Written are traces, labels, modes and outcomes in the form of the small set.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from calendar import month_name
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase, digits
from typing import Any

Row = dict[str, Any]
LOW, HIGH = 0.002, 0.03
# The prefix of attributes that name the original of a copy.
PROVENANCE = "dataset."
# The year of dates that have none.
YEAR = 2024

FIRST = (
    "Ada Ben Cleo Dara Emil Fay Gus Hana Igor Jule Kim Lars Mona Nils Ola Pia Quin Rosa Sven Tara"
)
LAST = "Abel Boon Carr Dorn Egan Frey Gale Holm Iver Jost Kant Lund Mohr Nero Oster Pohl Quist Reed"
NAME = re.compile(r'\\*"(?:first|last)_name\\*":\s*\\*"([A-Z][a-z]+)\\*"')
DATE = re.compile(r"\b(20\d\d)-(\d\d)-(\d\d)(?!\d)")
DAY = re.compile(rf"\b({'|'.join(month_name[1:])}) (\d{{1,2}})(st|nd|rd|th)?(?!\d)(?:, (20\d\d))?")
AMOUNT = re.compile(r"(?<![\d.])\d+\.\d\d(?!\d)")
NUMBER = re.compile(r"(?<![\d.])\d{5,}(?![\d.])")
# Six letters and digits, as airlines write reservations and flights. Those of letters only are
# known by their field.
CODE = re.compile(r"\b(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{6}\b")
LETTERS = re.compile(r'_id\\*":\s*\\*"([A-Z]{6})\b')


@dataclass(frozen=True)
class Renaming:
    """How one copy differs from its original."""

    seed: str
    names: dict[str, str]
    codes: frozenset[str]
    days: int
    factor: int

    def id(self, old: str) -> str:
        """Another id of the same length."""
        return hashlib.sha256(f"{self.seed}{old}".encode()).hexdigest()[: len(old)]

    def text(self, text: str) -> str:
        """``text`` with people, ids, amounts and days replaced."""
        text = DAY.sub(self._day, DATE.sub(self._date, text))
        text = AMOUNT.sub(lambda m: f"{float(m[0]) * self.factor:.2f}", text)
        text = NUMBER.sub(lambda m: self._digits(m[0]), text)
        text = CODE.sub(lambda m: self._code(m[0]), text)
        for code in self.codes:
            text = text.replace(code, self._code(code))
        return self._people.sub(lambda m: self._person(m[0]), text) if self.names else text

    @cached_property
    def _people(self) -> re.Pattern[str]:
        """The names to replace, as written and in lower case."""
        spellings = [*self.names, *(name.lower() for name in self.names)]
        return re.compile(rf"(?<![a-zA-Z])(?:{'|'.join(spellings)})(?![a-z])")

    def _person(self, old: str) -> str:
        return self.names[old] if old in self.names else self.names[old.title()].lower()

    def _date(self, match: re.Match[str]) -> str:
        try:
            moved = date(int(match[1]), int(match[2]), int(match[3])) + timedelta(self.days)
        except ValueError:
            return match[0]
        return moved.isoformat()

    def _day(self, match: re.Match[str]) -> str:
        month = list(month_name).index(match[1])
        try:
            moved = date(int(match[4] or YEAR), month, int(match[2])) + timedelta(self.days)
        except ValueError:
            return match[0]
        day = f"{moved:%B} {moved.day}"
        return f"{day}, {moved.year}" if match[4] else day

    def _digits(self, old: str) -> str:
        number = int(hashlib.sha256(f"{self.seed}{old}".encode()).hexdigest(), 16)
        return str(number)[-len(old) :].replace("0", "7", 1)

    def _code(self, old: str) -> str:
        rng = random.Random(f"{self.seed}{old}")
        return "".join(rng.choice(digits if c.isdigit() else ascii_uppercase) for c in old)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    originals = spans_by_trace(given.data)
    modes = read_rows(given.data / "modes.jsonl")
    drawn = sample_originals(
        modes, read_rows(given.data / "outcomes.jsonl"), given.traces, given.seed
    )
    copies: dict[str, list[Renaming]] = defaultdict(list)
    with (given.out / "traces.jsonl").open("w", encoding="utf-8") as file:
        for number, trace_id in enumerate(drawn):
            renaming = renaming_of(originals[trace_id], f"{given.seed}-{number}")
            copies[trace_id].append(renaming)
            for span in originals[trace_id]:
                file.write(json.dumps(copy_of(span, renaming)) + "\n")
    write_rows(given.out / "modes.jsonl", [moved(mode, copies, given.traces) for mode in modes])
    write_rows(
        given.out / "labels.jsonl", relabelled(read_rows(given.data / "labels.jsonl"), copies)
    )
    outcomes = read_rows(given.data / "outcomes.jsonl")
    write_rows(given.out / "outcomes.jsonl", relabelled(outcomes, copies))
    for mode in read_rows(given.out / "modes.jsonl"):
        print(f"{mode['prevalence']:7.2%}  {mode['n_traces']:5}  {mode['category']}")


def sample_originals(
    modes: Sequence[Row], outcomes: Sequence[Row], traces: int, seed: int
) -> list[str]:
    """The original of each trace of the large set, in random order."""
    rng = random.Random(seed)
    steps = max(1, len(modes) - 1)
    shares = [LOW * (HIGH / LOW) ** (n / steps) for n in range(len(modes))]
    rng.shuffle(shares)
    members = Counter(t for mode in modes for t in mode["trace_ids"])
    drawn: list[str] = []
    for mode, share in sorted(zip(modes, shares, strict=True), key=lambda pair: -pair[1]):
        # Traces of this mode only, if there are any, so that modes do not come in pairs.
        exclusive = [t for t in mode["trace_ids"] if members[t] == 1] or mode["trace_ids"]
        already = sum(t in mode["trace_ids"] for t in drawn)
        drawn += rng.choices(exclusive, k=max(0, round(share * traces) - already))
    fine = [o["trace_id"] for o in outcomes if o["success"] and not members[o["trace_id"]]]
    drawn += rng.choices(fine, k=max(0, traces - len(drawn)))
    rng.shuffle(drawn)
    return drawn


def renaming_of(spans: Sequence[Row], seed: str) -> Renaming:
    """A renaming of all people and things that are named in a trace."""
    rng = random.Random(seed)
    text = json.dumps([span["attributes"] for span in spans])
    people = sorted(set(NAME.findall(text)))
    pool = [*FIRST.split(), *LAST.split()]
    rng.shuffle(pool)
    names = dict(zip(people, pool, strict=False))
    codes = frozenset(LETTERS.findall(text))
    return Renaming(seed, names, codes, rng.randrange(-300, 300), rng.randrange(1, 4))


def copy_of(span: Row, renaming: Renaming) -> Row:
    """One span of a copy."""
    changed = dict(span)
    for name in ("trace_id", "span_id", "parent_span_id"):
        changed[name] = renaming.id(span[name]) if span.get(name) else span.get(name)
    for name in ("start_time", "end_time"):
        changed[name] = shifted(span[name], renaming.days)
    changed["attributes"] = {
        key: renaming.text(value) if isinstance(value, str) else value
        for key, value in span["attributes"].items()
        if not key.startswith(PROVENANCE)
    }
    if "session.id" in changed["attributes"]:
        changed["attributes"]["session.id"] = renaming.id(f"{span['trace_id']} session")
    return changed


def shifted(moment: str, days: int) -> str:
    """An ISO time moved by ``days``, its time of day unchanged."""
    return (datetime.fromisoformat(moment[:10]) + timedelta(days)).date().isoformat() + moment[10:]


def moved(mode: Row, copies: dict[str, list[Renaming]], traces: int) -> Row:
    """A mode in the large set, with its true prevalence there."""
    pairs = [(t, r) for t in mode["trace_ids"] for r in copies[t]]
    evidence = [[r.id(t), r.id(s)] for t, s in mode["evidence"] for r in copies[t]]
    return {
        **mode,
        "trace_ids": [r.id(t) for t, r in pairs],
        "evidence": evidence,
        "n_traces": len(pairs),
        "corpus_traces": traces,
        "prevalence": len(pairs) / traces,
    }


def relabelled(rows: Sequence[Row], copies: dict[str, list[Renaming]]) -> Iterator[Row]:
    """A row for every copy of what ``rows`` are about."""
    for row in rows:
        for renaming in copies[row["trace_id"]]:
            names = [name for name in ("trace_id", "span_id") if row.get(name)]
            yield {**row, **{name: renaming.id(row[name]) for name in names}}


def spans_by_trace(data: Path) -> dict[str, list[Row]]:
    """The spans of each trace."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(data / "traces.jsonl"):
        found[row["trace_id"]].append(row)
    return found


def read_rows(path: Path) -> list[Row]:
    """The rows of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Sequence[Row] | Iterator[Row]) -> None:
    """Rows into a file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
