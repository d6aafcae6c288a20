"""Transcripts of traces on one page."""

from __future__ import annotations

from halo_engine.rlm.pages.page import TranscriptPage
from halo_engine.schema import Trace
from halo_integrations.testing import agent, call, llm, message, tool, trace

LONG = "All refunds need a receipt. " * 40


def sample(number: int, *, instruction: str = "Be brief.", result: str = "ok") -> Trace:
    """A trace whose agent gets an instruction, calls a tool with a long text, and answers with it."""
    messages = [message("system", instruction), message("user", f"Question {number}")]
    return trace(
        agent(input=f"Question {number}"),
        llm(calls=[call("send", {"text": LONG})], messages=messages),
        tool("send", {"text": LONG}, output=result),
        llm(LONG, messages=[*messages, message("tool", result)]),
        number=number,
    )


def texts(page: TranscriptPage, number: int, shown: Trace) -> str:
    return page.transcript(f"T{number}", shown).text


def test_the_limit_for_instructions_is_five_times_that_for_other_texts() -> None:
    page = TranscriptPage(200)
    shown = texts(page, 1, sample(1, instruction="Rule. " * 150, result="Result. " * 150))
    assert "Rule. " * 149 in shown
    for cut in ("output_messages.0.tool_calls.0.arguments", "output", "output_messages.0.content"):
        assert f"characters of {cut} ...]" in shown


def test_an_input_that_several_traces_share_is_shown_once_on_a_page() -> None:
    page = TranscriptPage(6000)
    texts(page, 1, sample(1, instruction=LONG))
    assert "LLM system: (the same text as in T1.2)" in texts(page, 2, sample(2, instruction=LONG))


def test_an_instruction_that_differs_in_one_line_is_shown_as_a_diff() -> None:
    rules = "\n".join(f"Rule {n}: refunds need receipt number {n}." for n in range(30))
    page = TranscriptPage(6000)
    texts(page, 1, sample(1, instruction=f"Today is Monday.\n{rules}"))
    texts(page, 2, sample(2, instruction=LONG.replace(". ", ".\n")))
    shown = texts(page, 3, sample(3, instruction=f"Today is Friday.\n{rules}"))
    assert (
        "LLM system: (the same text as in T1.2, but for these lines)\n"
        "-Today is Monday.\n+Today is Friday.\n[T3.2b]"
    ) in shown


def test_a_tool_result_that_differs_in_one_line_is_shown_in_full() -> None:
    rows = [f"The price of seat {n} on the way there is {n}." for n in range(30)]
    page = TranscriptPage(6000)
    texts(page, 1, sample(1, result="\n".join(rows)))
    shown = texts(page, 2, sample(2, result="\n".join([*rows, "There are no more."])))
    assert rows[7] in shown


def test_outputs_of_the_agent_are_shown_in_full_each_time() -> None:
    page = TranscriptPage(6000)
    texts(page, 1, sample(1))
    again = texts(page, 2, sample(2))
    assert f"[T2.4] LLM assistant: {LONG.strip()}" in again
    assert '[T2.2b] LLM calls send: {text:"All refunds' in again
    assert "the same text" not in again
