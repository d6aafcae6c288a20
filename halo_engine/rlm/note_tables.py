"""The notes of a survey as tables beside the store, for SQL."""

from __future__ import annotations

from collections.abc import Mapping

from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.tables import TEXT, course_name, group_name, segment_name
from halo_engine.rlm.drafts import Drafts, key_of
from halo_engine.rlm.notes import Note
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.survey import Survey
from halo_engine.store import TraceStore
from halo_engine.store.rows import DerivedTable, SqlRow

NOTES = {
    **{"trace_id": TEXT, "span_id": TEXT, "trace": TEXT, "span": TEXT, "segment": TEXT},
    **{"grp": TEXT, "course": TEXT, "kind": TEXT, "about": TEXT, "what": TEXT, "quote": TEXT},
    **{"severity": TEXT, "field": TEXT, "read_in": TEXT, "finding": TEXT},
}
SURVEYED = {"trace_id": TEXT, "trace": TEXT}


def write_notes(
    survey: Survey, drafts: Drafts, corpus: ComparedCorpus, store: TraceStore, short_ids: ShortIds
) -> None:
    """Keep the notes, each with its draft, and which traces were judged, as tables for SQL."""
    named = [(note.trace_id, note.span_id) for note in survey.notes if note.span_id]
    spans = short_ids.span_names(named)
    rows = []
    for note in survey.notes:
        found = drafts.get(key_of(note, corpus))
        rows.append((*note_row(note, corpus, short_ids, spans), found.id if found else None))
    judged = [(trace_id, short_ids.name(trace_id)) for trace_id in survey.judged]
    store.derive(DerivedTable("notes", NOTES, rows), DerivedTable("surveyed", SURVEYED, judged))


def note_row(
    note: Note, corpus: ComparedCorpus, short_ids: ShortIds, spans: Mapping[tuple[str, str], str]
) -> SqlRow:
    """The row of a note in ``NOTES``, without the draft that it is a part of."""
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
