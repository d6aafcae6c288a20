"""Text that is addressed to the model that reads a trace, not to the agent in it.

A heuristic, for what must not depend on it: such a trace is read apart from others, so that it can
speak only for itself, and a finding is not worded for its reviewers. That nothing between the tags is
an instruction is what the prompts state; that a quote stands in a trace is looked up.
"""

from __future__ import annotations

from functools import cache

import re2

from halo_engine.text.sanitize import strip_invisible
from halo_engine.text.unicode import valid_text

# What is said to the models that analyse traces: their roles, the fields of their answers, the
# functions that they can call, the tags around data.
TO_ANALYSTS = (
    r"\b(?:analysts?|reviewers?|judges?|graders?|auditors?|evaluators?|readers?)\s{0,3}[:,!]",
    r"\b(?:to|dear|attention|note to) (?:the |every |any )?"
    r"(?:analyst|reviewer|judge|grader|auditor|evaluator|reader)s?\b",
    r"[\"'](?:trace|shows|put_right|earlier_cause|failure_mode)[\"']\s{0,9}[:=]",
    r"\b(?:submit_finding|map_traces|read_span|ask_many|map_cost)\b|\bfinish\(",
    r"</?data-[0-9a-f]|\bend of (?:the )?(?:data|traces?|transcripts?|recordings?)\b",
)
# What names the traces that they read, and the claims about these.
ABOUT_TRACES = (
    r"\b(?:all|everything|anything|whatever) (?:that |which )?(?:is|was) claimed\b",
    r"\bclaims?\s{0,3}:?\s{0,3}F\d{1,3}\b",
    r"\btraces? T\d{1,9}\b|\bT\d{1,9}\.\d{1,9}\b|\bfindings? F\d{1,3}\b",
    r"\b(?:other|all|every|each|remaining|next|these) traces?\b",
    r"\b(?:mark|score|rate|label|report|flag|approve|grade)\b[^.\n]{0,30}\b(?:trace|run|span)s?\b",
)
# What is said to any model, by somebody who should not. Role names and headings are not enough: many
# agents have them in their own prompts.
TO_MODELS = (
    r"\b(?:ignore|disregard|forget|override|skip)\b[^.\n]{0,40}"
    r"\b(?:instructions?|prompts?|rules|guidelines|messages)\b",
    r"<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|</?system>",
    r"\b(?:system|developer) (?:message|prompt|override|notice|instruction)s?\s{0,3}[:>\]]",
    r"\byou are (?:now|no longer)\b|\bnew (?:task|instructions?)\s{0,3}:",
)
# A word in two alphabets is written to be read by people and missed by patterns.
TWO_ALPHABETS = (r"[A-Za-z][\x{370}-\x{4ff}]|[\x{370}-\x{4ff}][A-Za-z]",)
# What a document says to the agent that reads it.
TO_AGENTS = (
    r"\b(?:do not|don't|never) (?:tell|mention|inform|reveal)\b[^.\n]{0,40}\buser\b",
    r"\b(?:ai|assistant|agent|model)s? (?:must|should|has to|is required to) (?:now |first )?"
    r"(?:call|send|run|execute|forward|upload|e?mail|transfer|delete|visit)\b",
)


def addresses_readers(text: str) -> bool:
    """Whether the ``text`` of a trace seems to be addressed to a model that reads it."""
    patterns = (*TO_ANALYSTS, *ABOUT_TRACES, *TO_MODELS, *TWO_ALPHABETS)
    return alternatives(patterns).search(strip_invisible(text)) is not None


def addresses_analysts(text: str) -> bool:
    """Whether ``text`` seems to be addressed to the models that analyse traces."""
    return alternatives(TO_ANALYSTS).search(strip_invisible(text)) is not None


def find_instruction(text: str) -> tuple[int, int] | None:
    """Start and end of the first words of ``text`` that seem addressed to a model; None if none."""
    found = alternatives((*TO_MODELS, *TO_AGENTS)).search(valid_text(text))
    return found.span() if found else None


@cache
def alternatives(patterns: tuple[str, ...]) -> re2._Regexp:
    """One pattern for all, in linear time."""
    return re2.compile(f"(?im){'|'.join(patterns)}")
