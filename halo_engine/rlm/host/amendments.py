"""Host functions that amend findings: look at one, change it, unite several, withdraw one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from halo_engine.findings import Evidence
from halo_engine.rlm.amending import amended, united
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.host.arguments import Name, Text
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.results import Results
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.source import SourceFiles
from halo_engine.text.sanitize import strip_invisible

MAX_UNITED = 40
NAMESAKE = "title: {id} has the same: unite_findings(), or say in what this differs."
Ids = Annotated[list[Name], Field(min_length=2, max_length=MAX_UNITED)]


class Amendments:
    """The host functions that amend the findings in ``results``; causes are looked up in ``code``."""

    def __init__(
        self, context: HostContext, results: Results, code: SourceFiles | None = None
    ) -> None:
        self._context = context
        self._code = code
        self._results = results

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.finding, self.amend_finding, self.unite_findings, self.drop_finding

    def finding(self, id: Name) -> dict[str, Any]:
        """A finding with its texts, traces and evidence."""
        return self._shown(self._results.finding_of(id))

    def amend_finding(self, id: Name, **changes: Any) -> dict[str, Any]:
        """Change texts of a finding, or ``add`` and ``remove`` traces of its list."""
        candidate = self._results.finding_of(id)
        return self._kept(*self._amended(candidate, changes, [candidate]))

    def unite_findings(self, ids: Ids, **changes: Any) -> dict[str, Any]:
        """Make one finding of several, under the first id, and amend it."""
        parts = [self._results.finding_of(id) for id in dict.fromkeys(ids)]
        candidate, problems = self._amended(united(parts), changes, parts)
        if not problems:
            for part in parts[1:]:
                self._results.drop(part.id, f"It is a part of: {candidate.title}")
        return self._kept(candidate, problems)

    def drop_finding(self, id: Name, reason: Text) -> None:
        """Withdraw a finding, such as one that is not true."""
        self._results.drop(id, reason)

    def _amended(
        self, candidate: Candidate, changes: Mapping[str, Any], parts: Sequence[Candidate]
    ) -> tuple[Candidate, list[str]]:
        """``candidate``, which is to take the place of ``parts``, with ``changes``."""
        context = self._context
        signals = context.signals.findings
        changed, problems = amended(
            candidate, changes, context.short_ids, context.rules, signals, self._code
        )
        others = [c for c in self._results.notebook.candidates if c not in parts]
        namesake = next((c for c in others if c.title.lower() == changed.title.lower()), None)
        if namesake and changes.get("title"):
            return candidate, [*problems, NAMESAKE.format(id=namesake.id)]
        return changed, problems

    def _kept(self, candidate: Candidate, problems: Sequence[str]) -> dict[str, Any]:
        """What became of a change: nothing is changed where there is a problem."""
        if problems:
            raise HostError(" ".join(problems))
        self._results.replace(candidate)
        return self._results.described(candidate)

    def _shown(self, candidate: Candidate) -> dict[str, Any]:
        name = self._context.short_ids.name
        rule = candidate.check.has_rule
        matches: Mapping[str, Any] = self._context.rules.matches(candidate.check) if rule else {}
        texts = ("summary", "cause", "recommendation", "impact", "boundaries", "facts")
        return {
            **self._results.described(candidate),
            **{text: strip_invisible(str(getattr(candidate, text) or "")) for text in texts},
            "traces": [name(trace_id) for trace_id in matches],
            "evidence": [self._quoted(evidence) for evidence in candidate.evidence],
        }

    def _quoted(self, evidence: Evidence) -> dict[str, str]:
        span = self._context.short_ids.span_name(evidence.trace_id, evidence.span_id)
        return {"span": span, "quote": strip_invisible(evidence.quote)}
