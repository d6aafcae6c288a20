"""How much of a trace a page shows: all of it, or what a reader needs to judge the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from halo_engine.detectors.span_text import is_error_result
from halo_engine.detectors.tool_names import reads_only
from halo_engine.rlm.pages.passages import TranscriptPassage, text_key, tool_run_by

# Instructions decide whether the agent acted correctly, so that more of them is shown.
INSTRUCTION_FACTOR = 5
# Of a call, its result is looked for among so many passages after it.
NEAR = 40


class Detail(StrEnum):
    """``DIGEST``: what user and agent say, what the agent changes, and errors.

    What it only reads is one short line for each call, and what is said at length has its middle
    cut, but for the last words and those before a change. A ``RICH`` digest cuts less of it. What is
    ``BRIEF`` leaves out what the agent only read, and its other words: it is for a run that stands
    beside a digest of one of the same task.
    """

    FULL = "full"
    RICH = "rich"
    DIGEST = "digest"
    BRIEF = "brief"


class DigestLimits(NamedTuple):
    """The most characters of a text in a digest, by what it is.

    ``deciding`` are the agent's words before a change and its last, ``words`` all others of it;
    ``change`` is a call that changes something, ``result`` what it returned, ``reading`` what a call
    returned that only reads, ``arguments`` those of such a call.
    """

    user: int
    deciding: int
    words: int
    change: int
    result: int
    reading: int
    arguments: int
    wiring: int = 300


LIMITS = {
    Detail.RICH: DigestLimits(2000, 3000, 500, 1500, 2000, 1200, 400),
    Detail.DIGEST: DigestLimits(600, 1000, 120, 700, 1000, 400, 200),
    Detail.BRIEF: DigestLimits(400, 500, 120, 500, 300, 400, 200),
}


def limit_of(passage: TranscriptPassage, detail: Detail, chars: int) -> int:
    """How many characters of ``passage`` are shown where a text may have ``chars``."""
    if is_setting(passage):
        return chars * INSTRUCTION_FACTOR
    if detail is Detail.FULL:
        return chars
    return min(chars, digest_chars(passage, LIMITS[detail]))


def is_setting(passage: TranscriptPassage) -> bool:
    """Whether it is what the agent was set up with: its instructions, its tools."""
    return passage.is_instruction or passage.field == "tools"


def digest_chars(passage: TranscriptPassage, limits: DigestLimits) -> int:
    """The most characters of ``passage`` in a digest."""
    says_error = passage.is_result and is_error_result(passage.text)
    if says_error or passage.is_failure:
        return limits.change
    if passage.is_deciding:
        return limits.deciding
    if passage.role == "user":
        return limits.user
    if is_read(passage):
        return limits.reading if passage.is_agent_input else limits.arguments
    if passage.is_result:
        return limits.result
    if passage.is_call:
        return limits.change
    return limits.wiring if passage.is_wiring else limits.words


def is_in_brief(passage: TranscriptPassage) -> bool:
    """Whether ``passage`` is shown where a run is brief."""
    if passage.keep or passage.is_deciding or passage.is_failure or is_setting(passage):
        return True
    if passage.is_result and is_error_result(passage.text):
        return True
    return not is_read(passage) and not is_said(passage)


def is_read(passage: TranscriptPassage) -> bool:
    """Whether it is a call that only reads, its result, or a retrieved document."""
    is_document = passage.field.startswith("documents.")
    return is_document or (bool(passage.tool) and reads_only(passage.tool or ""))


def with_deciding_words(passages: Sequence[TranscriptPassage]) -> list[TranscriptPassage]:
    """``passages``, what the agent said last, and last before each change, marked as such.

    A reader has to see what was announced and asked before something was changed.
    """
    deciding: set[int] = set()
    last: int | None = None
    for n, passage in enumerate(passages):
        if is_said(passage):
            last = n
        elif last is not None and passage.is_call and not is_read(passage):
            deciding.add(last)
    deciding |= {last} if last is not None else set()
    return [replace(p, is_deciding=True) if n in deciding else p for n, p in enumerate(passages)]


def is_said(passage: TranscriptPassage) -> bool:
    """Whether it is what the agent said in words."""
    return passage.role == "assistant" and not passage.is_call


def joined_reads(passages: Sequence[TranscriptPassage]) -> Iterator[TranscriptPassage]:
    """``passages`` in which a call that only reads is one with its result."""
    arguments: dict[int, str] = {}
    called: set[int] = set()
    for n, passage in enumerate(passages):
        if passage.is_call and is_read(passage) and not passage.keep:
            result = position_of_result(passage, passages, n, arguments)
            if result is not None:
                arguments[result] = passage.text
                called.add(n)
    for n, passage in enumerate(passages):
        if n not in called:
            yield replace(passage, arguments=arguments.get(n))


def position_of_result(
    call: TranscriptPassage, passages: Sequence[TranscriptPassage], at: int, taken: dict[int, str]
) -> int | None:
    """The number of the passage with what a tool span returned for ``call``; None if none has."""
    for n in range(at + 1, min(at + NEAR, len(passages))):
        span = passages[n].span
        is_output = passages[n].field == "output" and tool_run_by(span) == call.tool
        if is_output and n not in taken and text_key(span.input) == text_key(call.text):
            return n
    return None
