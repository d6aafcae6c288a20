"""The questions of known issues, put to a model about a random sample of each part of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from halo_engine.errors import EngineError
from halo_engine.findings import Finding, Report
from halo_engine.issues.checked import questions_of
from halo_engine.issues.checking import candidate_of, checked_findings, write_derived_tables
from halo_engine.issues.issue import Issue
from halo_engine.llm import ModelClient
from halo_engine.llm.chat import ChatModel
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.judging import finding_definition
from halo_engine.rlm.labelling import label
from halo_engine.rlm.mapping import Mapper, page_chars
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure
from halo_engine.statistics.prevalence import Prevalence, lower_bound_prevalence
from halo_engine.store import TraceStore

STAGE = "questions of known issues"
# Of a page, the characters that the questions of known issues take beside it in a prompt.
QUESTIONS_SHARE = 0.25


@dataclass
class JudgedIssues:
    """What a model said: a finding for each issue that it was asked about, by the id of the issue.

    ``prevalence`` is that of each part by its name, also by the id of the issue. ``no_room`` are the
    ids of those whose questions were not put, since a prompt had no room for them.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    prevalence: dict[str, dict[str, Prevalence]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    no_room: frozenset[str] = frozenset()


def with_room(issues: Iterable[Issue], model: ChatModel) -> list[Issue]:
    """Those of ``issues``, in their order, for whose questions a prompt to ``model`` has room."""
    left, found = int(page_chars(model) * QUESTIONS_SHARE), []
    for issue in issues:
        size = len(finding_definition(candidate_of(issue)))
        if size <= left:
            left -= size
            found.append(issue)
    return found


def ids_without(issues: Iterable[Issue], asked: Iterable[str]) -> frozenset[str]:
    """The ids of ``issues`` but for those that were ``asked`` about."""
    return frozenset(issue.id for issue in issues).difference(asked)


@dataclass(frozen=True)
class IssueJudge:
    """Asks ``model`` about traces, within the budget of ``client``. Samples are drawn by ``seed``."""

    client: ModelClient
    model: ChatModel
    seed: int = 0

    def judge(
        self,
        issues: Sequence[Issue],
        store: TraceStore,
        signals: Report,
        parts: Mapping[str, Set[str]],
    ) -> JudgedIssues:
        """What the model says of those of ``issues`` that are to be asked about.

        Of each of ``parts``, trace ids by name, as many traces are read as the budget suffices for.
        ``signals`` is the report of the detectors on the store. Where the model cannot be asked that
        is a failure, and no issue was judged.
        """
        questions = questions_of(issues)
        asked = with_room(questions, self.model)
        judged = JudgedIssues()
        if asked:
            try:
                judged = self._judged(asked, store, signals, parts)
            except EngineError as error:
                failure = Failure(stage=STAGE, where=self.model.name, what=str(error))
                judged = JudgedIssues(failures=[failure])
        return replace(judged, no_room=ids_without(questions, (issue.id for issue in asked)))

    def _judged(
        self,
        asked: Sequence[Issue],
        store: TraceStore,
        signals: Report,
        parts: Mapping[str, Set[str]],
    ) -> JudgedIssues:
        short_ids = ShortIds(store)
        write_derived_tables(asked, store, signals, short_ids)
        labelled, failures, _ = label(
            [candidate_of(issue) for issue in asked],
            CheckRules(store),
            short_ids,
            self._mapper(short_ids),
            self.client.budget,
            self.model.price,
            seed=self.seed,
            strata=list(parts.values()),
        )
        return JudgedIssues(
            findings=answered_questions(asked, labelled, signals.traces),
            prevalence={
                labels.candidate.id: {
                    name: part_prevalence(labels, ids) for name, ids in parts.items()
                }
                for labels in labelled
            },
            failures=failures,
        )

    def _mapper(self, short_ids: ShortIds) -> Mapper:
        delimiter = DataDelimiter(self.client.ledger.get_or_set("nonce", new_nonce()))
        return Mapper(self.client, self.model, short_ids, delimiter)


def answered_questions(
    asked: Iterable[Issue], labelled: Sequence[FindingLabels], total: int
) -> dict[str, Finding]:
    """What a model answered about ``total`` traces, by the id of the issue, where it did at all."""
    labels = {each.candidate.id: each for each in labelled}
    issues = [issue for issue in asked if issue.id in labels]
    found = checked_findings(issues, [labels[issue.id] for issue in issues], total)
    return {id: f for id, f in found.items() if f.affected or f.prevalence.analysed}


def part_prevalence(labels: FindingLabels, trace_ids: Set[str]) -> Prevalence:
    """How common it is among ``trace_ids``, by those of them that were read."""
    part, total = labels.within(trace_ids), len(trace_ids)
    shown = frozenset(part.affected)
    return part.prevalence(shown, total) or lower_bound_prevalence(len(shown), total)
