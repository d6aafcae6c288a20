"""The analysis by a model in four stages: explore, review, label, assemble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halo_engine.detectors.grouping import importance
from halo_engine.findings import (
    Cost,
    Finding,
    ModelAnalysis,
    RejectedFinding,
    Report,
    RootCause,
)
from halo_engine.llm import ChatModel, ModelClient
from halo_engine.rlm.assembly import model_finding, reuse_fingerprints, without_duplicates
from halo_engine.rlm.brief import InvestigationBrief
from halo_engine.rlm.candidates import Candidate, CheckRules
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.rlm.events import AnalysisEventKind, OnEvent, analysis_event, ignore_event
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.labelling import label
from halo_engine.rlm.loop import Loop, LoopState
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import prompt_hashes
from halo_engine.rlm.review import ReviewResult, review
from halo_engine.rlm.root_causes import root_causes
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.source_code import SourceCode
from halo_engine.schema import Failure
from halo_engine.store import TraceStore

# Shares of every limit that are available up to the end of a stage.
EXPLORE_SHARE = 0.65
REVIEW_SHARE = 0.75

NOT_CONFIRMED = "the review did not confirm it"


@dataclass
class Investigation:
    """One analysis by ``model``, the root, and ``sub_model``, which reads the traces.

    ``signals`` is the report of the detectors; ``earlier`` are the findings of former runs, whose
    fingerprints are reused for the same findings.
    """

    store: TraceStore
    signals: Report
    client: ModelClient
    model: ChatModel
    sub_model: ChatModel
    sandbox: Sandbox
    brief: InvestigationBrief = field(default_factory=InvestigationBrief)
    on_event: OnEvent = ignore_event
    earlier: Sequence[Finding] = ()

    def __post_init__(self) -> None:
        # The nonce is a part of every prompt: a run that is resumed needs the same one.
        self._delimiter = DataDelimiter(self.client.ledger.get_or_set("frame", new_nonce()))
        self._short_ids = ShortIds(self.store)
        self._rules = CheckRules(self.store)
        self._mapper = Mapper(self.client, self.sub_model, self._short_ids, self._delimiter)
        self._failures: list[Failure] = []

    def run(self) -> Report:
        """The report of the detectors with the findings of the model, however its loop ended."""
        with self.client.budget.up_to(EXPLORE_SHARE):
            state = self._explore()
        candidates = state.notebook.candidates
        # Labelling by rules costs nothing, so that without questions reviews may use everything.
        has_questions = any(candidate.check.question for candidate in candidates)
        with self.client.budget.up_to(REVIEW_SHARE if has_questions else 1.0):
            reviewed = list(self._review(candidates))
        confirmed = [r for r in reviewed if r.is_confirmed]
        findings, shortened = self._label(confirmed)
        causes = (
            self._root_causes([*self.signals.findings, *findings]) if self.brief.root_causes else []
        )
        rejected = [
            RejectedFinding(title=r.candidate.title, reason=rejection_reason(r))
            for r in reviewed
            if not r.is_confirmed
        ]
        return self._report(state, findings, causes, rejected, shortened)

    def _explore(self) -> LoopState:
        """Run the loop in which the root model submits candidates."""
        context = HostContext(
            self._rules,
            self._short_ids,
            self.signals,
            self.client,
            self.sub_model,
            self._delimiter,
        )
        code = SourceCode(Path(self.brief.code)) if self.brief.code else None
        loop = Loop(
            Host(context, code),
            self.sandbox,
            self.client,
            self.model,
            self._delimiter,
            question=self.brief.question,
            background=self.brief.background,
            on_event=self.on_event,
        )
        return loop.run()

    def _review(self, candidates: Sequence[Candidate]) -> Iterator[ReviewResult]:
        """Review ``candidates`` in parallel."""
        reviews = self.client.map(lambda c: review(c, self._mapper, self._short_ids), candidates)
        for result in reviews:
            self.on_event(
                analysis_event(
                    AnalysisEventKind.REVIEWED,
                    id=result.candidate.id,
                    is_confirmed=result.is_confirmed,
                )
            )
            yield result

    def _label(self, confirmed: Sequence[ReviewResult]) -> tuple[list[Finding], int]:
        """The findings with all traces that show them, and the number of shortened traces."""
        by_id = {r.candidate.id: r for r in confirmed}
        labels, failures, shortened = label(
            [r.candidate for r in confirmed],
            self._rules,
            self._short_ids,
            self._mapper,
            self.client.budget,
            self.sub_model.price,
            seed=self.brief.seed,
        )
        self._failures += failures
        total = self.signals.traces
        findings = [model_finding(by_id[x.candidate.id], x, self.model.name, total) for x in labels]
        for finding in findings:
            affected = finding.prevalence.affected
            self.on_event(
                analysis_event(AnalysisEventKind.LABELLED, id=finding.id, affected=affected)
            )
        return reuse_fingerprints(without_duplicates(findings), self.earlier), shortened

    def _root_causes(self, findings: Sequence[Finding]) -> list[RootCause]:
        """The root causes of the traces that are affected by any of ``findings``."""
        failed = {a.trace_id for f in findings for a in f.affected}
        order = [trace_id for trace_id in self._short_ids.trace_ids if trace_id in failed]
        found, failures = root_causes(order, self._mapper, self._short_ids, self.brief.background)
        self._failures += failures
        return found

    def _report(
        self,
        state: LoopState,
        findings: Sequence[Finding],
        causes: Sequence[RootCause],
        rejected: Sequence[RejectedFinding],
        shortened: int,
    ) -> Report:
        assert state.ending is not None
        analysis = ModelAnalysis(
            model=self.model.name,
            sub_model=self.sub_model.name,
            turns=state.turn,
            ending=state.ending,
            ending_detail=state.ending_detail,
            summary=state.notebook.summary,
            rejected=tuple(rejected),
            quotes_not_found=state.notebook.quotes_not_found,
            shortened=shortened,
            costs=costs_of(self.client),
            prompts=prompt_hashes(),
        )
        all_findings = sorted([*self.signals.findings, *findings], key=importance)
        return self.signals.model_copy(
            update={
                "findings": tuple(all_findings),
                "failures": (*self.signals.failures, *self._failures),
                "root_causes": tuple(causes),
                "analysis": analysis,
            }
        )


def costs_of(client: ModelClient) -> tuple[Cost, ...]:
    """The cost of each purpose."""
    return tuple(
        Cost(
            purpose=purpose,
            calls=spend.calls,
            prompt_tokens=spend.prompt_tokens,
            completion_tokens=spend.completion_tokens,
            usd=spend.usd,
        )
        for purpose, spend in sorted(client.budget.by_purpose.items())
    )


def rejection_reason(reviewed: ReviewResult) -> str:
    """The reasons of the review for not confirming a candidate."""
    return "; ".join(reviewed.reasons) or NOT_CONFIRMED
