"""How to tell in which traces a failure shows: by a rule, or by a question for a model."""

from __future__ import annotations

from halo_engine.findings.evidence import Evidence
from halo_engine.schema import FrozenModel


class ListedTrace(FrozenModel):
    """A trace of a list that code computed, with the span and the verified quote that prove it."""

    trace_id: str
    span_id: str | None = None
    evidence: Evidence | None = None


class FindingCheck(FrozenModel):
    """How to decide whether a trace shows a finding.

    The rule selects traces: ``pattern`` (RE2, in ``field`` or in any text), ``sql`` (rows of
    trace_id, span_id), a list of ``traces``, or several of these, which all must hold. A model is
    asked ``question`` about each of their traces, or about all traces if there is no rule.
    """

    pattern: str | None = None
    field: str | None = None
    sql: str | None = None
    traces: tuple[ListedTrace, ...] = ()
    question: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether it is a list of traces and nothing else."""
        return self == FindingCheck(traces=self.traces) and bool(self.traces)

    @property
    def has_rule(self) -> bool:
        """Whether a rule selects the traces that can show the finding."""
        return bool(self.pattern or self.sql or self.traces)

    def __str__(self) -> str:
        listed = f"{len(self.traces):,} traces that the analysis computed" if self.traces else None
        parts = {"text matches": self.pattern, "SQL": self.sql, "list of": listed}
        parts["judged"] = self.question
        return "; ".join(f"{name} {text}" for name, text in parts.items() if text)
