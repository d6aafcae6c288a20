"""Which runs a survey reads, and what stands above them on a page.

Runs of one course changed the same and ended alike, so that one of them is read first, and more of a
course of many. They are read in as much detail as the budget suffices for: where it does not for a
digest of each course, the first of each task is one and the others are brief; where it does not for
that, the courses of the most runs are read, and of the others a sample that is planned so that a rare
failure is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.changes import differing_arguments
from halo_engine.comparison.departures import Departure, DepartureKind
from halo_engine.comparison.tables import group_name, segment_name
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import on_one_line
from halo_engine.rlm.read_budget import ReadBudget
from halo_engine.statistics.outliers import upper_limit
from halo_engine.statistics.sampling import sample_ids
from halo_engine.statistics.survey_plan import StratumKey, survey_plan
from halo_engine.text.injection import addresses_readers

# Of the runs of a course one is read, another for so many more, and at most so many.
RUNS_PER_READER, MOST_READERS = 6, 4
# The part of a survey that reads the courses of the most runs, where it cannot read all.
LARGEST_SHARE = 0.75
SHOWN_DEPARTURES, SHOWN_ARGUMENTS = 5, 160


class SurveyChoice(NamedTuple):
    """The runs that a survey reads, those to be read side by side in order, and why these.

    ``details`` are in what detail each is read.
    """

    trace_ids: Sequence[str]
    plan: str
    details: Mapping[str, Detail]


def chosen_runs(
    corpus: ComparedCorpus, budgets: Mapping[Detail, ReadBudget], seed: int
) -> SurveyChoice:
    """The runs of ``corpus`` to read, as many as the budget suffices for.

    ``budgets`` are what is left of it, with the sizes of traces in each detail.
    """
    for detail in (Detail.RICH, Detail.DIGEST):
        first, further = readers_of_courses(corpus, budgets[detail], seed)
        size = affordable_size([*first, *further], budgets[detail])
        if len(first) == len(corpus.course_members) and size >= len(first):
            return choice_of_all([*first, *further][:size], corpus, detail)
    details = leading_runs(first, corpus)
    budget = budgets[Detail.BRIEF].with_sizes_of(budgets[Detail.DIGEST], details)
    size = affordable_size([*first, *further], budget)
    if size >= len(first):
        return choice_of_all([*first, *further][:size], corpus, Detail.BRIEF, details)
    largest = first[: int(size * LARGEST_SHARE)]
    rest = first[len(largest) :]
    drawn = survey_plan(strata_of(corpus, rest), size - len(largest), seed=seed)
    plan = f"{courses_text(largest, corpus)} Of those of the other courses: {drawn}"
    chosen = [*largest, *drawn.sample]
    details = {**dict.fromkeys(chosen, Detail.BRIEF), **leading_runs(chosen, corpus)}
    return SurveyChoice(side_by_side(details, corpus), plan if size else "", details)


def choice_of_all(
    trace_ids: Sequence[str],
    corpus: ComparedCorpus,
    detail: Detail,
    leading: Mapping[str, Detail] = MappingProxyType({}),
) -> SurveyChoice:
    """The choice of ``trace_ids``, some of each course, in ``detail`` or that of ``leading``."""
    plan = f"{len(trace_ids):,} of {len(corpus.runs):,} traces were read, some of each course."
    details = {**dict.fromkeys(trace_ids, detail), **leading}
    return SurveyChoice(side_by_side(details, corpus), plan, details)


def leading_runs(trace_ids: Iterable[str], corpus: ComparedCorpus) -> dict[str, Detail]:
    """The first of ``trace_ids`` of each group, as those of which a digest is read."""
    leading: dict[int, str] = {}
    for trace_id in trace_ids:
        leading.setdefault(corpus.groups[trace_id], trace_id)
    return dict.fromkeys(leading.values(), Detail.DIGEST)


def readers_of_courses(
    corpus: ComparedCorpus, budget: ReadBudget, seed: int
) -> tuple[list[str], list[str]]:
    """A run of each course, that of the most runs first; and further ones of those of many."""
    first: list[str] = []
    further: list[str] = []
    for ids in sorted(corpus.course_members.values(), key=lambda ids: (-len(ids), ids[0])):
        readers = min(MOST_READERS, 1 + (len(ids) - 1) // RUNS_PER_READER)
        readable = filter(budget.can_read, sample_ids(ids, 2 * readers, seed))
        drawn = list(readable)[:readers]
        first += drawn[:1]
        further += drawn[1:]
    return first, further


def affordable_size(trace_ids: Sequence[str], budget: ReadBudget) -> int:
    """How many of ``trace_ids`` can be read with all of ``budget``."""
    mean = budget.cost(trace_ids).mean
    return len(trace_ids) if mean * len(trace_ids) <= 1 else int(1 / mean)


def courses_text(trace_ids: Sequence[str], corpus: ComparedCorpus) -> str:
    """How many runs took the courses of which ``trace_ids`` were read."""
    sizes = [len(corpus.course_members[corpus.courses[trace_id]]) for trace_id in trace_ids]
    return (
        f"{len(sizes):,} of {len(corpus.course_members):,} courses were read in one run each, which "
        f"{sum(sizes):,} of {len(corpus.runs):,} traces took."
    )


def side_by_side(details: Mapping[str, Detail], corpus: ComparedCorpus) -> list[str]:
    """The runs of a segment, and in it those of a group, one after the other, brief ones last."""

    def place(trace_id: str) -> tuple[int, int, bool, str]:
        is_brief = details[trace_id] is Detail.BRIEF
        return corpus.segments[trace_id], corpus.groups[trace_id], is_brief, trace_id

    return sorted(details, key=place)


def strata_of(corpus: ComparedCorpus, trace_ids: Iterable[str]) -> dict[str, list[StratumKey]]:
    """The strata in which a survey draws: whatever may set apart the runs that went wrong."""
    calls = {t: float(len(run.calls)) for t, run in corpus.runs.items()}
    said = {t: float(sum(len(w.text) for w in run.words)) for t, run in corpus.runs.items()}
    unusual = {*longest(calls), *longest(said)}
    return {
        trace_id: list(run_strata(trace_id, corpus, is_outlier=trace_id in unusual))
        for trace_id in trace_ids
    }


def longest(lengths: Mapping[str, float]) -> list[str]:
    """The runs that are outliers in length."""
    limit = upper_limit(list(lengths.values()))
    return [t for t, length in lengths.items() if limit is not None and length > limit]


def run_strata(trace_id: str, corpus: ComparedCorpus, *, is_outlier: bool) -> Iterator[StratumKey]:
    """The strata of one run."""
    run = corpus.runs[trace_id]
    yield "segment", segment_name(corpus.segments[trace_id])
    yield "ending", f"{segment_name(corpus.segments[trace_id])} {run.ending}"
    yield from (("signal", name) for name in corpus.signals.get(trace_id, ()))
    yield from (("score", score) for score in run.scores)
    yield from (("change", tool) for tool in dict.fromkeys(call.tool for call in run.changes))
    yield from (
        ("departure", f"{found.kind} {found.tool}")
        for found in corpus.departures_by_run.get(trace_id, ())
    )
    if trace_id in corpus.has_peers:
        yield "group", group_name(corpus.groups[trace_id])
    if is_outlier:
        yield "outlier", "in length"


def heads_of(trace_ids: Sequence[str], corpus: ComparedCorpus) -> dict[str, str]:
    """What stands under the name of a trace: its group, and where it departs from its peers."""
    return {t: head_of(t, corpus) for t in trace_ids if t in corpus.has_peers}


def head_of(trace_id: str, corpus: ComparedCorpus) -> str:
    """The group of a run and its departures, in one line.

    What addresses its readers is left out: it may be from another trace.
    """
    group = corpus.groups[trace_id]
    texts = map(departure_text, corpus.departures_by_run.get(trace_id, ()))
    parts = "; ".join(islice((t for t in texts if not addresses_readers(t)), SHOWN_DEPARTURES))
    peers = f"{group_name(group)}, one of {len(corpus.members[group])} runs of a task"
    return f"({peers}. Unlike its peers: {parts})" if parts else f"({peers})"


def departure_text(found: Departure) -> str:
    """A departure in words; of arguments that differ in part, only that part."""
    share = f"{found.agreeing} of {found.peers}"
    own, peers = found.arguments, found.usual
    if found.kind is DepartureKind.OTHER_ARGUMENTS:
        own, peers = differing_arguments(own, peers)
    tool, mine, usual = (on_one_line(text)[:SHOWN_ARGUMENTS] for text in (found.tool, own, peers))
    if found.kind is DepartureKind.MISSING:
        return f"no {tool} {usual}, made by {share}"
    if found.kind is DepartureKind.UNUSUAL:
        return f"{tool} {mine}, not made by {share}"
    return f"{tool} {mine}, where {share} have {usual}"
