"""Host functions that set runs beside each other: groups, contrasts, records of tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from halo_engine.comparison.corpus import ComparedCorpus, most_frequent
from halo_engine.comparison.departures import variants_of
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.comparison.tables import group_name, segment_name
from halo_engine.detectors.span_text import json_or_none
from halo_engine.rlm.host.arguments import Count, Name
from halo_engine.rlm.host.context import MAX_ROWS, HostContext
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.text.sanitize import safe_line

ASKED_CHARS, ANSWER_CHARS, VARIANT_CHARS, CELL_CHARS = 200, 160, 400, 500
RECORD_FIELDS, RECORD_DEPTH = 60, 6

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

        Warns if some are left out.
        """
        chosen = [
            (number, ids)
            for number, ids in self._corpus.members.items()
            if len(ids) >= min_runs and segment in (None, self._segment_of(ids[0]))
        ]
        if order == "courses":
            chosen.sort(key=lambda item: -self._corpus.courses_of_group(item[0]))
        shown = self._context.first_rows("groups", chosen[offset:], min(limit, MAX_ROWS))
        return [self._group_row(number, ids) for number, ids in shown]

    def contrast(self, group: Name) -> str:
        """The runs of a group side by side: what they changed, how they ended and what they said."""
        number = self._numbers.get(group.strip().upper())
        if number is None:
            raise HostError(f"There is no group {group!r}: groups() lists them.")
        runs = [self._corpus.runs[trace_id] for trace_id in self._corpus.members[number]]
        return "\n".join(contrast_lines(runs, self._names, self._corpus))

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
            raise HostError(f"No call of {tool!r} that is looked for. Tools: {tools[:1000]}")
        shown = self._context.first_rows("records", found, min(limit, MAX_ROWS))
        spans = self._context.short_ids.span_names(
            (run.trace_id, run.calls[n].span_id) for run, n in shown
        )
        return [
            {
                "trace": self._names(run.trace_id),
                "span": spans.get((run.trace_id, run.calls[n].span_id)),
                **json_leaves(
                    "args", json_or_none(run.calls[n].arguments) or run.calls[n].arguments
                ),
                **json_leaves("result", json_or_none(run.calls[n].result) or run.calls[n].result),
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
            "models": most_frequent(model for run in runs for model in run.models),
            "asked": safe_line(runs[0].asked, ASKED_CHARS),
        }


def contrast_lines(runs: list[RunFacts], name: Any, corpus: ComparedCorpus) -> Iterator[str]:
    """The runs of a group, those of one course together: variants of calls by letter, then runs."""
    variants = Counter(
        (tool, variant) for run in runs for tool, own in variants_of(run).items() for variant in own
    )
    letters = {key: letter_of(n) for n, (key, _) in enumerate(variants.most_common())}
    yield f"{len(runs)} runs. Asked, for example: {safe_line(runs[0].asked, ASKED_CHARS)}"
    yield "What was changed (free text left out), and in how many runs:"
    for (tool, variant), count in variants.most_common():
        yield f"  {letters[tool, variant]}  {count}x  {tool} {safe_line(variant, VARIANT_CHARS)}"
    yield "Run, model, ending, changes, failed calls, turns, last words:"
    rows = []
    for run in runs:
        own = sorted(
            letters[tool, variant] for tool, found in variants_of(run).items() for variant in found
        )
        failed = sum(call.failed for call in run.calls)
        turns = sum(words.who == "user" for words in run.words)
        signals = ", ".join(corpus.signals.get(run.trace_id, ()))
        rows.append(
            (
                "".join(own) or "-",
                f"  {name(run.trace_id)} {', '.join(run.models)} | {run.ending} | "
                f"{' '.join(own) or 'nothing'} | {failed} | {turns} | "
                f"{safe_line(run.answer, ANSWER_CHARS)}{f' | signals: {signals}' if signals else ''}",
            )
        )
    yield from (line for _, line in sorted(rows))


def letter_of(number: int) -> str:
    """a, b, ..., z, a1, b1, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"


def json_leaves(path: str, value: Any, depth: int = 0) -> dict[str, Any]:
    """The leaves of a JSON value by their path, at most ``RECORD_FIELDS`` of them."""
    found: dict[str, Any] = {}
    if isinstance(value, dict) and depth < RECORD_DEPTH:
        parts = [(f"{path}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list) and depth < RECORD_DEPTH:
        parts = [(f"{path}[{n}]", item) for n, item in enumerate(value)]
    else:
        is_plain = value is None or isinstance(value, (int, float, bool))
        return {path: value if is_plain else safe_line(str(value), CELL_CHARS)}
    for key, item in parts:
        found |= json_leaves(key, item, depth + 1)
        if len(found) >= RECORD_FIELDS:
            break
    return dict(list(found.items())[:RECORD_FIELDS])
