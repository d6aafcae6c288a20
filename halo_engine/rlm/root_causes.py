"""Where a failed trace first went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halo_engine.findings import RootCause
from halo_engine.rlm.candidates import MODES
from halo_engine.rlm.labelling import proof_of
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import redact_for_prompt
from halo_engine.schema import Failure

FIELDS: dict[str, Any] = {
    "failed": {"type": "boolean"},
    "span": "the [name] of the step that is the root cause",
    "failure_mode": MODES,
    "quote": "string",
    "why": "one sentence",
}
QUESTION = "Did the run fail, and at which step did it first go wrong?"


def root_causes(
    trace_ids: Sequence[str], mapper: Mapper, references: ShortIds, background: str | None
) -> tuple[list[RootCause], list[Failure]]:
    """The root cause of each trace that did fail, and the traces without a usable answer."""
    told = f"{QUESTION}\n\nFrom the agent's owner:\n{background}" if background else QUESTION

    def check(trace_id: str, row: Row) -> str | None:
        if not row["failed"]:
            return None
        hit = {"span": row["span"], "quote": row["quote"] or ""}
        return None if proof_of(trace_id, hit, references) else "the quote is not in that step"

    instruction = filled(prompt("root_cause"), question=told)
    rows = mapper.rows(trace_ids, instruction, FIELDS, purpose="root causes", check=check)
    found: list[RootCause] = []
    failures: list[Failure] = []
    for row in rows:
        trace_id = references.trace_id(row["trace"]) or ""
        if "error" in row:
            failures.append(Failure(stage="root cause", where=trace_id, what=str(row["error"])))
        elif row["failed"]:
            found.append(root_cause_of(trace_id, row, references))
    return found, failures


def root_cause_of(trace_id: str, row: Row, references: ShortIds) -> RootCause:
    """The root cause that one row names; its quote was found when the row came."""
    proof = proof_of(trace_id, {"span": row["span"], "quote": row["quote"]}, references)
    assert proof is not None
    return RootCause(
        trace_id=trace_id,
        span_id=proof.span_id,
        failure_mode=row["failure_mode"] or "other",
        reason=redact_for_prompt(str(row["why"] or "")),
        evidence=proof,
    )
