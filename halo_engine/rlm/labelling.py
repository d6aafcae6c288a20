"""Labelling: which traces show a finding, by its check, over all traces or a random sample.

A rule is applied to every trace, which costs nothing; a finding with a rule is about the traces that
match it, and no others. Questions for a model are put for all findings at once, so that a trace is
read once. If the budget does not suffice for all traces, random samples are drawn, of a size that is
fixed before (``drawing``); the remaining traces count as not analysed, as do those that got no answer
or of which only a part was read. A trace that was drawn for one finding and shows another is affected
by that one, but counts in the prevalence only of the finding it was drawn for.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from halo_engine.findings import Affected
from halo_engine.llm import Budget
from halo_engine.llm.chat import Price
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.code_causes import PURPOSE as CODE_CAUSES
from halo_engine.rlm.drawing import draw_samples
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.judging import judged_rows, judgement_in
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.review import CHECK_REVIEW
from halo_engine.rlm.rule_labels import apply_rules, rule_quotes
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure
from halo_engine.text.sanitize import safe_text

REASON_CHARS = 1000
# The purposes of calls from a stage on. When it is repeated, their answers are in the ledger: its
# samples are drawn as if nothing had been spent on them, so that they are those that are paid for.
LABEL, REPEAT = "label", "label again"
FROM_SECOND_LOOK_ON = tuple(
    f"{purpose}{suffix}"
    for purpose in (CHECK_REVIEW, CODE_CAUSES, "root causes")
    for suffix in ("", " repair")
)
FROM_LABELLING_ON = (
    *(f"{purpose}{suffix}" for purpose in (LABEL, REPEAT) for suffix in ("", " repair")),
    *FROM_SECOND_LOOK_ON,
)


class Labelling(NamedTuple):
    """The labels of all candidates, the failures, and the number of traces that were shortened."""

    labels: list[FindingLabels]
    failures: list[Failure]
    shortened: int


def label(
    candidates: Sequence[Candidate],
    rules: CheckRules,
    short_ids: ShortIds,
    mapper: Mapper,
    budget: Budget,
    price: Price | None,
    *,
    seed: int,
    known: Sequence[Candidate] = (),
    along: Sequence[Candidate] = (),
    strata: Sequence[Set[str]] = (),
) -> Labelling:
    """Label all traces by the checks of ``candidates``, or as many as ``budget`` suffices for.

    ``known`` issues are labelled along with them, and after them in the result: they have a share of
    what is left of the budget. The questions of ``along``, last in the result, are put about traces
    that are drawn for others. With ``strata``, as many are drawn for all of each of these sets of
    traces.
    """
    labelled, failures = apply_rules([*candidates, *known, *along], rules, short_ids)
    with_question = [x for x in labelled if x.candidate.check.question and not x.unchecked]
    not_drawn_for = {candidate.id for candidate in along}
    drawing = [labels for labels in with_question if labels.candidate.id not in not_drawn_for]
    if not drawing:
        return Labelling(labelled, failures, 0)
    sizes = reading_sizes(rules.store, short_ids, Detail.FULL)[Detail.FULL]
    left = budget.left(uncounted=FROM_LABELLING_ON)
    read_budget = ReadBudget(left, price, sizes, len(with_question))
    readable = frozenset(filter(read_budget.can_read, short_ids.trace_ids))
    for labels in with_question:
        labels.frame = readable
    if strata:
        trace_ids = draw_of_strata(drawing, read_budget, seed, strata)
    else:
        known_ids = {candidate.id for candidate in known}
        of_known = [labels for labels in drawing if labels.candidate.id in known_ids]
        found = [labels for labels in drawing if labels.candidate.id not in known_ids]
        trace_ids = draw_samples(found, read_budget, seed, of_known)
    if not trace_ids:
        return Labelling(labelled, failures, 0)
    asked = [labels.candidate for labels in with_question]
    quotes = rule_quotes(with_question, trace_ids, short_ids)
    rows = judged_rows(trace_ids, asked, mapper, short_ids, purpose=LABEL, must_show=quotes)
    failures += [labelling_failure(row, short_ids) for row in rows if "error" in row]
    for row in rows:
        if "error" not in row:
            add_row(row, with_question, short_ids)
        elif "unread" in row:
            add_unread(row, with_question, short_ids)
    return Labelling(labelled, failures, sum(bool(row.get("shortened")) for row in rows))


def draw_of_strata(
    labelled: Sequence[FindingLabels], budget: ReadBudget, seed: int, strata: Sequence[Set[str]]
) -> list[str]:
    """``draw_samples`` of each of ``strata``."""
    parts = [(labels, labels.within(trace_ids)) for trace_ids in strata for labels in labelled]
    drawn = draw_samples([part for _, part in parts], budget, seed)
    for labels, part in parts:
        labels.sample |= part.sample
    return drawn


def add_row(row: Row, with_question: Sequence[FindingLabels], short_ids: ShortIds) -> None:
    """Add a model's answer about one trace to the labels of all findings."""
    trace_id = short_ids.trace_id(row["trace"]) or ""
    for labels in with_question:
        judgement = judgement_in(row, labels.candidate, short_ids)
        if trace_id in labels.sample:
            labels.answered.add(trace_id)
            if judgement.shows is None:
                labels.untold.add(trace_id)
            elif not row.get("shortened"):
                labels.judged.add(trace_id)
        if judgement.evidence and labels.can_show(trace_id):
            if judgement.harm is not None:
                labels.harm[trace_id] = judgement.harm
            labels.affected[trace_id] = Affected(
                trace_id=trace_id,
                span_id=judgement.evidence.span_id,
                reason=safe_text(judgement.why or labels.candidate.title, REASON_CHARS),
                evidence=(judgement.evidence,),
            )


def add_unread(row: Row, with_question: Sequence[FindingLabels], short_ids: ShortIds) -> None:
    """Add the reason why a trace was not read to the findings that it was drawn for."""
    trace_id = short_ids.trace_id(row["trace"]) or ""
    for labels in with_question:
        if trace_id in labels.sample:
            labels.unread[trace_id] = row["unread"]


def labelling_failure(row: Row, short_ids: ShortIds) -> Failure:
    """The failure to label a trace that was not read, or for which no valid answer came."""
    where = short_ids.trace_id(row["trace"]) or row["trace"]
    return Failure(stage="labelling", where=where, what=str(row["error"]))
