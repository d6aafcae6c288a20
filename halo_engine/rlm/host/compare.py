"""Host functions that set runs beside each other: groups, contrasts, records of tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

import orjson

from halo_engine.comparison.corpus import ComparedCorpus, most_frequent
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.comparison.tables import group_name, segment_name
from halo_engine.detectors.span_text import json_or_none
from halo_engine.rlm.host.arguments import Count, Name
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.text.sanitize import safe_line

ASKED_CHARS, ANSWER_CHARS, VARIANT_CHARS, CELL_CHARS = 200, 160, 400, 500
NAME_CHARS, PATH_CHARS = 100, 300
RECORD_FIELDS, RECORD_DEPTH = 60, 6
# Of the variants of calls in a group, the most frequent.
SHOWN_VARIANTS = 60

RUN_COLUMNS = "Run, model, ending, changes, failed calls, turns, last words:"
KNOWN_CHARS = 1000

GroupOrder = Literal["courses", "runs"]


class Compare:
    """The host functions that compare runs with each other."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._corpus = context.corpus
        self._names = context.short_ids.name
        self._numbers = {group_name(number): number for number in context.corpus.members}

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.groups, self.contrast, self.records

    def groups(
        self,
        order: GroupOrder = "courses",
        limit: Count = 20,
        offset: Count = 0,
        segment: Name | None = None,
        min_runs: Count = 2,
    ) -> list[dict[str, Any]]:
        """Groups of runs of the same task; those whose runs took the most courses first.

        Warns if some are left out; raises ``HostError`` for an unknown segment.
        """
        known = [segment_name(number) for number in sorted(self._corpus.segment_members)]
        if segment not in (None, *known):
            raise HostError(f"There is no segment {segment!r}: {', '.join(known)}.")
        chosen = [
            (number, ids)
            for number, ids in self._corpus.members.items()
            if len(ids) >= min_runs and segment in (None, self._segment_of(ids[0]))
        ]
        if order == "courses":
            chosen.sort(key=lambda item: -self._corpus.courses_of_group(item[0]))
        shown = self._context.first_rows(
            "groups", chosen[offset:], min(limit, self._context.bounds.rows)
        )
        return [self._group_row(number, ids) for number, ids in shown]

    def contrast(self, group: Name, limit: Count = 100) -> str:
        """The runs of a group side by side: what they changed, how they ended and what they said.

        Warns if some are left out.
        """
        number = self._numbers.get(group.strip().upper())
        if number is None:
            raise HostError(f"There is no group {group!r}: groups() lists them.")
        runs = [self._corpus.runs[trace_id] for trace_id in self._corpus.members[number]]
        lines = course_lines(runs, self._names, self._corpus)
        rows = min(limit, self._context.bounds.rows)
        shown = self._context.first_rows("contrast", lines, rows)
        return "\n".join([*variant_lines(runs, self._corpus), RUN_COLUMNS, *shown])

    def records(
        self, tool: Name, limit: Count = 1000, failed: bool = False
    ) -> list[dict[str, Any]]:
        """The results of a tool, flat: a row for each call with its arguments and its result.

        Keys are the paths of JSON, such as "result.orders[0].status". Warns if rows are left out.
        """
        found = [
            (run, n)
            for run in self._corpus.runs.values()
            for n, call in enumerate(run.calls)
            if call.tool == tool and (failed or not call.failed)
        ]
        if not found:
            tools = ", ".join(sorted({c.tool for r in self._corpus.runs.values() for c in r.calls}))
            known = safe_line(tools, KNOWN_CHARS)
            raise HostError(f"No call of {tool!r} that is looked for. Tools: {known}")
        rows = min(limit, self._context.bounds.rows)
        shown = self._context.first_rows("records", found, rows)
        spans = self._context.short_ids.span_names(
            (run.trace_id, run.calls[n].span_id) for run, n in shown
        )
        return [
            {
                "trace": self._names(run.trace_id),
                "span": spans.get((run.trace_id, run.calls[n].span_id)),
                **json_leaves("args", json_or_text(run.calls[n].arguments)),
                **json_leaves("result", json_or_text(run.calls[n].result)),
            }
            for run, n in shown
        ]

    def _segment_of(self, trace_id: str) -> str:
        return segment_name(self._corpus.segments[trace_id])

    def _group_row(self, number: int, ids: list[str]) -> dict[str, Any]:
        runs = [self._corpus.runs[trace_id] for trace_id in ids]
        departures = sum(len(self._corpus.departures_by_run.get(t, ())) for t in ids)
        return {
            "group": group_name(number),
            "segment": self._segment_of(ids[0]),
            "runs": len(ids),
            "courses": self._corpus.courses_of_group(number),
            "departures": departures,
            "endings": most_frequent(run.ending for run in runs),
            "models": most_frequent(safe_line(m, NAME_CHARS) for run in runs for m in run.models),
            "asked": safe_line(runs[0].asked, ASKED_CHARS),
        }


