"""Detectors of what users say of a run: asked again (D28), rated badly (D35)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.tool_runs import TextRef
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.failure_modes import OTHER
from halo_engine.findings import Severity
from halo_engine.schema import Score
from halo_engine.text.vocabulary import vocabulary

SIMILAR = 0.9
# Shorter texts ("yes, please") are said again for good reasons; longer ones are not compared whole.
SHORTEST_REQUEST, LONGEST_REQUEST = 20, 2000  # characters
CORRECTIONS = re.compile(
    r"(?i)\b(?:that(?:'s| is) not what i (?:asked|meant|said|wanted)"
    r"|i (?:have )?already (?:told|gave|said|provided|answered)"
    r"|i (?:just )?told you (?:already|that|before)|(?:like|as) i (?:already )?said"
    r"|you (?:did not|didn't) (?:answer|listen|read)|you misunderstood)\b"
)
CONTEXT = 100  # characters before a correction that are quoted with it
NUMBERS = re.compile(r"\d+")
ASKED_AGAIN, CORRECTED = "asks the same again", "corrects the agent"

# Names of scores that an application stores for its users, by the platform's API.
OF_USERS = re.compile(r"(?i)feedback|thumb|csat|\buser[ _-]?(?:rating|score|satisfaction)")
BAD_LABELS = vocabulary(
    "bad down dislike disliked fail failed false incorrect negative no not_helpful poor thumbs-down "
    "thumbs_down unhelpful unsatisfied wrong 👎"
)


@detector(
    id="D28",
    failure_mode=OTHER,
    severity=Severity.LOW,
    title="The user {message}",
    recommendation=(
        "Read what the agent answered before: the request was not understood, not fulfilled, or its "
        "fulfilment was not told. Such runs are the first to look at."
    ),
)
def repeated_request(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A user who says nearly the same twice in a row, or corrects the agent."""
    said = user_texts(index)
    if not said:
        yield detector.not_applicable(index.trace, "no words of a user recorded")
        return
    for before, text in pairwise(said):
        if asks_the_same(before.text or "", text.text or ""):
            reason = "the user says nearly the same as in the turn before"
            quotes = [*before.cite(), *text.cite()]
            yield detector.signal(index.trace, text.span, reason, quotes, message=ASKED_AGAIN)
    for text in said[1:]:
        if found := CORRECTIONS.search(text.text or ""):
            quotes = [*cite(text.span, text.field, max(0, found.start() - CONTEXT))]
            reason = "the user corrects the agent"
            yield detector.signal(index.trace, text.span, reason, quotes, message=CORRECTED)


def user_texts(index: TraceIndex) -> list[TextRef]:
    """What the user said in turn, as the last model call was told."""
    span = index.last_call
    messages = span.input_messages if span else ()
    return [
        TextRef(span, f"input_messages.{at}.content", message.content)
        for at, message in enumerate(messages)
        if span and message.role == "user" and message.content
    ]


def asks_the_same(before: str, text: str) -> bool:
    """Whether two texts of a user are nearly the same, and long enough to tell.

    With another number it is another request.
    """
    lengths = len(before), len(text)
    if min(lengths) < SHORTEST_REQUEST or max(lengths) > LONGEST_REQUEST:
        return False
    if NUMBERS.findall(before) != NUMBERS.findall(text):
        return False
    matcher = SequenceMatcher(None, before.casefold(), text.casefold(), autojunk=False)
    return (
        matcher.real_quick_ratio() >= SIMILAR
        and matcher.quick_ratio() >= SIMILAR
        and matcher.ratio() >= SIMILAR
    )


@detector(
    id="D35",
    failure_mode=OTHER,
    severity=Severity.LOW,
    title="People rate runs badly: {message}",
    recommendation=(
        "Read these runs first: somebody has already judged them. What they have in common is what "
        "people mind."
    ),
    reads_texts=False,
)
def negative_rating(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A score that a person gave, by source or name: a bad label, or a value of 0 or less."""
    ratings = [score for score in index.trace.scores if is_by_person(score)]
    if not ratings:
        yield detector.not_applicable(index.trace, "no score by a person")
    for score in filter(is_bad, ratings):
        span = index.trace.by_id.get(score.span_id or "") or index.top
        rating = score.label or f"{score.value:g}"
        if span:
            reason = f"a person rated it {score.name}: {rating}"
            quotes = cite_identity(span)
            yield detector.signal(index.trace, span, reason, quotes, message=score.name)


def is_by_person(score: Score) -> bool:
    """Whether a person gave the score, on the platform or in the application."""
    return score.source == "HUMAN" or OF_USERS.search(score.name) is not None


def is_bad(score: Score) -> bool:
    """Whether a person's score says that something is bad; a label says more than its value."""
    if score.label:
        return score.label.strip().casefold() in BAD_LABELS
    return score.value is not None and score.value <= 0
