"""The survey: a model says of many runs in one line each what went wrong, before anyone explores.

The runs are read side by side with those of the same task, so that each is judged beside its peers.
Of runs that took the same course, changing the same and ending alike, some are read, and what is
noted of an action in all of these holds for the others. Where the budget does not suffice, a sample
is read that is planned so that rare failures are in it (``halo_engine.statistics.survey_plan``). The
notes are a table, which the analyst queries, clusters and corrects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.comparison.tables import TEXT, course_name, group_name, segment_name
from halo_engine.findings import Evidence
from halo_engine.rlm.judging import evidence_of_quote
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.read_budget import ReadBudget
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.survey_choice import chosen_runs, heads_of
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_engine.store.rows import SqlRow
from halo_engine.text.sanitize import safe_line

PURPOSE = "survey"
# Of the traces that were not read for one reason, the first.
NAMED_TRACES = 30
WHAT_CHARS, ABOUT_CHARS = 300, 60

NOTES = {
    **{"trace_id": TEXT, "span_id": TEXT, "trace": TEXT, "span": TEXT, "segment": TEXT},
    **{"grp": TEXT, "course": TEXT, "kind": TEXT, "about": TEXT, "what": TEXT, "quote": TEXT},
    **{"severity": TEXT, "field": TEXT, "read_in": TEXT},
}
SURVEYED = {"trace_id": TEXT, "trace": TEXT}


class FaultKind(StrEnum):
    """In what way a run went wrong: the errors of action, of speech and of procedure."""

    MISSING_ACTION = "missing_action"
    UNWANTED_ACTION = "unwanted_action"
    WRONG_ARGUMENTS = "wrong_arguments"
    NEEDLESS_HANDOFF = "needless_handoff"
    WRONG_ANSWER = "wrong_answer"
    MISSING_ANSWER = "missing_answer"
    BROKEN_PROCEDURE = "broken_procedure"
    STUCK = "stuck"
    WASTE = "waste"
    OTHER = "other"


class FaultSeverity(StrEnum):
    """Whether a fault matters by itself: what its owner would mend first, and the rest."""

    MAJOR = "major"
    MINOR = "minor"


KIND_MEANINGS = {
    FaultKind.MISSING_ACTION: "something that was asked for, allowed and possible was not done, also "
    "where the agent said that it was, or gave the task away instead",
    FaultKind.UNWANTED_ACTION: "something was changed that nobody asked for, or that the "
    "instructions forbid, whatever the user said",
    FaultKind.WRONG_ARGUMENTS: "the right action with a wrong object, value or amount, or with "
    "a part left out",
    FaultKind.NEEDLESS_HANDOFF: "the agent gave the task away, refused or gave up, though it could "
    "have gone on",
    FaultKind.WRONG_ANSWER: "the user was told something untrue: invented, miscalculated, misread",
    FaultKind.MISSING_ANSWER: "something that the user asked or had to know was not told",
    FaultKind.BROKEN_PROCEDURE: "an instruction on how to proceed was broken, such as to ask first",
    FaultKind.STUCK: "the run ended without an end: in circles, at a limit, by an error",
    FaultKind.WASTE: "the result is right, but steps, time or money were wasted to a degree that "
    "matters",
    FaultKind.OTHER: "anything else that its owner would mend",
}
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


# The kinds of faults that are about what a run changed, which runs of one course have in common.
OF_A_COURSE = frozenset(
    {
        *(FaultKind.MISSING_ACTION, FaultKind.UNWANTED_ACTION, FaultKind.WRONG_ARGUMENTS),
        FaultKind.NEEDLESS_HANDOFF,
    }
)


class Note(FrozenModel):
    """What is noted of a run: a fault of ``kind``, ``about`` a tool or a subject.

    ``evidence`` proves it, if the quote was found. ``read_in`` is the run in which it was read: this
    one, or another that took the same course.
    """

    trace_id: str
    kind: FaultKind
    about: str
    severity: FaultSeverity
    what: str
    evidence: Evidence | None
    span_id: str | None
    read_in: str


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
    corpus: ComparedCorpus, mapper: Mapper, short_ids: ShortIds, budget: ReadBudget, seed: int
) -> Survey:
    """Read some runs of ``corpus``, as many as ``budget`` suffices for."""
    order, plan = chosen_runs(corpus, budget, seed)
    if not order:
        return Survey(plan="The budget does not suffice for a survey.")
    rows = mapper.rows(
        order,
        prompt("survey"),
        SURVEY_FIELDS,
        purpose=PURPOSE,
        texts={"kinds": kinds_text()},
        detail=Detail.DIGEST,
        heads=heads_of(order, corpus),
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


def write_notes(
    survey: Survey, corpus: ComparedCorpus, store: TraceStore, short_ids: ShortIds
) -> None:
    """Keep the notes, and which traces were judged, as tables for SQL."""
    named = [(note.trace_id, note.span_id) for note in survey.notes if note.span_id]
    spans = short_ids.span_names(named)
    store.derive("notes", NOTES, [note_row(n, corpus, short_ids, spans) for n in survey.notes])
    judged = [(trace_id, short_ids.name(trace_id)) for trace_id in survey.judged]
    store.derive("surveyed", SURVEYED, judged)


def note_row(
    note: Note, corpus: ComparedCorpus, short_ids: ShortIds, spans: Mapping[tuple[str, str], str]
) -> SqlRow:
    """The row of a note in ``NOTES``."""
    trace_id, proof = note.trace_id, note.evidence
    return (
        *(trace_id, note.span_id, short_ids.name(trace_id)),
        spans.get((trace_id, note.span_id or "")),
        segment_name(corpus.segments[trace_id]),
        *(group_name(corpus.groups[trace_id]), course_name(corpus.courses[trace_id])),
        *(note.kind.value, note.about, note.what, proof.quote if proof else None),
        *(note.severity.value, proof.field if proof else None),
        short_ids.name(note.read_in),
    )


def note_counts(survey: Survey, corpus: ComparedCorpus) -> list[dict[str, object]]:
    """Segment, kind and subject of the notes, with the number of traces that have one."""
    traces: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for note in survey.notes:
        segment = segment_name(corpus.segments[note.trace_id])
        traces[segment, note.kind.value, note.about].add(note.trace_id)
    ordered = sorted(traces.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {"segment": segment, "kind": kind, "about": about, "traces": len(ids)}
        for (segment, kind, about), ids in ordered
    ]


def kinds_text() -> str:
    """The kinds of faults with their meanings."""
    return "\n".join(f"- {kind}: {meaning}" for kind, meaning in KIND_MEANINGS.items())


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