def letters_of(
    runs: list[RunFacts], corpus: ComparedCorpus
) -> dict[tuple[str, str], tuple[str, int]]:
    """Tool and variant of its arguments -> a letter, and the number of runs; most frequent first."""
    variants = Counter(
        (tool, variant)
        for run in runs
        for tool, own in corpus.changes(run.trace_id).items()
        for variant in sorted(own)
    )
    return {key: (letter_of(n), count) for n, (key, count) in enumerate(variants.most_common())}


def variant_lines(runs: list[RunFacts], corpus: ComparedCorpus) -> Iterator[str]:
    """What the runs of a group were asked, and what they changed, each variant by its letter."""
    letters = letters_of(runs, corpus)
    yield f"{len(runs)} runs. Asked, for example: {safe_line(runs[0].asked, ASKED_CHARS)}"
    yield "What was changed (free text left out), and in how many runs:"
    for (tool, variant), (letter, count) in list(letters.items())[:SHOWN_VARIANTS]:
        called = f"{safe_line(tool, NAME_CHARS)} {safe_line(variant, VARIANT_CHARS)}"
        yield f"  {letter}  {count}x  {called}"
    if len(letters) > SHOWN_VARIANTS:
        yield f"  and {len(letters) - SHOWN_VARIANTS} that are rarer"


def course_lines(
    runs: list[RunFacts], name: Callable[[str], str], corpus: ComparedCorpus
) -> list[str]:
    """A line for each run, those of one course together."""
    letters = {key: letter for key, (letter, _) in letters_of(runs, corpus).items()}
    rows = []
    for run in runs:
        changes = corpus.changes(run.trace_id).items()
        own = sorted(letters[tool, variant] for tool, found in changes for variant in found)
        rows.append(("".join(own) or "-", run_line(run, own, name, corpus)))
    return [line for _, line in sorted(rows)]


def run_line(
    run: RunFacts, letters: list[str], name: Callable[[str], str], corpus: ComparedCorpus
) -> str:
    """The line of a run that made the changes with these ``letters``."""
    failed = sum(call.failed for call in run.calls)
    turns = sum(words.who == "user" for words in run.words)
    signals = ", ".join(corpus.signals.get(run.trace_id, ()))
    models = safe_line(", ".join(run.models), NAME_CHARS)
    changes = safe_line(" ".join(letters), VARIANT_CHARS) or "nothing"
    cells = (
        *(f"  {name(run.trace_id)} {models}", run.ending, changes, str(failed), str(turns)),
        safe_line(run.answer, ANSWER_CHARS),
        *([f"signals: {signals}"] if signals else []),
    )
    return " | ".join(cells)


def letter_of(number: int) -> str:
    """a, b, ..., z, a1, b1, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"


def json_or_text(text: str) -> Any:
    """The value of a JSON text, any other text as it is."""
    value = json_or_none(text)
    return text if value is None else value


def json_leaves(path: str, value: Any, depth: int = 0) -> dict[str, Any]:
    """The leaves of a JSON value by their path, at most ``RECORD_FIELDS`` of them.

    What is nested more than ``RECORD_DEPTH`` deep is a leaf, as JSON.
    """
    if not value or depth == RECORD_DEPTH or not isinstance(value, (dict, list)):
        return {safe_line(path, PATH_CHARS): leaf(value)}
    names = (
        (f".{key}" for key in value)
        if isinstance(value, dict)
        else map("[{}]".format, range(len(value)))
    )
    items = value.values() if isinstance(value, dict) else value
    found: dict[str, Any] = {}
    for name, item in zip(names, items, strict=False):
        found |= json_leaves(f"{path}{name}", item, depth + 1)
        if len(found) >= RECORD_FIELDS:
            break
    return dict(islice(found.items(), RECORD_FIELDS))


def leaf(value: Any) -> Any:
    """A value as a cell of a table: a number, a flag, nothing, or a text."""
    if value is None or isinstance(value, (int, float)):
        return value
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except TypeError:
        text = "(nested too deeply)"
    return safe_line(text, CELL_CHARS)
