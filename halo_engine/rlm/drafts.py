"""Drafts: the findings that the notes of a survey make by themselves, for the analyst to amend.

What was noted of one segment in one way about one subject is one draft, if it is in two runs or more
and mostly matters; what is minor is one if it is in many runs. A draft stands if nobody amends it: it
is reviewed, counted and reported as any other finding, with the words of its notes. It never says
more than they do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.tables import segment_name
from halo_engine.findings import FindingCheck, ListedTrace
from halo_engine.rlm.candidates import MAX_CANDIDATES, MAX_EVIDENCE, TEXT_CHARS, Candidate, Impact
from halo_engine.rlm.notes import KIND_MEANINGS, FaultKind, FaultSeverity, Note
from halo_engine.text.injection import addresses_analysts
from halo_engine.text.sanitize import safe_line

# The room that is left for what the analyst finds.
MAX_DRAFTS = MAX_CANDIDATES * 3 // 4
MIN_RUNS = 2
# A minor fault is a finding from this share of the runs of its segment on.
FREQUENT_SHARE = 0.1
# Notes whose words stand in the summary of a draft.
TOLD_NOTES = 5
# The subject of notes none of whose wordings can stand in a title.
UNNAMED = "something"
SUBJECT_WORD = re.compile(r"\w+")
CAUSE = "Not examined: this was noted run by run, and the runs were then counted."
RECOMMENDATION = "Read the quoted runs beside those of the same task that went well."


class DraftForm(NamedTuple):
    """How a kind of fault is reported: the title after its subject, failure mode and impact."""

    title: str
    failure_mode: str
    impact: Impact = Impact.WRONG_OUTCOME


FORMS = {
    FaultKind.MISSING_ACTION: DraftForm("left out though asked for and possible", "premature_stop"),
    FaultKind.UNWANTED_ACTION: DraftForm(
        "done though not wanted or allowed", "instruction_violation"
    ),
    FaultKind.WRONG_ARGUMENTS: DraftForm("done with wrong values", "wrong_result"),
    FaultKind.NEEDLESS_HANDOFF: DraftForm(
        "given up or given away needlessly", "unwarranted_refusal"
    ),
    FaultKind.WRONG_ANSWER: DraftForm("told wrongly", "unsupported_claim"),
    FaultKind.MISSING_ANSWER: DraftForm("not told though asked or needed", "other"),
    FaultKind.BROKEN_PROCEDURE: DraftForm(
        "procedure broken", "instruction_violation", Impact.DEGRADED
    ),
    FaultKind.STUCK: DraftForm("stuck", "run_overrun"),
    FaultKind.WASTE: DraftForm("wasteful", "step_repetition", Impact.DEGRADED),
    FaultKind.OTHER: DraftForm("goes wrong", "other"),
}


class DraftKey(NamedTuple):
    """What the notes of a draft have in common; ``subject`` as it is compared."""

    segment: int
    kind: FaultKind
    subject: str


# The drafts by what their notes have in common.
Drafts = Mapping[DraftKey, Candidate]


def drafts_of(notes: Sequence[Note], corpus: ComparedCorpus) -> Drafts:
    """The drafts, called F1, F2, ..., that of the most runs first; at most ``MAX_DRAFTS``."""
    found: dict[DraftKey, list[Note]] = defaultdict(list)
    for note in notes:
        found[key_of(note, corpus)].append(note)
    order = sorted(
        (
            key
            for key, same in found.items()
            if is_finding(same, len(corpus.segment_members[key.segment]))
        ),
        key=lambda key: (-len(runs_of(found[key])), key),
    )
    agents = agent_names(corpus)
    return {
        key: draft(f"F{n}", key, found[key], agents[key.segment])
        for n, key in enumerate(order[:MAX_DRAFTS], start=1)
    }


def key_of(note: Note, corpus: ComparedCorpus) -> DraftKey:
    """What ``note`` has in common with others of its draft."""
    return DraftKey(corpus.segments[note.trace_id], note.kind, subject_key(note.about))


def subject_key(about: str) -> str:
    """A subject in a form that is the same for its wordings: its words sorted, without plurals."""
    words = {word.removesuffix("s") for word in SUBJECT_WORD.findall(about.lower())}
    return " ".join(sorted(words))


def is_finding(notes: Sequence[Note], segment_runs: int) -> bool:
    """Whether ``notes`` of a segment are a finding: proven, in enough of its runs."""
    needed = MIN_RUNS if is_major(notes) else max(MIN_RUNS, FREQUENT_SHARE * segment_runs)
    return any(note.evidence for note in notes) and len(runs_of(notes)) >= needed


def is_major(notes: Sequence[Note]) -> bool:
    """Whether most of ``notes`` are of faults that matter."""
    major = sum(note.severity is FaultSeverity.MAJOR for note in notes)
    return 2 * major >= len(notes)


def runs_of(notes: Sequence[Note]) -> dict[str, Note]:
    """Trace id -> the note of it, one with a proven quote if there is one."""
    found: dict[str, Note] = {}
    for note in notes:
        known = found.setdefault(note.trace_id, note)
        if note.evidence and not known.evidence:
            found[note.trace_id] = note
    return found


def agent_names(corpus: ComparedCorpus) -> dict[int, str]:
    """Segment -> how its agent is called in titles; nothing where there is but one segment."""
    agents = {
        number: Counter(corpus.runs[t].agent for t in ids).most_common(1)[0][0]
        for number, ids in corpus.segment_members.items()
    }
    agents = {number: agent if is_sayable(agent) else "" for number, agent in agents.items()}
    if len(agents) == 1:
        return dict.fromkeys(agents, "")
    shared = Counter(agents.values())
    return {
        number: agent if agent and shared[agent] == 1 else f"{agent} {segment_name(number)}".strip()
        for number, agent in agents.items()
    }


def noted_subject(notes: Sequence[Note]) -> str:
    """The most frequent wording of the subject of ``notes``."""
    wordings = Counter(note.about for note in notes if is_sayable(note.about))
    return next((about for about, _ in wordings.most_common(1)), UNNAMED)


def is_sayable(words: str) -> bool:
    """Whether ``words`` of a note, or a name from a trace, can stand in a finding.

    They cannot if they are worded for its readers, who would take them for the analyst's.
    """
    return bool(words) and not addresses_analysts(words)


def draft(id: str, key: DraftKey, notes: Sequence[Note], agent: str) -> Candidate:
    """The draft with the runs of ``notes``."""
    form, runs = FORMS[key.kind], runs_of(notes)
    title = f"{noted_subject(notes)}: {form.title}{f' ({agent})' if agent else ''}"
    proofs = [note.evidence for note in runs.values() if note.evidence]
    listed = (
        ListedTrace(trace_id=trace_id, span_id=note.span_id, evidence=note.evidence)
        for trace_id, note in runs.items()
    )
    return Candidate(
        id=id,
        title=safe_line(title, TEXT_CHARS["title"]),
        failure_mode=form.failure_mode,
        summary=safe_line(summary(notes), TEXT_CHARS["summary"]),
        cause=CAUSE,
        recommendation=RECOMMENDATION,
        impact=form.impact if is_major(notes) else Impact.DEGRADED,
        evidence=tuple(proofs[:MAX_EVIDENCE]),
        check=FindingCheck(traces=tuple(listed)),
        boundaries=f"What counts: {KIND_MEANINGS[key.kind]}.",
        is_draft=True,
    )


def summary(notes: Sequence[Note]) -> str:
    """How many runs were read, and what was noted in some of them."""
    read = {note.read_in: note for note in notes}
    inherited = len(runs_of(notes)) - len(read)
    counted = f"Noted in {len(read):,} runs that were read"
    also = f", and taken to hold in {inherited:,} more that did the same" if inherited > 0 else ""
    # Without the names of runs, which nobody knows outside of the analysis.
    said = dict.fromkeys(note.what.rstrip(".") for note in read.values() if is_sayable(note.what))
    told = "; ".join(list(said)[:TOLD_NOTES])
    return f"{counted}{also}{f': {told}' if told else ''}."
