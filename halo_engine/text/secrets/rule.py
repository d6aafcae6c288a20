"""What a rule is: a kind of secret, a clue, and a function that finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

# Placeholders in documentation ("xxxxxxxx", "...") have fewer distinct characters than a secret.
MIN_DISTINCT = 8
FILL = re.compile(r"x{6,}|X{6,}|\*{3,}|\.{3,}")
# Of a documented value at least this share is fill.
FILL_SHARE = 1 / 4
# The keys in the documentation of AWS.
DOCUMENTED = re.compile(r"A[A-Z]{3}[A-Z0-9]{5,9}EXAMPLE|[A-Za-z0-9/+]{24,30}EXAMPLEKEY")

# Where a token may start: not within a word, or after an escape of JSON, of a URL or of a terminal,
# and after what Telegram puts before its tokens. A run of word characters has one start, so that a
# pattern behind it takes linear time.
ESCAPES = (
    r"\\[nrtbf]",
    r"\\u[0-9a-fA-F]{4}",
    "%[0-9a-fA-F]{2}",
    r"\[\dm",
    r"\[\d\dm",
    r"\[\d;\d\dm",
    "/bot",
)
AFTER_ESCAPE = "|".join(f"(?<={escape})" for escape in ESCAPES)
EDGE = rf"(?:(?<![\w-])|{AFTER_ESCAPE})"
# The same as a clue, also where the text is escaped in JSON.
EDGE_CLUE = rf"(?:^|[^A-Za-z0-9_-]|{'|'.join(ESCAPES)})"
IN_WORD = re.compile(r"[\w-]", re.ASCII)
IN_NUMBER = re.compile(r"[\w.+]", re.ASCII)
IS_AFTER_ESCAPE = re.compile(AFTER_ESCAPE)
REST_OF_TOKEN = re.compile(r"[\w-]*", re.ASCII)

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


@dataclass(frozen=True)
class Rule:
    """The rule for one kind of secret.

    ``clue`` is a regular expression of RE2 that matches within or just before every secret that
    ``find`` yields (as start and end in the text), and seldom elsewhere: only texts with a clue are
    searched. It must also match where the text is escaped in JSON.
    """

    kind: str
    clue: str
    find: Find


def token_rule(kind: str, prefix: str, body: str, *, clue: str | None = None) -> Rule:
    """The rule for tokens that ``prefix`` and ``body`` describe, as a whole and at an edge.

    The default clue is the prefix with some characters of a token.
    """
    source = f"{EDGE}(?:{prefix})(?:{body})"

    def find(text: str) -> Iterator[Span]:
        for match in token_pattern(source).finditer(text):
            if not is_documented(match[0]):
                yield match.start(), token_end(text, match.end())

    return Rule(kind, clue or rf"{EDGE_CLUE}(?:{prefix})[\w.~+/=-]{{12}}", find)


@cache
def token_pattern(source: str) -> re.Pattern[str]:
    """The pattern ``source``; few of them all ever see a text with their clue."""
    return re.compile(source, re.ASCII)


def at_edge(text: str, start: int, inside: re.Pattern[str] = IN_WORD) -> bool:
    """Whether a token may start at ``start``: not behind a character that is ``inside`` of one."""
    if start == 0 or not inside.match(text, start - 1):
        return True
    return IS_AFTER_ESCAPE.match(text, start) is not None


def token_end(text: str, end: int) -> int:
    """The end of the token that a match up to ``end`` may have cut."""
    match = REST_OF_TOKEN.match(text, end)
    return match.end() if match else end


def is_documented(value: str) -> bool:
    """Whether ``value`` stands for a secret, as in documentation."""
    fill = sum(len(run) for run in FILL.findall(value))
    is_filled = fill > 0 and fill >= FILL_SHARE * len(value)
    return is_filled or len(set(value)) < MIN_DISTINCT or DOCUMENTED.fullmatch(value) is not None
