"""Detectors of calls that change something: made twice (D11), or with an invented id (D10)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from operator import itemgetter
from typing import Any

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.span_text import json_or_none, message_texts
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
from halo_engine.schema import ToolDefinition
from halo_engine.text.vocabulary import vocabulary

# Actions that have their effect again when they are done again; setting or deleting does not.
ADDS_AGAIN = vocabulary(
    "create add insert send post book buy purchase pay place transfer refund issue submit charge "
    "withdraw deposit notify reply invite publish reserve redeem"
)
# Members of arguments that name something that exists already.
IDENTIFIES = re.compile(r"(?:_|\b)(?:id|ids|number|numbers)\Z|[a-z](?:Id|Ids|Number)\Z")
# Actions whose result may be named by whoever asks for it.
NAMES_ANEW = vocabulary("create add insert register save store upload write publish schedule")
# An identifier has a digit, no white space and four characters, and is no date.
IDENTIFIER = re.compile(r"(?=\D*\d)[\w#:./+-]{4,100}")
DATE_OR_TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].{0,30})?|\d{1,2}:\d\d(?::\d\d)?")
NOT_WORD = re.compile(r"[\W_]+")
MAX_IDENTIFIERS = 100
CONTEXT = 40  # characters before an identifier that are quoted with it

# A time in nanoseconds since 1970, and whether it is after what a span was given at that time.
Moment = tuple[int, int]
AFTER_INPUTS = 1
NEVER: Moment = (2**63, 0)


@detector(
    id="D11",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="{tool} is done again with the same arguments",
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
        if len(runs) > 1 and adds_again(tool):
            yield from repeated_actions(index, runs, detector)


def adds_again(tool: str) -> bool:
    """Whether the tool's action has its effect again when it is done again."""
    return action_of(tool) in ADDS_AGAIN and not reads_only(tool) and not repeats_by_design(tool)


def action_of(tool: str) -> str | None:
    """The first word of a tool's name that is an action."""
    return next((word for word in name_words(tool) if word in CHANGES or word in ADDS_AGAIN), None)


def repeated_actions(
    index: TraceIndex, runs: list[ToolRun], detector: Detector
) -> Iterator[Outcome]:
    """A signal for each call of a tool that succeeded again, at its last run."""
    succeeded = [run for run in runs if not run.failed]
    found: dict[Hashable, list[ToolRun]] = defaultdict(list)
    for before, run in pairwise(succeeded):
        is_again = not index.changed_between(before, run) and run.same_call(before)
        if is_again and run.has_arguments:
            found[run.key] += [run] if found[run.key] else [before, run]
    for same in found.values():
        last = same[-1]
        reason = f"{last.tool} succeeded {len(same)} times with equal arguments"
        quotes = [*same[0].cite(), *last.cite()]
        yield detector.signal(index.trace, last.span, reason, quotes, tool=last.tool)


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

    The texts are those of all spans: what was asked, messages, results. Only the first
    ``MAX_IDENTIFIERS`` of a trace are judged, and only where messages to the model are recorded.
    """
    runs = [run for run in index.tool_runs if run.call and changes_state(run.tool)]
    judged = [run for run in runs if run.call and run.call.span.input_messages]
    if not judged:
        missing = "no messages to the model" if runs else "no calls that change something"
        yield detector.not_applicable(index.trace, missing)
        return
    for identifier, run in unmentioned(index, first_uses(judged)).items():
        reason = f"{run.tool} was called with {identifier}, which nothing before it mentions"
        at = (run.call.requested.arguments or "").find(identifier) if run.call else 0
        quotes = run.call.cite_member("arguments", max(0, at - CONTEXT)) if run.call else ()
        yield detector.signal(index.trace, run.span, reason, quotes, tool=run.tool)


def first_uses(runs: list[ToolRun]) -> dict[str, ToolRun]:
    """The identifiers in what a model wrote as arguments, each with the first run that has it.

    What a runtime adds to the arguments is on the span of the run only, and no word of the model.
    """
    found: dict[str, ToolRun] = {}
    for run in runs:
        for identifier in identifiers_in(run.tool, written_arguments(run)):
            found.setdefault(identifier, run)
    return dict(islice(found.items(), MAX_IDENTIFIERS))


def written_arguments(run: ToolRun) -> Any:
    """The arguments as the model wrote them."""
    return json_or_none(run.call.requested.arguments if run.call else None)


def moment_of_call(run: ToolRun) -> Moment:
    """When the model had made the call of a run: what it says itself is not before that."""
    span = run.call.span if run.call else run.span
    return (span.end_time_unix_nano or 0, AFTER_INPUTS)


def unmentioned(index: TraceIndex, uses: dict[str, ToolRun]) -> dict[str, ToolRun]:
    """Those of the identifiers that no text before the call holds, however it is punctuated."""
    texts = sorted(texts_of(index), key=itemgetter(0)) if uses else []
    for form in (str, bare):
        mentions = first_mentions(texts, uses, form)
        uses = {i: run for i, run in uses.items() if mentions.get(i, NEVER) >= moment_of_call(run)}
    return uses


def bare(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return NOT_WORD.sub("", text).lower()


def first_mentions(
    texts: Sequence[tuple[Moment, str]], identifiers: Iterable[str], form: Callable[[str], str]
) -> dict[str, Moment]:
    """The moment of the first of ``texts`` that holds each of ``identifiers``, both in ``form``."""
    left = {identifier: form(identifier) for identifier in identifiers}
    found: dict[str, Moment] = {}
    for moment, text in texts:
        if not left:
            break
        formed = form(text)
        here = [identifier for identifier, sought in left.items() if sought in formed]
        found.update(dict.fromkeys(here, moment))
        left = {identifier: sought for identifier, sought in left.items() if identifier not in here}
    return found


def texts_of(index: TraceIndex) -> Iterator[tuple[Moment, str]]:
    """Every text of a trace that could name an identifier, with the moment at which it was there.

    What has no time could have been there from the beginning.
    """
    known: set[str] = set()
    for span in index.trace.spans:
        messages = (text for _, text in message_texts("input_messages", span.input_messages))
        # What a tool is given are the arguments themselves.
        asked = None if index.is_tool(span) else span.input
        given = [asked, *messages, *map(declaration, span.tools)]
        returned = [span.output, *(d.content for d in span.documents or ())]
        returned += [text for _, text in message_texts("output_messages", span.output_messages)]
        start, end = span.start_time_unix_nano or 0, span.end_time_unix_nano or 0
        for moment, texts in (((start, 0), given), ((end, AFTER_INPUTS), returned)):
            yield from ((moment, text) for text in texts if text and text not in known)
            known.update(text for text in given if text)


def declaration(tool: ToolDefinition) -> str | None:
    """A declared tool as text: its schema may name values."""
    return as_text(tool)


def identifiers_in(tool: str, arguments: Any) -> Iterator[str]:
    """The identifiers in arguments, by the names of their members and their form.

    The id of what the tool creates need not have been there before.
    """
    members = arguments.items() if isinstance(arguments, dict) else ()
    created = set(name_words(tool)) if action_of(tool) in NAMES_ANEW else set()
    for name, value in members:
        is_new = name_words(name)[:1] == ("id",) or bool(created & set(name_words(name)))
        if IDENTIFIES.search(name) and name.lower() not in VOLATILE and not (created and is_new):
            yield from filter(is_identifier, map(str, scalars_of(value)))


def is_identifier(text: str) -> bool:
    """Whether a value has the form of an identifier that nobody would guess."""
    return IDENTIFIER.fullmatch(text) is not None and not DATE_OR_TIME.fullmatch(text)
