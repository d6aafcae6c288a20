"""The traces that a work order quotes: those that differ most, with what their steps record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import zip_longest
from typing import NamedTuple

from halo_adapters.base import ANNOTATION_PREFIX
from halo_engine.detectors.span_text import invocation_parameters
from halo_engine.findings import Affected, Finding
from halo_engine.report.excerpts import excerpt_of
from halo_engine.report.linked_ids import counted
from halo_engine.schema import Score, Span, Trace
from halo_engine.text.templates import message_template
from halo_integrations.state.run import Run
from halo_integrations.work_orders.brief import QuotedTrace, StepFacts

# Traces that are quoted, out of the first of those that could be.
LEAST_QUOTED, MOST_QUOTED, MOST_CONSIDERED = 3, 5, 200
Seen = Mapping[str, Sequence[tuple[str, Affected]]]


def seen_in(findings: Mapping[str, Finding]) -> Seen:
    """By trace, what ``findings`` of issues affect there, each with its issue.

    One of each issue by turns; what has quotes comes before what has none.
    """
    turns = zip_longest(*([(i, a) for a in f.affected] for i, f in findings.items()))
    by_turns = (each for turn in turns for each in turn if each)
    seen: dict[str, list[tuple[str, Affected]]] = {}
    for issue_id, affected in sorted(by_turns, key=lambda each: not each[1].evidence):
        seen.setdefault(affected.trace_id, []).append((issue_id, affected))
    return seen


def quoted_traces(seen: Seen, inputs: Mapping[str, str], run: Run | None) -> list[QuotedTrace]:
    """Traces that differ most, one of each issue if possible, with their quotes.

    ``inputs`` are what the agent was given in traces, as far as that is known.
    """
    considered = list(seen.items())[:MOST_CONSIDERED]
    issues = {issue_id for each in seen.values() for issue_id, _ in each}
    number = min(max(LEAST_QUOTED, len(issues)), MOST_QUOTED)
    looks = [look_of(found, inputs.get(trace_id, "")) for trace_id, found in considered]
    return [quoted_trace(*considered[at], run) for at in most_varied(looks, number)]


class Look(NamedTuple):
    """By what two examples are compared: their issues, and the words of what failed and was asked."""

    issues: frozenset[str]
    failure: frozenset[str]
    asked: frozenset[str]

    def likeness(self, other: Look) -> tuple[float, ...]:
        """How alike they are in each, from 0 to 1."""
        return tuple(shared(a, b) for a, b in zip(self, other, strict=True))


def look_of(found: Sequence[tuple[str, Affected]], asked: str) -> Look:
    """What is seen in a trace, without what varies in any."""
    texts = [text for _, a in found for text in (a.reason, *(e.quote for e in a.evidence))]
    return Look(
        frozenset(i for i, _ in found), template_words(" ".join(texts)), template_words(asked)
    )


def template_words(text: str) -> frozenset[str]:
    """The words of ``text``, its ids and numbers masked."""
    return frozenset(message_template(text).split())


def shared(a: Set[str], b: Set[str]) -> float:
    """The share of all that is in both."""
    return len(a & b) / max(1, len(a | b))


def most_varied(looks: Sequence[Look], number: int) -> list[int]:
    """The first, then always the one that is least like any before, by issue, failure and input."""
    chosen = list(range(len(looks)))[:1]
    while len(chosen) < min(number, len(looks)):
        rest = (at for at in range(len(looks)) if at not in chosen)
        chosen.append(
            min(rest, key=lambda at: max(looks[at].likeness(looks[other]) for other in chosen))
        )
    return chosen


def quoted_trace(
    trace_id: str, found: Sequence[tuple[str, Affected]], run: Run | None
) -> QuotedTrace:
    """A trace with its quotes."""
    links = run.record.links if run else None
    return QuotedTrace(
        trace_id=trace_id,
        url=links.url(trace_id, found[0][1].span_id) if links else None,
        reason="; ".join(dict.fromkeys(affected.reason for _, affected in found)),
        issues=tuple(dict.fromkeys(issue_id for issue_id, _ in found)),
        evidence=tuple(dict.fromkeys(e for _, affected in found for e in affected.evidence)),
    )


# -- what is recorded of a step --------------------------------------------------------------------


def with_steps(quoted: QuotedTrace, trace: Trace | None, has_texts: bool) -> QuotedTrace:
    """``quoted`` with what is recorded of its steps and, where texts are, those around its quotes."""
    if trace is None:
        return quoted
    excerpt = excerpt_of(trace, quoted.evidence) if has_texts else None
    recorded = tuple(recorded_of(trace, quoted))
    return quoted.model_copy(update={"excerpt": excerpt, "recorded": recorded})


def recorded_of(trace: Trace, quoted: QuotedTrace) -> Iterator[StepFacts]:
    """What is recorded of the quoted steps, and how the platform's scores are."""
    for span_id in dict.fromkeys(evidence.span_id for evidence in quoted.evidence):
        span = trace.by_id.get(span_id)
        facts = tuple(step_facts(span, trace.scores)) if span else ()
        if span and facts:
            yield StepFacts(span_id=span_id, name=span.name or "a step", facts=facts)
    if scores := tuple(score_texts(trace.scores, None)):
        yield StepFacts(span_id=None, name="the trace", facts=scores)


def step_facts(span: Span, scores: Sequence[Score]) -> Iterator[str]:
    """What is recorded of a step besides its texts."""
    if span.finish_reason:
        yield f"finish reason: {span.finish_reason}"
    if span.status.code:
        yield f"status: {span.status.code}"
    if span.tool_error is not None:
        yield f"result marked as an error: {'yes' if span.tool_error else 'no'}"
    if span.usage.completion_tokens is not None:
        yield f"tokens of the answer: {span.usage.completion_tokens:,}"
    given = invocation_parameters(span).items()
    yield from (f"{name}: {value}" for name, value in given if isinstance(value, str | int | float))
    if span.documents is not None:
        yield counted(len(span.documents), "document")
    yield from score_texts(scores, span.span_id)


def score_texts(scores: Sequence[Score], span_id: str | None) -> Iterator[str]:
    """The scores of a span (None: of the whole trace) that others than this program gave."""
    for score in scores:
        if score.span_id == span_id and not score.name.startswith(ANNOTATION_PREFIX):
            given = [str(each) for each in (score.label, score.value) if each is not None]
            by = f" by {score.source}" if score.source else ""
            yield f"score {score.name}: {' '.join(given)}{by}"
