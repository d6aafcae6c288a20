"""Quotes and pages: what must be shown is on the page, and what is on the page can be quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import pytest

from halo_engine.findings import Evidence
from halo_engine.quotes import find_quote, locate_quote, quotable_texts
from halo_engine.rlm.pages.batches import PageLayout, Paging
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import TranscriptPage
from halo_engine.schema import Trace
from halo_engine.text.compact_json import compact
from halo_engine.text.sanitize import strip_invisible
from halo_integrations.testing import agent, call, llm, message, tool, trace
from recordings import RECORDINGS, traces_in

NAMES = sorted(p.name.removesuffix(".otlp.jsonl.gz") for p in RECORDINGS.glob("*.otlp.jsonl.gz"))
# What stands on a page in place of a text, and is no part of it.
NOT_QUOTED = re.compile(r"\[\.\.\.|\(the same text|\(begins as|\(empty|\(not recorded")


def recorded_traces(name: str) -> list[Trace]:
    return list(traces_in(RECORDINGS / f"{name}.otlp.jsonl.gz").values())[:2]


def random_evidence(found: Trace, random: Random) -> Iterator[Evidence]:
    """A quote of some texts of a trace, wherever they are."""
    texts = [(span, *named) for span in found.spans for named in quotable_texts(span)]
    for span, field, text in random.sample(texts, min(len(texts), 6)):
        start = random.randrange(len(text))
        quote = text[start : start + random.randrange(8, 60)]
        yield Evidence(
            trace_id=found.trace_id, span_id=span.span_id, field=field, quote=quote, offset=start
        )


def is_shown(evidence: Evidence, found: Trace, page: str) -> bool:
    """Whether a quote is on a page as it is, or as the part of a compact text that it is."""
    unmarked = re.sub(r"@\d+(?={)", "", page)
    if find_quote(unmarked, strip_invisible(evidence.quote).strip()) != (0, 0):
        return True
    texts = (
        dict(quotable_texts(s)).get(evidence.field) for s in found.spans_by_id[evidence.span_id]
    )
    text = next(t for t in texts if t and t.startswith(evidence.quote, evidence.offset))
    shown = compact(text)
    part = shown.rendered_range(evidence.offset, evidence.offset + len(evidence.quote))
    return part is None or strip_invisible(shown.text[slice(*part)]) in page


@pytest.mark.parametrize("detail", [Detail.FULL, Detail.DIGEST, Detail.BRIEF])
@pytest.mark.parametrize("name", NAMES)
def test_no_quoted_word_is_cut(name: str, detail: Detail) -> None:
    random = Random(name)
    for chars in (10_000, 150):
        for found in recorded_traces(name):
            evidence = list(random_evidence(found, random))
            page = TranscriptPage(chars).transcript("T1", found, detail, evidence).text
            missing = [e for e in evidence if not is_shown(e, found, page)]
            assert missing == []


@pytest.mark.parametrize("detail", [Detail.FULL, Detail.DIGEST, Detail.BRIEF])
@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_a_page_can_be_quoted_from_the_span_that_it_names(name, detail) -> None:
    for found in recorded_traces(name):
        for line in TranscriptPage(10_000).transcript("T1", found, detail).lines:
            if line.text.startswith("[... "):
                continue
            number, text = text_of_line(line.text)
            quote = text[: 8 + len(text) // 2][:250]
            if len(quote) < 8 or NOT_QUOTED.search(text):
                continue
            span = found.spans[number - 1]
            assert locate_quote(found, span.span_id, quote), line.text


def text_of_line(line: str) -> tuple[int, str]:
    """The number of the span of a line, and its text; none of a line that is about others."""
    if line.startswith("[..."):
        return 1, ""
    name, _, rest = line.partition("] ")
    number = int(re.sub("[a-z]", "", name.removeprefix("[T1.")))
    if " tools: " in line or rest.startswith("("):
        return number, ""
    mark = "output: " if rest.startswith("TOOL") and "output: " in rest else ": "
    return number, rest.partition(mark)[2]


LONG = "\n".join(f"Entry {n}: the customer called about order {n}." for n in range(4000))


def long_trace(number: int = 1) -> Trace:
    return trace(
        agent(input="Read the log.", output="Done."),
        llm(calls=[call("read_log", {})], messages=[message("user", "Read the log.")]),
        *(tool("read_log", {"page": page}, output=LONG) for page in range(40)),
        number=number,
    )


@pytest.mark.parametrize("page_chars", [80_000, 3000])
@pytest.mark.parametrize("detail", [Detail.FULL, Detail.DIGEST, Detail.BRIEF])
def test_what_must_be_shown_of_a_trace_that_is_too_long_is_on_its_page(page_chars, detail) -> None:
    found = long_trace()
    quote = "the customer called about order 2345."
    at = LONG.index(quote)
    span_id = found.spans[20].span_id
    evidence = Evidence(
        trace_id=found.trace_id, span_id=span_id, field="output", quote=quote, offset=at
    )
    paging = Paging(lambda _: "T1", page_chars, PageLayout(detail, {found.trace_id: [evidence]}))
    (batch,) = paging.batches([found])
    (line,) = (line for line in batch.text.split("\n[T1.") if quote in line)
    assert line.startswith("21b] ")
    assert "order 2344." in line
    assert "order 2346." in line
    assert len(batch.text) < page_chars + 2000
