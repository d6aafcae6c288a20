"""Detectors of calls that change something: made twice (D11), or with an invented id (D10)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite
from halo_engine.detectors.span_text import json_or_none
from halo_engine.detectors.tool_names import (
    CHANGES,
    changes_state,
    name_words,
    reads_only,
    repeats_by_design,
)
from halo_engine.detectors.tool_runs import VOLATILE, ToolRun, scalars_of
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.fields import as_text
from halo_engine.findings import Severity
from halo_engine.text.vocabulary import vocabulary

# Actions that have their effect again when they are done again; setting or deleting does not.
ADDS_AGAIN = vocabulary(
    "create add insert send post book buy purchase pay place transfer refund issue submit charge "
    "withdraw deposit notify reply invite publish reserve redeem"
)
# Members of arguments that name something that exists already.
IDENTIFIES = re.compile(r"(?:_|\b)(?:id|ids|number|numbers)\Z|[a-z](?:Id|Ids|Number)\Z")
MIN_IDENTIFIER = 4  # characters
# An identifier has a digit and no white space, and is neither a date nor a small number.
IDENTIFIER = re.compile(r"(?=\D*\d)[\w#:./+-]{4,100}")
DATE_OR_TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].{0,30})?|\d{1,2}:\d\d(?::\d\d)?")
NOT_WORD = re.compile(r"[\W_]+")


@detector(
    id="D11",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="{tool} succeeds twice with the same arguments",
    recommendation=(
        "Make the call idempotent: give it a key that is derived from the task, and let the tool "
        "return the first result for the same key. Look at the quoted runs for what was done twice."
    ),
    reads_texts=False,
)
def duplicate_side_effect(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """An action that adds something, done again with equal arguments after it had succeeded.

    A change in between by another tool may have made it necessary: a booking that was cancelled.
    """
    if index.runs_gap:
        yield detector.not_applicable(index.trace, index.runs_gap)
        return
    for tool, runs in index.runs_by_tool.items():
        if adds_again(tool):
            yield from duplicates(index, runs, detector)


def adds_again(tool: str) -> bool:
    """Whether the action that the tool's name begins with has its effect again when done again."""
    acts = next((word for word in name_words(tool) if word in CHANGES | ADDS_AGAIN), None)
    return acts in ADDS_AGAIN and not reads_only(tool) and not repeats_by_design(tool)


def duplicates(index: TraceIndex, runs: list[ToolRun], detector: Detector) -> Iterator[Outcome]:
    """The signals for runs of one tool that succeed with the arguments of the one before."""
    succeeded = [run for run in runs if not run.failed and run.has_arguments]
    for before, run in pairwise(succeeded):
        if run.key == before.key and not index.changed_between(before, run):
            reason = f"{run.tool} succeeded twice with equal arguments"
            quotes = [*before.cite(), *run.cite()]
            yield detector.signal(index.trace, run.span, reason, quotes, tool=run.tool)


@detector(
    id="D10",
    failure_mode="unsupported_claim",
    severity=Severity.LOW,
    title="{tool} is called with an id that appears nowhere before",
    recommendation=(
        "Let the tool refuse ids that the run has not seen, with the way to look them up; state in "
        "the prompt that ids are copied from results, never made up."
    ),
)
def invented_identifier(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An identifier in the arguments of a changing call that is in no text before the call.

    The texts are those that the model was given, what was asked, and all results of tools. It is
    judged only where the messages to the model are recorded.
    """
    runs = [run for run in index.tool_runs if run.call and changes_state(run.tool)]
    judged = [run for run in runs if run.call and run.call.span.input_messages]
    if not judged:
        missing = "no messages to the model" if runs else "no calls that change something"
        yield detector.not_applicable(index.trace, missing)
    for run in judged:
        identifiers = identifiers_in(json_or_none(run.arguments.text))
        unseen = next((i for i in identifiers if not is_mentioned(i, index, run)), None)
        if unseen:
            reason = f"{run.tool} was called with {unseen}, which nothing before it mentions"
            start = max(0, (run.arguments.text or "").find(unseen) - 40)
            quotes = cite(run.arguments.span, run.arguments.field, start)
            yield detector.signal(index.trace, run.span, reason, quotes, tool=run.tool)


def identifiers_in(arguments: Any) -> Iterator[str]:
    """The identifiers in arguments, by the names of their members and their form."""
    members = arguments.items() if isinstance(arguments, dict) else ()
    for name, value in members:
        if IDENTIFIES.search(name) and name.lower() not in VOLATILE:
            yield from filter(is_identifier, map(str, scalars_of(value)))


def is_identifier(text: str) -> bool:
    """Whether a value has the form of an identifier that nobody would guess."""
    return IDENTIFIER.fullmatch(text) is not None and not DATE_OR_TIME.fullmatch(text)


def is_mentioned(identifier: str, index: TraceIndex, run: ToolRun) -> bool:
    """Whether a text before the run holds ``identifier``, however it is punctuated."""
    if any(identifier in text for text in texts_before(index, run)):
        return True
    bare = NOT_WORD.sub("", identifier).lower()
    return any(bare in NOT_WORD.sub("", text).lower() for text in texts_before(index, run))


def texts_before(index: TraceIndex, run: ToolRun) -> Iterator[str]:
    """What could tell the model an identifier before it made the call of ``run``."""
    call = run.call.span if run.call else run.span
    given = [m.content for m in call.input_messages] + [call.input]
    earlier = (m.arguments for message in call.input_messages for m in message.tool_calls)
    declared = (as_text(tool.model_dump()) for tool in index.declared_tools(run.call))
    asked = (span.input for span in index.agent_spans)
    results = (each.output.text for each in index.tool_runs[: run.order])
    yield from filter(None, (*given, *earlier, *declared, *asked, *results))
