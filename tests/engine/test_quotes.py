"""Verification of quotes in the texts of a span."""

from __future__ import annotations

import time

import pytest

from halo_engine.findings import Citation
from halo_engine.quotes import (
    find_citation,
    find_quote,
    locate_quote,
    quotable_texts,
    verify_citations,
)
from halo_engine.schema import Message, Span, SpanEvent, ToolCall, Trace


def trace(**fields: object) -> Trace:
    span = Span(trace_id="t", span_id="s", **fields)
    return Trace(trace_id="t", spans=(span,))


def test_a_citation_is_evidence_only_where_its_quote_is_verbatim() -> None:
    stored = trace(output="Order 17 shipped")
    quotes = ["17 shipped", "17  shipped", "order 17", ""]
    citations = [Citation(span_id="s", field="output", quote=quote) for quote in quotes]
    citations += [
        Citation(span_id="none", field="output", quote="17"),
        Citation(span_id="s", field="input", quote="17"),
    ]
    assert verify_citations(stored, citations) == ((citations[0], 6),)
    assert find_citation(stored, citations[-1]) is None


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("the  order\nwas shipped", "the order was\n\tshipped"),
        ("paid twice, he said", "paid\u200b \x1b[31mtwice,\x1b[0m he said"),
        ("ab [...] he said it loudly", "he said it loudly"),
        ("short", None),
        ("the order was cancelled", None),
    ],
)
def test_a_quote_is_located_despite_different_white_space_and_omissions(quote, found) -> None:
    text = (
        "Yes, the order was\n\tshipped; paid\u200b \x1b[31mtwice,\x1b[0m he said it loudly. short"
    )
    evidence = locate_quote(trace(output=text), "s", quote)
    assert (evidence and evidence.quote) == found
    if evidence:
        assert text[evidence.offset :].startswith(evidence.quote)


def test_a_quote_of_eight_characters_is_evidence_and_one_of_seven_is_none() -> None:
    stored = trace(output="It was refunded; then canceled.")
    assert locate_quote(stored, "s", "refunded")
    assert locate_quote(stored, "s", "was ref") is None


def test_a_quote_with_the_invisible_characters_of_the_text_is_found() -> None:
    evidence = locate_quote(trace(output="the pay\u200bment failed"), "s", "pay\u200bment failed")
    assert evidence
    assert evidence.offset == 4


@pytest.mark.parametrize("part", ["", "absent", "not in it"])
def test_what_is_not_in_a_text_has_no_place_in_it(part: str) -> None:
    assert find_quote("It was refunded.", part) == (0, 0)


def test_a_short_quote_is_evidence_where_it_is_the_whole_text() -> None:
    evidence = locate_quote(trace(output=" no\n"), "s", "no")
    assert evidence
    assert (evidence.quote, evidence.offset) == ("no", 1)


def test_the_named_field_is_searched_first() -> None:
    stored = trace(input="the same text", output="the same text")
    for field in ("input", "output"):
        evidence = locate_quote(stored, "s", "the same text", field)
        assert evidence
        assert evidence.field == field


def test_every_text_of_a_span_can_be_quoted() -> None:
    call = ToolCall(name="look", arguments="{}")
    stored = trace(
        name="step",
        output="out",
        output_messages=(Message(content="said", tool_calls=(call,)),),
        events=(SpanEvent(name="exception", attributes={"exception.message": "boom"}),),
        attributes={"a.b": 17},
    )
    assert dict(quotable_texts(stored.spans[0])) == {
        "output": "out",
        "output_messages.0.content": "said",
        "output_messages.0.tool_calls.0.arguments": "{}",
        "output_messages.0.tool_calls.0.name": "look",
        "events.0.attributes.exception.message": "boom",
        "attributes.a.b": "17",
        "name": "step",
    }


@pytest.mark.parametrize(
    "gap", ["\x85", "\x1c", "\x1b[0m", "\x1b", "\x1b[0", " \x85", "\u200b", " "]
)
def test_a_long_gap_between_words_takes_time_in_proportion(gap) -> None:
    text = "first" + gap * (500_000 // len(gap)) + "third"
    start = time.perf_counter()
    assert find_quote(text, "first second") == (0, 0)
    # A separator that matches in two ways would take years.
    assert time.perf_counter() - start < 30


def test_a_quote_of_white_space_takes_time_in_proportion() -> None:
    start = time.perf_counter()
    assert locate_quote(trace(output="a text"), "s", " " * 50_000 + "x") is None
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("mark", ["...", " ... ", "  [...]\n", " … ", " [... 812 characters ...] "])
def test_a_quote_is_found_by_its_longest_part_between_omission_marks(mark: str) -> None:
    evidence = locate_quote(
        trace(output="first and then a longer part"), "s", f"fir{mark}a longer part"
    )
    assert evidence
    assert evidence.quote == "a longer part"
