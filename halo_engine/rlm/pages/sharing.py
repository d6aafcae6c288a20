"""What several texts of a page share is shown once; after that a reference, or what differs."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import partial
from os.path import commonprefix
from typing import NamedTuple

from halo_engine.rlm.pages.passages import TranscriptPassage

# A text longer than this that is on the page already is replaced by a reference: one that a model
# received, and one that a step only passed on, or that is in all runs.
SHARED_CHARS, SHARED_SOONER_CHARS = 150, 50
# Instructions and prompt templates differ from run to run in a date, a name or a document. Such
# texts are shown as a line diff to one of the last that were shown in full. Results of tools are
# not: a line of one means little without the lines around it.
DIFFED_ROLES = ("system", "developer", "user", "tools")
COMPARED_TEXTS = 5
DIFFED_LINES = range(5, 2000)
MAX_DIFF_SHARE = 0.5
# The pairs of equal words of two lines, which the time for their comparison grows with.
MAX_WORD_PAIRS = 200_000
# The words before and after those that differ within a line.
NEAR_WORDS = 4
# A prompt without messages often begins with the whole conversation so far.
PREFIX_ROLES = ("input",)
MIN_PREFIX, MIN_PREFIX_SHARE = 400, 0.5


class ShownText(NamedTuple):
    """A text that is on a page in full, and the name of its line."""

    name: str
    text: str
    lines: tuple[str, ...]


class Shared(NamedTuple):
    """What is shown in place of a text, and the name of the line that shows what is left out."""

    text: str
    name: str


class SharedTexts:
    """The texts that are on a page."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._shown: dict[str, deque[ShownText]] = defaultdict(
            partial(deque, maxlen=COMPARED_TEXTS)
        )

    def shared(self, name: str, passage: TranscriptPassage, text: str) -> Shared | None:
        """What stands for ``text`` in the line ``name``; None if it has to be shown itself.

        What the model of an agent wrote has to.
        """
        is_soon = passage.is_wiring or passage.field == "tools"
        if len(text) <= (SHARED_SOONER_CHARS if is_soon else SHARED_CHARS):
            return None
        first = self._names.setdefault(text, name)
        if not (passage.is_agent_input or passage.is_wiring):
            return None
        if first != name:
            return Shared(f"(the same text as in {first})", first)
        return self._similar(name, passage.role, text)

    def _similar(self, name: str, role: str, text: str) -> Shared | None:
        """What differs between ``text`` and one that is on the page."""
        shown = self._shown[role]
        new = ShownText(name, text, tuple(text.splitlines()))
        similar = None
        if role in PREFIX_ROLES:
            similar = continued(new, shown)
        elif role in DIFFED_ROLES and len(new.lines) in DIFFED_LINES:
            similar = changed(new, shown)
        if similar is None or role in PREFIX_ROLES:
            shown.append(new)
        return similar


def continued(new: ShownText, shown: Iterable[ShownText]) -> Shared | None:
    """``new`` without its beginning, if most of it is the beginning of a text that was shown."""
    lengths = {len(commonprefix([new.text, other.text])): other for other in shown}  # noqa: RUF071
    length = max(lengths, default=0)
    if length < max(MIN_PREFIX, MIN_PREFIX_SHARE * len(new.text)):
        return None
    name = lengths[length].name
    return Shared(f"(begins as {name} does, {length} characters) {new.text[length:]}", name)


def changed(new: ShownText, shown: Iterable[ShownText]) -> Shared | None:
    """The lines of ``new`` that the most similar text on the page has not, if they are few."""
    similar = max(shown, key=lambda other: len(set(other.lines) & set(new.lines)), default=None)
    if similar is None:
        return None
    diff = "\n".join(changed_lines(similar.lines, new.lines))
    if len(diff) >= MAX_DIFF_SHARE * len(new.text):
        return None
    said = f"(the same text as in {similar.name}, but for these lines)\n{diff}"
    return Shared(said if diff else f"(the same text as in {similar.name})", similar.name)


def changed_lines(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """The removed lines, prefixed with "-", and the added ones, prefixed with "+".

    Of a line in which a few words are others, prefixed with "~", these words.
    """
    for tag, start, end, new_start, new_end in SequenceMatcher(None, before, after).get_opcodes():
        if tag == "equal":
            continue
        removed, added = before[start:end], after[new_start:new_end]
        if len(removed) == len(added):
            yield from map(changed_line, removed, added)
        else:
            yield from (f"-{line}" for line in removed)
            yield from (f"+{line}" for line in added)


def changed_line(before: str, after: str) -> str:
    """A line that is another, in the notation of wdiff where that is much shorter."""
    both = f"-{before}\n+{after}"
    old, new = before.split(" "), after.split(" ")
    if word_pairs(old, new) > MAX_WORD_PAIRS:
        return both
    said = "~" + " ... ".join(changed_words(old, new))
    return said if len(said) < MAX_DIFF_SHARE * len(both) else both


def word_pairs(before: Sequence[str], after: Sequence[str]) -> int:
    """The pairs of a word before and an equal one after."""
    counts = Counter(after)
    return sum(number * counts[word] for word, number in Counter(before).items())


def changed_words(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """The words that are others, each part with a few words before and after it."""
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(
        NEAR_WORDS
    ):
        parts = []
        for tag, start, end, new_start, new_end in group:
            removed, added = " ".join(before[start:end]), " ".join(after[new_start:new_end])
            old, new = f"[-{removed}-]" if removed else "", f"{{+{added}+}}" if added else ""
            parts.append(removed if tag == "equal" else f"{old}{new}")
        yield " ".join(parts)
