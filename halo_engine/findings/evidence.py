"""What proves a finding: quotes of traces, and lines of the agent's source code."""

from __future__ import annotations

from halo_engine.schema import FrozenModel, FrozenStruct


class Citation(FrozenStruct):
    """A quote claimed to be in ``field`` (see ``halo_engine.fields``) of a span; not verified."""

    span_id: str
    field: str
    quote: str


class Evidence(FrozenModel):
    """A quote verified against the stored span; it starts at character ``offset`` of ``field``."""

    trace_id: str
    span_id: str
    field: str
    quote: str
    offset: int


class Affected(FrozenModel):
    """One occurrence of a finding: the trace, and the span (None: the trace as a whole).

    ``is_counted``: the trace is one of those that the prevalence counts, not one of those that show
    it elsewhere (``Prevalence.elsewhere``).
    """

    trace_id: str
    span_id: str | None = None
    reason: str
    evidence: tuple[Evidence, ...] = ()
    is_counted: bool = True


class CodeLine(FrozenModel):
    """A line of the agent's source code as it stands there, redacted; ``line`` counts from 1.

    Its invisible characters are escapes. It is not defanged: whoever displays it outside a fenced
    block does that.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"
