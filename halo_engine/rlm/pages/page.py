"""A page: the transcripts of several traces as lines, with references for what they share.

A line is ``[T17.5] KIND tool who: text``. Its name is that of the span; the second line of a span is
``[T17.5b]``. JSON is compacted; what is cut is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from halo_engine.findings import Evidence
from halo_engine.rlm.pages.cutting import Range, cut
from halo_engine.rlm.pages.detail import (
    LIMITS,
    Detail,
    is_in_brief,
    is_setting,
    joined_reads,
    limit_of,
    with_deciding_words,
)
from halo_engine.rlm.pages.must_show import with_must_show
from halo_engine.rlm.pages.passages import TranscriptPassage, transcript_passages
from halo_engine.rlm.pages.repeats import Block, repeated_blocks
from halo_engine.rlm.pages.sharing import SharedTexts
from halo_engine.schema import SpanKind, Trace
from halo_engine.text.compact_json import compact, shortened
from halo_engine.text.sanitize import strip_invisible

# What stands before the text of a line, roughly.
HEAD_CHARS = 40
LETTERS = "abcdefghijklmnopqrstuvwxyz"

# How to read a page, for the instructions of a prompt.
NOTATION = (
    'A line named "[T3.5b]" is another text of the span T3.5. JSON is shown without white space and '
    "needless quotation marks; of objects with the same keys, the first is "
    '"@1{key:value,...}" and the next "@1{value,...}". Text in "(...)" that names another line '
    'stands for what that line shows, and "[... 812 characters ...]" for what was cut there: what '
    "it held is not known."
)


NOT_IN_BRIEF = "[... {number} lines with what the agent read or said on the way are left out ...]"


class Line(NamedTuple):
    """A line of a page, and whether it holds words that must be shown."""

    text: str
    is_kept: bool = False


class Transcript(NamedTuple):
    """The lines of a trace on a page, and whether a text is cut that its detail shows.

    One that ``is_last`` is the last on its page: others could refer to what it had to leave out.
    """

    lines: list[Line]
    is_shortened: bool
    is_last: bool = False

    @property
    def chars(self) -> int:
        """The number of characters, each line with a line break."""
        return sum(len(line.text) + 1 for line in self.lines)

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(line.text for line in self.lines)


class TranscriptPage:
    """The transcripts of several traces on one page.

    A text is cut to ``passage_chars`` characters, an instruction to several times as many, and in a
    digest what the agent read to far fewer.
    """

    def __init__(self, passage_chars: int) -> None:
        self._passage_chars = passage_chars
        self._shared = SharedTexts()
        self._cut_lines: set[str] = set()

    def transcript(
        self,
        name: str,
        trace: Trace,
        detail: Detail = Detail.FULL,
        must_show: Iterable[Evidence] = (),
    ) -> Transcript:
        """Add ``trace`` with the short id ``name``; the quotes ``must_show`` are not cut."""
        passages = with_must_show(transcript_passages(trace), trace, must_show)
        if detail is not Detail.FULL:
            passages = list(joined_reads(with_deciding_words(passages)))
        names = line_names(name, trace, passages)
        is_shown = [detail is not Detail.BRIEF or is_in_brief(passage) for passage in passages]
        names, passages = list(compress(names, is_shown)), list(compress(passages, is_shown))
        writer = LineWriter(self._passage_chars, detail, self._shared, self._cut_lines)
        lines: list[Line] = []
        keys = [(p.span.kind, p.role, p.text, p.arguments, p.keep) for p in passages]
        for block in repeated_blocks(keys, [len(p.text) + HEAD_CHARS for p in passages]):
            first = range(block.start, block.start + block.length)
            lines += [writer.line(names[n], passages[n]) for n in first]
            if block.times > 1:
                lines.append(repetition(block, names))
        if not all(is_shown):
            lines.append(Line(NOT_IN_BRIEF.format(number=is_shown.count(False))))
        return Transcript(lines, writer.is_shortened)


class LineWriter:
    """Writes the passages of one trace; see ``TranscriptPage``."""

    def __init__(
        self, passage_chars: int, detail: Detail, shared: SharedTexts, cut_lines: set[str]
    ) -> None:
        self._passage_chars = passage_chars
        self._detail = detail
        self._shared = shared
        self._cut_lines = cut_lines
        self.is_shortened = False

    def line(self, name: str, passage: TranscriptPassage) -> Line:
        """``passage`` as the line ``name``."""
        head = " ".join(part for part in head_parts(passage, self._detail) if part)
        text = passage.missing or self._text(name, passage)
        return Line(f"[{name}] {head}: {text}", bool(passage.keep))

    def _text(self, name: str, passage: TranscriptPassage) -> str:
        """The text of a passage, or what stands for it."""
        text = strip_invisible(passage.text)
        keep = [shown_range(passage.text, range_) for range_ in passage.keep]
        shared = self._shared.shared(name, passage, text)
        if shared is None:
            return self._compact(name, passage, text, keep)
        self.is_shortened |= shared.name in self._cut_lines
        limit = limit_of(passage, self._detail, self._passage_chars)
        said = self._cut(name, passage, shared.text, limit, ())
        return f"{said}\n{cut(text, 0, keep)}" if keep else said

    def _compact(
        self, name: str, passage: TranscriptPassage, text: str, keep: Sequence[Range]
    ) -> str:
        limit = limit_of(passage, self._detail, self._passage_chars)
        rendering, is_whole = shortened(text, limit, keep)
        if not is_whole:
            self._note_cut(name, passage)
        shown = [rendering.rendered_range(*range_) for range_ in keep]
        return self._cut(name, passage, rendering.text, limit, [s for s in shown if s])

    def _cut(
        self,
        name: str,
        passage: TranscriptPassage,
        text: str,
        limit: int,
        keep: Sequence[Range],
    ) -> str:
        if len(text) <= limit:
            return text
        self._note_cut(name, passage)
        return cut(text, limit, keep, "" if self._is_brief(passage) else passage.field)

    def _note_cut(self, name: str, passage: TranscriptPassage) -> None:
        """A text was cut; that a digest is brief is no shortening of it."""
        if not self._is_brief(passage):
            self._cut_lines.add(name)
            self.is_shortened = True

    def _is_brief(self, passage: TranscriptPassage) -> bool:
        return self._detail is not Detail.FULL and not is_setting(passage)


def head_parts(passage: TranscriptPassage, detail: Detail) -> Iterator[str]:
    """What stands before the text of a passage: kind, tool or step, arguments, author.

    No name of a trace can end the line, to go on with one that seems to be of another trace.
    """
    span = passage.span
    yield span.kind or ""
    if span.kind is SpanKind.TOOL:
        yield on_one_line(span.tool_name or "")
    elif span.kind is not SpanKind.LLM and passage.role in ("input", "output"):
        yield on_one_line(span.name or "") if span.parent_span_id else ""
    if passage.arguments is not None:
        yield cut(compact(strip_invisible(passage.arguments)).text, LIMITS[detail].arguments)
    yield on_one_line(passage.role)


def on_one_line(text: str) -> str:
    """A text of a trace without line breaks and invisible characters."""
    return " ".join(strip_invisible(text).split())


def line_names(name: str, trace: Trace, passages: Sequence[TranscriptPassage]) -> list[str]:
    """A name for each of ``passages``: that of its span, with a letter after the first of it."""
    numbers = {id(span): n for n, span in enumerate(trace.spans, start=1)}
    seen: Counter[int] = Counter()
    names: list[str] = []
    for passage in passages:
        number = numbers[id(passage.span)]
        names.append(f"{name}.{number}{letter(seen[number])}")
        seen[number] += 1
    return names


def letter(n: int) -> str:
    """Nothing, b to z, aa, ab, ... for 0, 1, 2, ..."""
    if n == 0:
        return ""
    before, last = divmod(n, len(LETTERS))
    return (LETTERS[before - 1] if before else "") + LETTERS[last]


def repetition(block: Block, names: Sequence[str]) -> Line:
    """A line for the repetitions of ``block``."""
    last = names[block.start + block.length * block.times - 1]
    what = "the line before" if block.length == 1 else f"the {block.length} lines before"
    return Line(f"[{last}] ({what}, again; {block.times} times in a row)")


def shown_range(text: str, range_: Range) -> Range:
    """Where a range of ``text`` is when invisible characters are removed."""
    start, end = range_
    return len(strip_invisible(text[:start])), len(strip_invisible(text[:end]))
