"""Root causes: the step at which a failed trace first went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.findings import RootCause
from halo_engine.rlm.candidates import MODES
from halo_engine.rlm.judging import evidence_of_hit
from halo_engine.rlm.labelling import REASON_CHARS
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure
from halo_engine.text.sanitize import safe_text

ROOT_CAUSE_FIELDS = {
    "failed": RowField(type="boolean", is_nullable=False),
    "span": RowField(description="the [name] of the step that is the root cause"),
    "failure_mode": RowField(choices=MODES),
    "quote": RowField(),
    "why": RowField(description="one sentence"),
}
QUESTION = "Did the run fail, and at which step did it first go wrong?"


def root_causes(
    trace_ids: Sequence[str], mapper: Mapper, short_ids: ShortIds, background: str | None
) -> tuple[list[RootCause], list[Failure]]:
    """The root causes of those of the traces that failed, and a failure for each without an answer.

    ``background`` is the user's description of the agent.
    """
    text = f"{QUESTION}\n\nFrom the agent's owner:\n{background}" if background else QUESTION

    def check(trace_id: str, row: Row) -> str | None:
        if not row["failed"]:
            return None
        hit = {"span": row["span"], "quote": row["quote"] or ""}
        located = evidence_of_hit(trace_id, hit, short_ids)
        return None if located else "the quote is not in that step"

    rows = mapper.rows(
        trace_ids,
        prompt("root_cause"),
        ROOT_CAUSE_FIELDS,
        purpose="root causes",
        check=check,
        texts={"question": text},
    )
    found: list[RootCause] = []
    failures: list[Failure] = []
    for row in rows:
        trace_id = short_ids.trace_id(row["trace"]) or ""
        if "error" in row:
            failures.append(Failure(stage="root cause", where=trace_id, what=str(row["error"])))
        elif row["failed"]:
            found.append(root_cause_of(trace_id, row, short_ids))
    return found, failures


def root_cause_of(trace_id: str, row: Row, short_ids: ShortIds) -> RootCause:
    """The root cause in ``row``, whose quote was located when the row was checked."""
    evidence = evidence_of_hit(trace_id, {"span": row["span"], "quote": row["quote"]}, short_ids)
    assert evidence is not None
    return RootCause(
        trace_id=trace_id,
        span_id=evidence.span_id,
        failure_mode=row["failure_mode"] or "other",
        reason=safe_text(row["why"] or "", REASON_CHARS),
        evidence=evidence,
    )
