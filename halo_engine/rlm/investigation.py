"""The whole analysis by a model: explore, look again, label, assemble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halo_engine.detectors.runner import importance
from halo_engine.findings import Cost, Finding, ModelAnalysis, RejectedFinding, Report, RootCause
from halo_engine.llm import ChatModel, ModelClient
from halo_engine.rlm.assembly import finding_of, merged, reuse_fingerprints
from halo_engine.rlm.candidates import Candidate, CheckRules
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.rlm.events import AnalysisEventKind, OnEvent, analysis_event, ignore_event
from halo_engine.rlm.host import Host
from halo_engine.rlm.labelling import label
from halo_engine.rlm.loop import Loop, State
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import hashes
from halo_engine.rlm.review import Reviewed, review
from halo_engine.rlm.root_causes import root_causes
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.source_code import SourceCode
from halo_engine.schema import Failure
from halo_engine.store import TraceStore

# Shares of every limit that may be used up to the end of a stage.
EXPLORE = 0.65
REVIEW = 0.75

NOT_CONFIRMED = "the second look did not confirm it"


@dataclass(frozen=True)
class InvestigationBrief:
    """What the user wants: a question, what the agent is for, root causes of failed traces.

    ``code`` is the folder of the agent's source, for the model to look up causes in.
    """

    question: str | None = None
    background: str | None = None
    root_causes: bool = False
    code: str | None = None
    seed: int = 0


@dataclass
class Investigation:
    """One analysis by ``model`` (the root) and ``sub_model`` (everything that reads traces).

    ``earlier`` are the findings of former runs, whose names the same findings take.
    """

    store: TraceStore
    signals: Report
    calls: ModelClient
    model: ChatModel
    sub_model: ChatModel
    sandbox: Sandbox
    brief: InvestigationBrief = field(default_factory=InvestigationBrief)
    on_event: OnEvent = ignore_event
    earlier: Sequence[Finding] = ()

    def __post_init__(self) -> None:
        self._frame = DataDelimiter(self.calls.ledger.fact("frame", new_nonce()))
        self._references = ShortIds(self.store)
        self._rules = CheckRules(self.store)
        self._mapper = Mapper(self.calls, self.sub_model, self._references, self._frame)
        self._failures: list[Failure] = []

    def run(self) -> Report:
        """The report of the detectors with the model's findings, whatever came in between."""
        with self.calls.budget.up_to(EXPLORE):
            state = self._explored()
        candidates = state.notebook.candidates
        # What is kept for labels is kept for questions: rules cost nothing.
        is_asked = any(candidate.check.question for candidate in candidates)
        with self.calls.budget.up_to(REVIEW if is_asked else 1.0):
            reviewed = list(self._reviewed(candidates))
        believed = [r for r in reviewed if r.stands]
        found, shortened = self._labelled(believed)
        causes = (
            self._root_causes([*self.signals.findings, *found]) if self.brief.root_causes else []
        )
        rejected = [
            RejectedFinding(title=r.candidate.title, reason=why(r))
            for r in reviewed
            if not r.stands
        ]
        return self._report(state, found, causes, rejected, shortened)

    def _explored(self) -> State:
        """What the analyst submits."""
        host = Host(
            self._rules,
            self._references,
            self.signals,
            self.calls,
            self.sub_model,
            self._frame,
            SourceCode(Path(self.brief.code)) if self.brief.code else None,
        )
        loop = Loop(
            host,
            self.sandbox,
            self.calls,
            self.model,
            self._frame,
            question=self.brief.question,
            background=self.brief.background,
            on_event=self.on_event,
        )
        return loop.run()

    def _reviewed(self, candidates: Sequence[Candidate]) -> Iterator[Reviewed]:
        """A second look at each of ``candidates``, side by side."""

        def one(candidate: Candidate) -> Reviewed:
            return review(candidate, self._mapper, self._references)

        for reviewed in self.calls.each(one, candidates):
            stands = reviewed.stands
            self.on_event(
                analysis_event(AnalysisEventKind.REVIEWED, id=reviewed.candidate.id, stands=stands)
            )
            yield reviewed

    def _labelled(self, believed: Sequence[Reviewed]) -> tuple[list[Finding], int]:
        """The findings with all the traces that show them."""
        by_id = {r.candidate.id: r for r in believed}
        labels, failures, shortened = label(
            [r.candidate for r in believed],
            self._rules,
            self._references,
            self._mapper,
            self.calls.budget,
            self.sub_model.price,
            seed=self.brief.seed,
        )
        self._failures += failures
        total = self.signals.traces
        found = [finding_of(by_id[x.candidate.id], x, self.model.name, total) for x in labels]
        for finding in found:
            affected = finding.prevalence.affected
            self.on_event(
                analysis_event(AnalysisEventKind.LABELLED, id=finding.id, affected=affected)
            )
        return reuse_fingerprints(merged(found), self.earlier), shortened

    def _root_causes(self, findings: Sequence[Finding]) -> list[RootCause]:
        """The root causes of the traces that anything says have failed."""
        failed = {a.trace_id for f in findings for a in f.affected}
        order = [trace_id for trace_id in self._references.trace_ids if trace_id in failed]
        found, failures = root_causes(order, self._mapper, self._references, self.brief.background)
        self._failures += failures
        return found

    def _report(
        self,
        state: State,
        found: Sequence[Finding],
        causes: Sequence[RootCause],
        rejected: Sequence[RejectedFinding],
        shortened: int,
    ) -> Report:
        analysis = ModelAnalysis(
            model=self.model.name,
            sub_model=self.sub_model.name,
            turns=state.turn,
            ending=state.ending or "",
            summary=state.notebook.summary,
            rejected=tuple(rejected),
            quotes_not_found=state.notebook.quotes_not_found,
            shortened=shortened,
            costs=costs_of(self.calls),
            prompts=hashes(),
        )
        findings = sorted([*self.signals.findings, *found], key=importance)
        return self.signals.model_copy(
            update={
                "findings": tuple(findings),
                "failures": (*self.signals.failures, *self._failures),
                "root_causes": tuple(causes),
                "analysis": analysis,
            }
        )


def costs_of(calls: ModelClient) -> tuple[Cost, ...]:
    """What was spent, by purpose."""
    return tuple(
        Cost(
            purpose=purpose,
            calls=spent.calls,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            usd=spent.usd,
        )
        for purpose, spent in sorted(calls.budget.by_purpose.items())
    )


def why(reviewed: Reviewed) -> str:
    """Why a candidate was not believed."""
    return "; ".join(reviewed.reasons) or NOT_CONFIRMED
