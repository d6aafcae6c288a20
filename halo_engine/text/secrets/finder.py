"""The search for secrets: all rules, the cheap test that most texts fail, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import re2

from halo_engine.text.levels import Level
from halo_engine.text.secrets.assignments import assignment_rules
from halo_engine.text.secrets.library import library_rules
from halo_engine.text.secrets.personal import personal_rules
from halo_engine.text.secrets.providers import provider_rules
from halo_engine.text.secrets.rule import Rule
from halo_engine.text.secrets.structures import structure_rules
from halo_engine.text.secrets.tables import table_rules

CLUE_MEMORY = 64 << 20  # bytes for the automata of all clues


# Start, rank of the rule, end, and kind.
Match = tuple[int, int, int, str]


@dataclass(frozen=True)
class Secret:
    """A secret in a text, by character offsets."""

    kind: str
    start: int
    end: int


class RuleGroup:
    """Rules that are tried where one of their clues is in a text.

    What tells that takes milliseconds to compile, and many runs read no text that needs it.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self.clues = tuple(dict.fromkeys(rule.clue for rule in rules))

    @cached_property
    def _clue(self) -> re2._Regexp:
        return linear("|".join(self.clues))

    @cached_property
    def _clues(self) -> re2.Set:
        return linear_set([rule.clue for rule in self._rules])

    def matches(self, text: str, encoded: bytes) -> Iterator[Match]:
        """What the rules find in ``text``, whose UTF-8 is ``encoded``."""
        if self._clue.search(encoded):
            # A set without memory for its automaton names none: then all rules are tried.
            for rank in self._clues.Match(encoded) or range(len(self._rules)):
                rule = self._rules[rank]
                for start, end in rule.find(text):
                    yield start, rank, end, rule.kind


class Finder:
    """Finds what groups of rules describe.

    Of matches that overlap the whole extent is one secret, of the kind of the first rule. ``clues``
    are those of all rules: UTF-8 in which none of them matches holds no secret.
    """

    def __init__(self, groups: Sequence[Sequence[Rule]]) -> None:
        self._groups = [RuleGroup(rules) for rules in groups]
        self.clues = tuple(clue for group in self._groups for clue in group.clues)

    def find(self, text: str) -> list[Secret]:
        """The secrets in ``text`` by position, none of which overlap."""
        encoded = text.encode("utf-8", "replace")
        readable = text if text.isascii() else encoded.decode()
        found = [match for group in self._groups for match in group.matches(readable, encoded)]
        return list(merged(sorted(found)))


def merged(found: Sequence[Match]) -> Iterator[Secret]:
    """Sorted matches, with those that overlap as one."""
    current: Match | None = None
    for start, rank, end, kind in found:
        if current is None or start >= current[2]:
            if current:
                yield Secret(current[3], current[0], current[2])
            current = start, rank, end, kind
            continue
        best = min((current[1], current[3]), (rank, kind))
        current = current[0], best[0], max(current[2], end), best[1]
    if current:
        yield Secret(current[3], current[0], current[2])


def linear(pattern: str) -> re2._Regexp:
    """``pattern`` for bytes, in linear time."""
    return re2.compile(pattern.encode(), options_for_bytes())


def linear_set(patterns: Sequence[str]) -> re2.Set:
    """Tells in one pass over bytes, in linear time, which of ``patterns`` are in them."""
    found = re2.Set.SearchSet(options_for_bytes())
    for pattern in patterns:
        found.Add(pattern.encode())
    found.Compile()
    return found


def options_for_bytes() -> re2.Options:
    """What both have in common."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = CLUE_MEMORY
    return options


@cache
def finder(level: Level) -> Finder:
    """The rules of ``level``. Those for credentials come first, of the most exact form at the top."""
    credentials = (
        *structure_rules(),
        *provider_rules(),
        *library_rules(by_name=False),
        *assignment_rules(),
        *table_rules(),
        *library_rules(by_name=True),
    )
    groups = {
        Level.OFF: (),
        Level.DEFAULT: (credentials,),
        Level.STRICT: (credentials, personal_rules()),
    }
    return Finder(groups[level])


def find_secrets(text: str, level: Level = Level.DEFAULT) -> list[Secret]:
    """The secrets in ``text`` by position."""
    return finder(level).find(text)
