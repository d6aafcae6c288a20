"""Batches: traces, in the order given, divided into pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from halo_engine.findings import Evidence
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import Line, Transcript, TranscriptPage
from halo_engine.rlm.pages.passages import transcript_passages
from halo_engine.schema import Trace
from halo_engine.text.compact_json import compact
from halo_engine.text.injection import addresses_readers

PAGE_CHARS = 80_000
PAGE_TRACES = 20
# Limits for the characters of one text, tried in turn until a trace fits on a page.
PASSAGE_CHARS = (10_000, 4000, 1500, 500, 150)
OMISSION_CHARS = 100
# A page is not left emptier than this for the traces of one whole.
LEAST_FILLED = 0.5

# Quotes by trace id.
MustShow = Mapping[str, Sequence[Evidence]]
# What stands under the name of a trace, by trace id.
Heads = Mapping[str, str]
# What traces are part of, by trace id: those of one whole are not divided needlessly.
Together = Mapping[str, Hashable]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class PageLayout:
    """How traces are shown on pages: in what ``detail``, or that of ``details`` by trace id.

    The quotes ``must_show``, by trace id, and what is around them are not cut; ``heads`` stand under
    the names of traces. Those that belong ``together`` stand one after the other, and begin a page of
    their own where the one before, half full, has no room for all of them.
    """

    detail: Detail = Detail.FULL
    must_show: MustShow = field(default_factory=dict)
    heads: Heads = field(default_factory=dict)
    together: Together = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)

    def detail_of(self, trace_id: str) -> Detail:
        """In what detail a trace is shown."""
        return self.details.get(trace_id, self.detail)


@dataclass(frozen=True)
class TraceBatch:
    """Some traces as one page of text; ``shortened`` are those that are not there in full."""

    trace_ids: tuple[str, ...]
    text: str
    shortened: frozenset[str]


@dataclass
class BatchDraft:
    """A batch to which traces are added as long as they fit on its page."""

    page: TranscriptPage
    traces: list[Trace] = field(default_factory=list)
    transcripts: dict[str, Transcript] = field(default_factory=dict)

    def add(self, trace: Trace, transcript: Transcript) -> None:
        """Add a trace at the end."""
        self.traces.append(trace)
        self.transcripts[trace.trace_id] = transcript

    def remove(self, trace: Trace) -> None:
        """Remove one of the last traces: nothing before it refers to what it shows."""
        self.traces.remove(trace)
        del self.transcripts[trace.trace_id]

    @property
    def chars(self) -> int:
        """The characters of its traces."""
        return sum(transcript.chars for transcript in self.transcripts.values())

    def has_room(self, transcript: Transcript, limit: int) -> bool:
        """Whether another trace fits on a page of ``limit`` characters."""
        if not self.transcripts:
            return True
        if any(known.is_last for known in self.transcripts.values()):
            return False
        return self.chars + transcript.chars <= limit and len(self.transcripts) < PAGE_TRACES

    def batch(self) -> TraceBatch:
        """The finished batch."""
        shortened = (t for t, transcript in self.transcripts.items() if transcript.is_shortened)
        text = "\n".join(transcript.text for transcript in self.transcripts.values())
        return TraceBatch(tuple(self.transcripts), text, frozenset(shortened))


@dataclass(frozen=True)
class Paging:
    """How traces are divided: pages of ``page_chars``, with ``name`` giving their short ids."""

    name: Callable[[str], str]
    page_chars: int = PAGE_CHARS
    layout: PageLayout = PageLayout()

    def batches(self, traces: Iterable[Trace], *, alone: bool = False) -> Iterator[TraceBatch]:
        """The traces in the given order, divided into batches of one page each.

        One that addresses its readers has a page of its own; with ``alone`` every one has.
        """
        draft = self._draft()
        for trace in traces:
            if alone or has_text_to_readers(trace):
                yield self._filled(trace).batch()
                continue
            transcript = self._transcript(draft.page, trace)
            if draft.has_room(transcript, self.page_chars):
                draft.add(trace, transcript)
                continue
            following = self._following(draft, trace)
            yield draft.batch()
            draft = following
        if draft.transcripts:
            yield draft.batch()

    def _following(self, draft: BatchDraft, trace: Trace) -> BatchDraft:
        """The next page, which begins with ``trace``, or with its kin, taken from ``draft``.

        Its kin stay where they are if they do not fit on one page with it.
        """
        kin = self._kin(draft, trace)
        following = self._filled(*kin, trace)
        if following.chars > self.page_chars:
            return self._filled(trace)
        for other in kin:
            draft.remove(other)
        return following

    def _kin(self, draft: BatchDraft, last: Trace) -> list[Trace]:
        """The traces at the end of ``draft`` that belong to ``last``.

        None, if less than half of a page would be left without them.
        """
        whole = self.layout.together.get(last.trace_id)
        if whole is None:
            return []
        kin = [t for t in draft.traces if self.layout.together.get(t.trace_id) == whole]
        left = draft.chars - sum(draft.transcripts[t.trace_id].chars for t in kin)
        return kin if left >= self.page_chars * LEAST_FILLED else []

    def _draft(self) -> BatchDraft:
        return BatchDraft(TranscriptPage(PASSAGE_CHARS[0]))

    def _filled(self, *traces: Trace) -> BatchDraft:
        """A page with ``traces``."""
        draft = self._draft()
        for trace in traces:
            draft.add(trace, self._transcript(draft.page, trace))
        return draft

    def _transcript(self, page: TranscriptPage, trace: Trace) -> Transcript:
        """A trace on ``page``, or, where it has more characters than a page, in fewer."""
        transcript = self._titled(page, trace)
        for chars in PASSAGE_CHARS[1:]:
            if transcript.chars <= self.page_chars:
                return transcript
            shorter = self._titled(TranscriptPage(chars), trace)
            transcript = shorter._replace(is_shortened=True, is_last=True)
        if transcript.chars > self.page_chars:
            transcript = transcript._replace(lines=ends_that_fit(transcript.lines, self.page_chars))
        return transcript

    def _titled(self, page: TranscriptPage, trace: Trace) -> Transcript:
        name = self.name(trace.trace_id)
        id, layout = trace.trace_id, self.layout
        found = page.transcript(name, trace, layout.detail_of(id), layout.must_show.get(id, ()))
        head = self.layout.heads.get(trace.trace_id)
        title = [Line(f"## Trace {name}"), *([Line(head)] if head else [])]
        return found._replace(lines=[*title, *found.lines])


def has_text_to_readers(trace: Trace) -> bool:
    """Whether a text of ``trace`` is addressed to its readers; instructions are to the agent."""
    texts = (p.text for p in transcript_passages(trace) if not p.is_instruction)
    return any(addresses_readers(text) or hides_address(text) for text in texts)


def hides_address(text: str) -> bool:
    """Whether a text is addressed to readers in words that it escapes, which a page shows."""
    return "\\u" in text and addresses_readers(compact(text).text)


def ends_that_fit(lines: Sequence[Line], limit: int) -> list[Line]:
    """As many of the first and the last of ``lines`` as fit, and those that must be shown.

    Those between them are replaced by their number.
    """
    wanted = {n for n, line in enumerate(lines) if line.is_kept}
    room = limit - OMISSION_CHARS - sum(len(lines[n].text) + 1 + OMISSION_CHARS for n in wanted)
    for step in range(len(lines)):
        n = step // 2 if step % 2 == 0 else len(lines) - 1 - step // 2
        if n in wanted:
            continue
        room -= len(lines[n].text) + 1
        if room < 0:
            break
        wanted.add(n)
    return list(with_omissions(lines, sorted(wanted)))


def with_omissions(lines: Sequence[Line], wanted: Sequence[int]) -> Iterator[Line]:
    """The lines with the numbers ``wanted``, and how many are left out between them."""
    ends = [*wanted, len(lines)]
    starts = [0, *(n + 1 for n in wanted)]
    for start, end in zip(starts, ends, strict=True):
        if start < end:
            yield Line(f"[... {end - start} lines of this trace are not shown ...]")
        if end < len(lines):
            yield lines[end]
