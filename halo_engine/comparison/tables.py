"""The tables of a compared corpus, which SQL reads beside those of the store.

``trace`` and ``span`` are short names (T3, T3.5). Arguments and results are JSON where they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from halo_engine.comparison.corpus import ComparedCorpus
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.store import TraceStore
from halo_engine.store.rows import DerivedTable, SqlRow

TEXT, NUMBER, FLAG = "VARCHAR", "BIGINT", "BOOLEAN"
# The characters of a shape, and of words and results that are repeated in other rows.
SHAPE_CHARS = 500
SAID_CHARS = 2000

RUNS = {
    **{"trace_id": TEXT, "trace": TEXT, "agent": TEXT, "segment": TEXT, "grp": TEXT},
    **{"course": TEXT, "grp_runs": NUMBER, "asked": TEXT, "ending": TEXT, "answer": TEXT},
    **{
        "model": TEXT,
        "release": TEXT,
        "shape": TEXT,
        "calls": NUMBER,
        "changes": NUMBER,
        "failed": NUMBER,
    },
    **{"turns": NUMBER, "departures": NUMBER, "signals": TEXT},
}
CALLS = {
    **{"trace_id": TEXT, "span_id": TEXT, "trace": TEXT, "span": TEXT, "grp": TEXT, "n": NUMBER},
    **{"tool": TEXT, "reads": FLAG, "failed": FLAG, "arguments": TEXT, "result": TEXT},
    **{"asked": TEXT, "said": TEXT, "turn": NUMBER, "unlike": TEXT},
}
WORDS = {
    **{"trace_id": TEXT, "span_id": TEXT, "trace": TEXT, "span": TEXT, "n": NUMBER},
    **{"who": TEXT, "text": TEXT},
}
DEPARTURES = {
    **{"trace_id": TEXT, "span_id": TEXT, "trace": TEXT, "span": TEXT, "grp": TEXT},
    **{"kind": TEXT, "tool": TEXT, "agreeing": NUMBER, "peers": NUMBER},
    **{"arguments": TEXT, "usual": TEXT},
}
# The name of a trace, and of its span in it.
NameOfTrace = Callable[[str], str]
NamesOfSpans = Callable[[Iterable[tuple[str, str]]], Mapping[tuple[str, str], str]]


def write_tables(
    store: TraceStore, corpus: ComparedCorpus, name: NameOfTrace, span_names: NamesOfSpans
) -> None:
    """Write the tables of ``corpus`` beside ``store``."""
    spans = span_names(spans_of(corpus))
    runs = corpus.runs.values()
    calls = chain.from_iterable(call_rows(run, corpus, name, spans) for run in runs)
    words = chain.from_iterable(word_rows(run, name, spans) for run in runs)
    store.derive(
        DerivedTable("runs", RUNS, (run_row(run, corpus, name) for run in runs)),
        DerivedTable("calls", CALLS, calls),
        DerivedTable("words", WORDS, words),
        DerivedTable("departures", DEPARTURES, departure_rows(corpus, name, spans)),
    )


def group_name(number: int) -> str:
    """How a group is called."""
    return f"G{number + 1}"


def course_name(course: tuple[int, int]) -> str:
    """How a course is called."""
    group, number = course
    return f"{group_name(group)}-{number + 1}"


def segment_name(number: int) -> str:
    """How a segment is called."""
    return f"S{number + 1}"


def spans_of(corpus: ComparedCorpus) -> Iterator[tuple[str, str]]:
    """The spans that the tables name."""
    for run in corpus.runs.values():
        yield from ((run.trace_id, call.span_id) for call in run.calls)
        yield from ((run.trace_id, words.span_id) for words in run.words)


def run_row(run: RunFacts, corpus: ComparedCorpus, name: NameOfTrace) -> SqlRow:
    """The row of a run in ``RUNS``."""
    trace_id, group = run.trace_id, corpus.groups[run.trace_id]
    steps = [f"{call.tool}!" if call.failed else call.tool for call in run.calls]
    shape = " > ".join(s for n, s in enumerate(steps) if not n or s != steps[n - 1])
    return (
        *(trace_id, name(trace_id), run.agent, segment_name(corpus.segments[trace_id])),
        *(group_name(group), course_name(corpus.courses[trace_id]), len(corpus.members[group])),
        *(run.asked, run.ending, run.answer),
        *(", ".join(run.models), run.release, shape[:SHAPE_CHARS], len(run.calls)),
        *(len(run.changes), sum(call.failed for call in run.calls)),
        sum(words.who == "user" for words in run.words),
        len(corpus.departures_by_run.get(trace_id, ())),
        ", ".join(corpus.signals.get(trace_id, ())),
    )


def call_rows(
    run: RunFacts,
    corpus: ComparedCorpus,
    name: NameOfTrace,
    spans: Mapping[tuple[str, str], str],
) -> Iterator[SqlRow]:
    """The rows of a run in ``CALLS``."""
    trace_id, group = run.trace_id, group_name(corpus.groups[run.trace_id])
    for call in run.calls:
        span = spans.get((trace_id, call.span_id))
        yield (
            *(trace_id, call.span_id, name(trace_id), span, group, call.n, call.tool),
            *(call.reads, call.failed, call.arguments, call.result),
            *(call.asked[:SAID_CHARS], call.said[:SAID_CHARS], call.turn, call.unlike),
        )


def word_rows(
    run: RunFacts, name: NameOfTrace, spans: Mapping[tuple[str, str], str]
) -> Iterator[SqlRow]:
    """The rows of a run in ``WORDS``."""
    trace_id = run.trace_id
    for n, words in enumerate(run.words, start=1):
        span = spans.get((trace_id, words.span_id))
        yield trace_id, words.span_id, name(trace_id), span, n, words.who, words.text


def departure_rows(
    corpus: ComparedCorpus, name: NameOfTrace, spans: Mapping[tuple[str, str], str]
) -> Iterator[SqlRow]:
    """The rows of ``DEPARTURES``."""
    for found in corpus.departures:
        trace_id, span_id = found.trace_id, found.span_id
        yield (
            *(trace_id, span_id, name(trace_id), spans.get((trace_id, span_id or ""))),
            *(group_name(corpus.groups[trace_id]), found.kind.value, found.tool),
            *(found.agreeing, found.peers, found.arguments, found.usual),
        )
