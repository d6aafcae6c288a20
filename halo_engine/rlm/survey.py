"""The survey: a model says of many runs in one line each what went wrong, before anyone explores.

The runs are read side by side with those of the same task, so that each is judged beside its peers.
Of runs that took the same course, changing the same and ending alike, some are read, and what is
noted of an action in all of these holds for the others. Where the budget does not suffice, a sample
is read that is planned so that rare failures are in it (``halo_engine.statistics.survey_plan``). The
notes are a table (``halo_engine.rlm.note_tables``), and make the drafts of findings
(``halo_engine.rlm.drafts``), which the analyst corrects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.rlm.judging import evidence_of_quote
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.notes import OF_A_COURSE, FaultKind, FaultSeverity, Note, kinds_text
from halo_engine.rlm.pages.batches import PageLayout
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.read_budget import ReadBudget
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.survey_choice import chosen_runs, heads_of
from halo_engine.schema import Failure
from halo_engine.text.sanitize import safe_line

PURPOSE = "survey"
# Of the traces that were not read for one reason, the first.
NAMED_TRACES = 5
WHAT_CHARS, ABOUT_CHARS = 300, 60

SURVEY_FIELDS = {
    "faults": RowField(
        type="array",
        description='list of {"kind": "...", "about": "...", "severity": "major" or "minor", '
        '"what": "...", "span": "T3.5", "quote": "..."}',
        items=RowField(
            type="object",
            members={
                "kind": RowField(choices=tuple(FaultKind), is_nullable=False),
                "about": RowField(is_nullable=False),
                "severity": RowField(choices=tuple(FaultSeverity), may_be_missing=True),
                "what": RowField(is_nullable=False),
                "span": RowField(),
                "quote": RowField(),
            },
            is_nullable=False,
        ),
    )
}


@dataclass(frozen=True)
class Survey:
    """What a survey brought: notes, the ids of the traces that were judged, its plan in words.

    For ``undecided`` traces the answer was that it cannot be told.
    """

    notes: Sequence[Note] = ()
    judged: Sequence[str] = ()
    undecided: int = 0
    plan: str = ""
    failures: Sequence[Failure] = ()

    def __str__(self) -> str:
        noted = len({note.read_in for note in self.notes})
        told = f"{noted:,} of {len(self.judged):,} traces that could be judged have a note"
        unsure = f", {self.undecided:,} could not be judged" if self.undecided else ""
        return f"{self.plan} {told}{unsure}." if self.judged else self.plan


def run_survey(
    corpus: ComparedCorpus,
    mapper: Mapper,
    short_ids: ShortIds,
    budgets: Mapping[Detail, ReadBudget],
    seed: int,
) -> Survey:
    """Read some runs of ``corpus``, as many as the budget suffices for.

    ``budgets`` are what is left of it, with the sizes of traces in each detail of a digest.
    """
    order, plan, details = chosen_runs(corpus, budgets, seed)
    if not order:
        return Survey(plan="The budget does not suffice for a survey.")
    rows = mapper.rows(
        order,
        prompt("survey"),
        SURVEY_FIELDS,
        purpose=PURPOSE,
        texts={"kinds": kinds_text()},
        layout=PageLayout(heads=heads_of(order, corpus), together=corpus.groups, details=details),
    )
    answered = [row for row in rows if "error" not in row]
    decided = [row for row in answered if row["faults"] is not None]
    judged = [short_ids.trace_id(row["trace"]) or "" for row in decided]
    read = [note for row in decided for note in notes_in(row, short_ids)]
    return Survey(
        notes=(*read, *notes_of_courses(read, judged, corpus)),
        judged=judged,
        undecided=len(answered) - len(decided),
        plan=plan,
        failures=survey_failures(rows),
    )


def known_by(survey: Survey, corpus: ComparedCorpus) -> frozenset[str]:
    """The traces of which a survey tells: those that were judged, and the others of their courses."""
    courses = {corpus.courses[trace_id] for trace_id in survey.judged}
    return frozenset(t for course in courses for t in corpus.course_members[course])


# -- what was answered ----------------------------------------------------------------------------


def notes_in(row: Row, short_ids: ShortIds) -> Iterator[Note]:
    """The notes in an answer about one trace; a quote that is not in the trace proves nothing."""
    trace_id = short_ids.trace_id(row["trace"]) or ""
    for fault in row["faults"]:
        named = short_ids.span(fault.get("span"), trace_id)
        span_id = named.span_id if named and named.trace_id == trace_id else None
        proof = evidence_of_quote(trace_id, fault.get("span"), fault.get("quote"), short_ids)
        yield Note(
            trace_id=trace_id,
            kind=fault["kind"],
            about=safe_line(fault["about"], ABOUT_CHARS),
            severity=fault.get("severity") or FaultSeverity.MAJOR,
            what=safe_line(fault["what"], WHAT_CHARS),
            evidence=proof,
            span_id=proof.span_id if proof else span_id,
            read_in=trace_id,
        )


def notes_of_courses(
    notes: Sequence[Note], judged: Sequence[str], corpus: ComparedCorpus
) -> Iterator[Note]:
    """What is noted of an action in all runs of a course that were judged, for its other runs."""
    read: dict[tuple[int, int], set[str]] = defaultdict(set)
    for trace_id in judged:
        read[corpus.courses[trace_id]].add(trace_id)
    found: dict[tuple[tuple[int, int], FaultKind, str], list[Note]] = defaultdict(list)
    for note in notes:
        if note.kind in OF_A_COURSE:
            found[corpus.courses[note.trace_id], note.kind, note.about.lower()].append(note)
    for (course, _, _), same in found.items():
        if {note.trace_id for note in same} != read[course]:
            continue
        for trace_id in corpus.course_members[course]:
            if trace_id not in read[course]:
                span_id = call_of(corpus.runs[trace_id], same[0].about)
                changes = {"trace_id": trace_id, "evidence": None, "span_id": span_id}
                yield same[0].model_copy(update=changes)


def call_of(run: RunFacts, tool: str) -> str | None:
    """The span of the first call of ``tool`` that changed something."""
    return next((call.span_id for call in run.changes if call.tool == tool), None)


def survey_failures(rows: Sequence[Row]) -> list[Failure]:
    """Why traces of the survey were not read: one failure for all with the same reason."""
    traces: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if "error" in row:
            traces[str(row["error"])].append(row["trace"])
    return [Failure(stage=PURPOSE, where=names_of(ids), what=what) for what, ids in traces.items()]


def names_of(traces: Sequence[str]) -> str:
    """The names of some traces, as a list."""
    more = len(traces) - NAMED_TRACES
    return ", ".join(traces[:NAMED_TRACES]) + (f" and {more:,} more" if more > 0 else "")
