"""The analysis by a model in stages: from comparison and survey to findings and their causes.

These are: compare, survey, explore, review, label, look again, assemble, find causes.

Whatever was found so far is reported: an error in one stage is recorded, and the next ones go on with
what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from halo_engine.comparison import ComparedCorpus, compare_corpus
from halo_engine.comparison.tables import write_tables
from halo_engine.errors import StorageError
from halo_engine.findings import (
    AnalysisEnding,
    Cost,
    Finding,
    ModelAnalysis,
    RejectedFinding,
    Report,
    RootCause,
    Verdict,
    importance,
)
from halo_engine.llm import ChatModel, ModelClient
from halo_engine.rlm.assembly import (
    model_finding,
    without_adopted,
    without_duplicates,
)
from halo_engine.rlm.brief import InvestigationBrief
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.code_causes import PURPOSE, CodeCauses
from halo_engine.rlm.delegation import Delegation, NewSandbox
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.rlm.drafts import Drafts, drafts_of
from halo_engine.rlm.events import (
    AnalysisEventKind,
    EventLog,
    OnEvent,
    ReadingCounter,
    ignore_event,
    one_line_error,
)
from halo_engine.rlm.finding_labels import CHECK_FAILED, FindingLabels
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.delegate import Investigate
from halo_engine.rlm.labelling import label
from halo_engine.rlm.loop import INTERNAL_ERROR, Loop, LoopState, Stop
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.note_tables import write_notes
from halo_engine.rlm.opening import Scope, opening_conversation
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt_hashes
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.review import ReviewResult, is_measured, not_reviewed, review
from halo_engine.rlm.root_causes import root_causes
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.second_look import SecondLook
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.survey import Survey, known_by, run_survey
from halo_engine.schema import Failure
from halo_engine.source import SourceFiles
from halo_engine.store import TraceStore

# Shares of every limit that are available up to the end of a stage.
SURVEY_SHARE = 0.6
EXPLORE_SHARE = 0.85
REVIEW_SHARE = 0.9
LABEL_SHARE = 0.97

NOT_CONFIRMED = "the review did not confirm it"

NOTHING_COMPARED = ComparedCorpus({}, {}, {}, {}, (), {})
NO_DRAFTS: Drafts = {}
NO_SURVEY = Survey(), NO_DRAFTS
NOT_REVIEWED: Sequence[ReviewResult] = ()
NO_LABELS: tuple[Sequence[FindingLabels], int] = (), 0
NO_FINDINGS: Sequence[Finding] = ()
NO_CAUSES: Sequence[RootCause] = ()

T = TypeVar("T")


@dataclass
class Investigation:
    """One analysis by ``model``, the root, and ``sub_model``, which reads the traces.

    ``signals`` is the report of the detectors. The questions of ``known`` issues are put along with
    those of the findings, and those of ``muted`` ones where traces are read for others:
    ``known_labels`` is what came of it, after the run. With ``new_sandbox``, which makes one for each
    investigation that is given out, a corpus of several segments is divided.
    """

    store: TraceStore
    signals: Report
    client: ModelClient
    model: ChatModel
    sub_model: ChatModel
    sandbox: Sandbox
    brief: InvestigationBrief = field(default_factory=InvestigationBrief)
    on_event: OnEvent = ignore_event
    known: Sequence[Candidate] = ()
    muted: Sequence[Candidate] = ()
    new_sandbox: NewSandbox | None = None
    known_labels: Sequence[FindingLabels] = field(default=(), init=False)

    def __post_init__(self) -> None:
        # The nonce is a part of every prompt: a run that is resumed needs the same one.
        self._delimiter = DataDelimiter(self.client.ledger.get_or_set("nonce", new_nonce()))
        self._short_ids = ShortIds(self.store)
        self._rules = CheckRules(self.store)
        self._code = SourceFiles(Path(self.brief.code)) if self.brief.code else None
        self._failures: list[Failure] = []
        self._log = EventLog(self.on_event)
        parts = self.client, self.sub_model, self._short_ids, self._delimiter
        self._mapper = Mapper(*parts, self._log)
        self._fault: Stop | None = None

    def run(self) -> Report:
        """The report of the detectors with the findings of the model, however it ended."""
        corpus = self._stage("comparison", self._compare, NOTHING_COMPARED)
        with self.client.budget.up_to(SURVEY_SHARE):
            survey, drafts = self._stage("survey", partial(self._survey, corpus), NO_SURVEY)
        with self.client.budget.up_to(EXPLORE_SHARE):
            state = self._explore(corpus, survey, drafts)
        candidates = state.notebook.candidates
        with self.client.budget.up_to(REVIEW_SHARE):
            reviewed = self._review(candidates)
        kept = [r for r in reviewed if r.verification.verdict is not Verdict.REFUTED]
        labels, shortened = self._stage("labelling", partial(self._label, kept), NO_LABELS)
        looked = self._look_again(kept, labels)
        rejected = [r for r in (*reviewed, *looked) if r.verification.verdict is Verdict.REFUTED]
        kept = [r for r in looked if r.verification.verdict is not Verdict.REFUTED]
        findings, duplicates = self._findings(kept, labels)
        findings = [*without_adopted(self.signals.findings, findings), *findings]
        findings = self._stage(PURPOSE, partial(self._code_causes, findings), findings)
        causes = self._stage("root causes", partial(self._root_causes, findings), NO_CAUSES)
        left_out = [
            RejectedFinding(title=r.candidate.title, reason=rejection_reason(r)) for r in rejected
        ]
        left_out += [*duplicates, *state.notebook.dropped]
        return self._report(state, survey, findings, causes, left_out, shortened)

    def _compare(self) -> ComparedCorpus:
        """The runs beside each other, and the tables of them for SQL."""
        self.store.forget_derived()
        counter = ReadingCounter(self._log, "comparison", len(self._short_ids.trace_ids))
        corpus = compare_corpus(self.store, self.signals, counter.add)
        self._rules.groups = corpus.groups
        write_tables(self.store, corpus, self._short_ids.name, self._short_ids.span_names)
        self._log.emit(
            AnalysisEventKind.COMPARED,
            segments=len(corpus.segment_members),
            groups=len(corpus.members),
            departures=len(corpus.departures),
        )
        return corpus

    def _survey(self, corpus: ComparedCorpus) -> tuple[Survey, Drafts]:
        """What a model notes of each run, in a table for SQL, and the drafts that this makes."""
        # Whatever becomes of this survey, there are tables.
        write_notes(Survey(), NO_DRAFTS, corpus, self.store, self._short_ids)
        # As if nothing had been spent: an analysis that is resumed reads the same traces.
        budget = self.client.budget
        left = budget.left(uncounted=budget.by_purpose)
        details = Detail.RICH, Detail.DIGEST, Detail.BRIEF
        sizes = reading_sizes(self.store, self._short_ids, *details)
        readings = {
            detail: ReadBudget(left, self.sub_model.price, sizes[detail], findings=1)
            for detail in details
        }
        survey = run_survey(corpus, self._mapper, self._short_ids, readings, self.brief.seed)
        self._rules.surveyed = known_by(survey, corpus)
        drafts = drafts_of(survey.notes, corpus)
        write_notes(survey, drafts, corpus, self.store, self._short_ids)
        self._failures += survey.failures
        self._log.emit(
            AnalysisEventKind.SURVEYED,
            plan=survey.plan,
            judged=len(survey.judged),
            notes=len(survey.notes),
            drafts=len(drafts),
        )
        return survey, drafts

    def _explore(self, corpus: ComparedCorpus, survey: Survey, drafts: Drafts) -> LoopState:
        """Run the loop in which the root model submits candidates, or gives out investigations."""
        scope = Scope(corpus, survey, drafts, self.brief.question, self.brief.background)
        new_host = partial(self._host, corpus)
        delegation = None
        if self.new_sandbox and len(corpus.segment_members) > 1:
            delegation = Delegation(
                self.client,
                self.model,
                self._delimiter,
                scope,
                new_host,
                self.new_sandbox,
                self._log,
            )
        host = new_host(self.client, self._log, tuple(drafts.values()), delegation)
        turns = self.client.budget.limits.turns
        loop = Loop(
            host,
            self.sandbox,
            self.client,
            self.model,
            self._delimiter,
            opening_conversation(host, self._delimiter, scope, max_turns=turns),
            log=self._log,
        )
        return loop.run()

    def _host(
        self,
        corpus: ComparedCorpus,
        client: ModelClient,
        log: EventLog,
        drafts: Sequence[Candidate] = (),
        investigate: Investigate | None = None,
    ) -> Host:
        """The host functions of one loop, whose calls ``client`` makes."""
        context = HostContext(
            self._rules,
            self._short_ids,
            self.signals,
            corpus,
            client,
            self.sub_model,
            self._delimiter,
            log,
        )
        return Host(context, self._code, investigate, drafts)

    def _review(self, candidates: Sequence[Candidate]) -> list[ReviewResult]:
        """The candidates after the review of those with a question; rules are read later."""
        seed = self.brief.seed
        asked = [candidate for candidate in candidates if candidate.check.question]
        run = partial(review, asked, self._mapper, self._short_ids, seed)
        results = {r.candidate.id: r for r in self._stage("review", run, NOT_REVIEWED)}
        self._log_reviewed(results.values())
        return [results.get(c.id) or not_reviewed(c, seed) for c in candidates]

    def _log_reviewed(self, results: Iterable[ReviewResult]) -> None:
        for result in results:
            self._log.emit(
                AnalysisEventKind.REVIEWED,
                id=result.candidate.id,
                is_confirmed=result.verification.verdict is Verdict.CONFIRMED,
            )

    def _label(self, reviewed: Sequence[ReviewResult]) -> tuple[Sequence[FindingLabels], int]:
        """The traces that show each finding, and the number of shortened traces.

        Those that show known issues are kept apart.
        """
        with self.client.budget.up_to(LABEL_SHARE):
            labels, failures, shortened = label(
                [r.candidate for r in reviewed],
                self._rules,
                self._short_ids,
                self._mapper,
                self.client.budget,
                self.sub_model.price,
                seed=self.brief.seed,
                known=self.known,
                along=self.muted,
            )
        self._failures += failures
        self.known_labels = labels[len(reviewed) :]
        return labels[: len(reviewed)], shortened

    def _look_again(
        self, reviewed: Sequence[ReviewResult], labelled: Sequence[FindingLabels]
    ) -> Sequence[ReviewResult]:
        """``reviewed`` after the second look at what the checks found, with the review of rules."""
        by_id = {labels.candidate.id: labels for labels in labelled}
        labels = [by_id.get(r.candidate.id) or unchecked(r.candidate) for r in reviewed]
        parts = self._rules, self._mapper, self._short_ids, self.client.budget
        look = SecondLook(*parts, self.brief.seed)
        self._stage("repetition of labels", partial(look.repeat, labels), None)
        looked = self._stage("second look", partial(look.at, reviewed, labels), reviewed)
        self._failures += look.failures
        self._log_reviewed(r for r in looked if is_measured(r.candidate))
        return looked

    def _findings(
        self, reviewed: Sequence[ReviewResult], labels: Sequence[FindingLabels]
    ) -> tuple[list[Finding], list[RejectedFinding]]:
        """The findings of the candidates, and those that are left out as duplicates.

        Where there are no labels, they are in the traces that the candidates cite.
        """
        by_id = {labelled.candidate.id: labelled for labelled in labels}
        found: list[Finding] = []
        for result in reviewed:
            id = result.candidate.id
            labelled = by_id.get(id) or unchecked(result.candidate)
            assemble = partial(self._finding, result, labelled)
            found += self._stage(f"assembly of {id}", assemble, NO_FINDINGS)
        return without_duplicates(found)

    def _finding(self, result: ReviewResult, labels: FindingLabels) -> Sequence[Finding]:
        """The one finding of a candidate."""
        finding = model_finding(
            result, labels, self.model.name, self.signals.traces, self.signals.findings
        )
        affected = finding.prevalence.known
        self._log.emit(AnalysisEventKind.LABELLED, id=finding.id, affected=affected)
        return [finding]

    def _code_causes(self, findings: list[Finding]) -> list[Finding]:
        """If there is source code, ``findings`` with their causes in it."""
        if self._code is None:
            return findings
        parts = self.client, self.sub_model, self._delimiter, self._short_ids
        causes = CodeCauses(self._code, *parts)
        found = causes.added(findings)
        self._failures += causes.failures
        return found

    def _root_causes(self, findings: Sequence[Finding]) -> Sequence[RootCause]:
        """If they were asked for, the root causes of the traces with any finding."""
        if not self.brief.root_causes:
            return []
        failed = {a.trace_id for f in findings for a in f.affected}
        order = [trace_id for trace_id in self._short_ids.trace_ids if trace_id in failed]
        found, failures = root_causes(order, self._mapper, self._short_ids, self.brief.background)
        self._failures += failures
        return found

    def _stage(self, name: str, run: Callable[[], T], without: T) -> T:
        """The result of ``run``; ``without`` if it raised an error, which then is the ending.

        Raises ``StorageError``.
        """
        try:
            return run()
        except StorageError:
            raise  # for its user to mend: the same command goes on then
        except Exception as error:  # noqa: BLE001 - recorded; what was found so far is reported
            self._log.record_error(name, error)
            detail = f"{INTERNAL_ERROR.format(one_line_error(error))} ({name})"
            self._fault = Stop(AnalysisEnding.INTERNAL_ERROR, detail)
            return without

    def _report(
        self,
        state: LoopState,
        survey: Survey,
        findings: Sequence[Finding],
        causes: Sequence[RootCause],
        rejected: Sequence[RejectedFinding],
        shortened: int,
    ) -> Report:
        ending, detail = self._fault or (state.ending, state.ending_detail)
        assert ending is not None
        analysis = ModelAnalysis(
            model=self.model.name,
            sub_model=self.sub_model.name,
            turns=state.turn,
            ending=ending,
            ending_detail=detail,
            summary=state.notebook.summary,
            rejected=tuple(rejected),
            quotes_not_found=state.notebook.quotes_not_found,
            shortened=shortened,
            costs=costs_of(self.client),
            billing=self.client.billing(),
            prompts=prompt_hashes(),
            survey=str(survey),
            investigations=state.notebook.investigations,
        )
        errors = dict.fromkeys((*state.notebook.failures, *self._log.failures))
        return self.signals.model_copy(
            update={
                "findings": tuple(sorted(findings, key=importance)),
                "failures": (*self.signals.failures, *self._failures, *errors),
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
            cached_tokens=spend.cached_tokens,
        )
        for purpose, spend in sorted(client.budget.by_purpose.items())
    )


def unchecked(candidate: Candidate) -> FindingLabels:
    """The labels of ``candidate`` where labelling failed."""
    return FindingLabels(candidate, unchecked=CHECK_FAILED)


def rejection_reason(reviewed: ReviewResult) -> str:
    """The reasons of the review for not confirming a candidate."""
    return "; ".join(reviewed.read.reasons) or NOT_CONFIRMED
