"""Transcripts of traces on one page."""

from __future__ import annotations

import json
import time

import pytest

from halo_engine.rlm.pages.batches import PageLayout, Paging
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import TranscriptPage, letter
from halo_engine.schema import Origin, Span, Trace
from halo_integrations.testing import (
    agent,
    call,
    declared,
    failed,
    llm,
    message,
    retriever,
    span,
    tool,
    trace,
)

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


def test_of_a_long_line_in_which_few_words_differ_these_are_shown() -> None:
    page = TranscriptPage(6000)
    fee = "For every further suitcase that a passenger brings to the counter the fee is {} dollars."
    texts(page, 1, sample(1, instruction=f"{LONG}\n{fee.format(50)}\n" + "Be polite.\n" * 4))
    shown = texts(
        page, 2, sample(2, instruction=f"{LONG}\n{fee.format(80)}\n" + "Be polite.\n" * 4)
    )
    assert "\n~counter the fee is [-50-]{+80+} dollars.\n[T2" in shown


def test_a_tool_result_that_differs_in_one_line_is_shown_in_full() -> None:
    rows = [f"The price of seat {n} on the way there is {n}." for n in range(30)]
    page = TranscriptPage(6000)
    texts(page, 1, sample(1, result="\n".join(rows)))
    shown = texts(page, 2, sample(2, result="\n".join([*rows, "There are no more."])))
    assert rows[7] in shown


@pytest.mark.parametrize(
    ("together", "pages"),
    [
        ({}, [[1, 2, 3], [4]]),
        ({3: "one task", 4: "one task"}, [[1, 2], [3, 4]]),
        (dict.fromkeys((1, 2, 3, 4), "one task"), [[1, 2, 3], [4]]),
    ],
)
def test_runs_that_belong_together_are_on_one_page_where_they_fit(
    together: dict[int, str], pages: list[list[int]]
) -> None:
    runs = {n: sample(n, result=f"{n} " * 500) for n in (1, 2, 3, 4)}
    layout = PageLayout(together={runs[n].trace_id: whole for n, whole in together.items()})
    size = max(len(b.text) for b in Paging(str, layout=layout).batches([runs[1]]))
    batches = list(Paging(str, int(3.5 * size), layout).batches(runs.values()))
    numbers = {found.trace_id: n for n, found in runs.items()}
    assert [[numbers[t] for t in batch.trace_ids] for batch in batches] == pages


def test_runs_that_belong_together_make_no_page_too_large() -> None:
    runs = [sample(n, result=f"{n} " * words) for n, words in ((1, 1800), (2, 700), (3, 2700))]
    layout = PageLayout(together={run.trace_id: "one task" for run in runs[1:]})
    sizes = [len(b.text) for b in Paging(str, layout=layout).batches(runs, alone=True)]
    limit = max(sizes[0] + sizes[1], sizes[2]) + 100
    assert sizes[0] > limit / 2
    batches = list(Paging(str, limit, layout).batches(runs))
    assert [len(batch.trace_ids) for batch in batches] == [2, 1]
    assert all(len(batch.text) <= limit for batch in batches)


def test_no_run_refers_to_a_text_that_a_larger_one_had_to_cut() -> None:
    rules = " ".join(f"Rule {n} is that seat {n} costs {n}." for n in range(60))
    long = [tool("read", {"n": n}, output=f"{n} " * 900) for n in range(9)]
    large = trace(tool("rules", output=rules), *long, number=1)
    small = trace(tool("rules", output=rules), number=2)
    names = {large.trace_id: "T1", small.trace_id: "T2"}
    pages = list(Paging(names.__getitem__, 12_000).batches([large, small]))
    assert [len(page.trace_ids) for page in pages] == [1, 1]
    assert rules in pages[-1].text


def test_long_lines_of_repeated_words_are_compared_quickly() -> None:
    rules = [f"Rule {n}: be exact." for n in range(9)]
    lines = [*rules, "| " * 8000], [*rules, "no " + "| " * 8000]
    start = time.perf_counter()
    page = TranscriptPage(100_000)
    for number, text in enumerate(lines, start=1):
        prompt = [message("system", "\n".join(text))]
        page.transcript(f"T{number}", trace(llm("Yes.", messages=prompt), number=number))
    assert time.perf_counter() - start < 3


def test_outputs_of_the_agent_are_shown_in_full_each_time() -> None:
    page = TranscriptPage(6000)
    texts(page, 1, sample(1))
    again = texts(page, 2, sample(2))
    assert f"[T2.4] LLM assistant: {LONG.strip()}" in again
    assert '[T2.2b] LLM calls send: {text:"All refunds' in again
    assert "the same text" not in again


def lines(*spans: Span, detail: Detail = Detail.FULL) -> list[str]:
    """The lines of a trace on a page of its own."""
    shown = TranscriptPage(10_000).transcript("T1", trace(*spans), detail)
    return [line.text for line in shown.lines]


def test_the_texts_of_a_span_have_names_of_their_own() -> None:
    prompt = [message("system", "Be brief."), message("user", "Pay both.")]
    calls = [call("pay", {"order": n}) for n in (1, 2)]
    shown = lines(agent(input="Pay both."), llm("I pay.", calls=calls, messages=prompt))
    assert [line.split(": ")[0] for line in shown] == [
        "[T1.1] AGENT user",
        "[T1.2] LLM system",
        "[T1.2b] LLM assistant",
        "[T1.2c] LLM calls pay",
        "[T1.2d] LLM calls pay",
        "[T1.1b] AGENT output",
    ]
    assert [letter(n) for n in (0, 1, 25, 26, 27, 52)] == ["", "b", "z", "aa", "ab", "ba"]


def test_a_missing_output_is_said_to_be_missing_or_empty() -> None:
    langfuse = Origin(platform="langfuse", keeps_empty_texts=False)
    shown = lines(
        agent(output=None),
        tool("pay", {"order": 1}),
        tool("pay", {"order": 2}, output=""),
        tool("pay", {"order": 3}, origin=langfuse),
        llm("", messages=[]),
    )
    assert [line.partition("output: ")[2] for line in shown if "output: " in line] == [
        "(not recorded)",
        "(empty)",
        "(empty or not recorded)",
        "(empty)",
        "(not recorded)",
    ]


def test_a_call_that_is_repeated_with_the_same_result_is_shown_once_with_its_number() -> None:
    arguments, result = {"order": "A-17", "reason": "late"}, "The queue is full, try again."
    step = [llm(calls=[call("pay", arguments)], messages=[]), tool("pay", arguments, result)]
    shown = lines(agent(), *step * 99, llm("I give up."))
    assert shown[1:] == [
        "[T1.2] LLM calls pay: {order:A-17,reason:late}",
        f"[T1.3] TOOL pay output: {result}",
        "[T1.199] (the 2 lines before, again; 99 times in a row)",
        "[T1.200] LLM assistant: I give up.",
        "[T1.1b] AGENT output: Done.",
    ]


def test_a_call_with_another_result_is_no_repetition() -> None:
    arguments = {"order": "A-17", "reason": "late"}
    results = ["The queue is full, try again.", "The queue is empty, try again.", "Paid."]
    steps = [
        part
        for result in results
        for part in (llm(calls=[call("pay", arguments)]), tool("pay", arguments, result))
    ]
    shown = lines(agent(), *steps)
    assert [result for result in results if any(result in line for line in shown)] == results
    assert not any("in a row" in line for line in shown)


def test_many_steps_without_an_output_are_read_in_time_in_proportion() -> None:
    start = time.perf_counter()
    shown = lines(agent(), *(tool("poll") for _ in range(20_000)))
    assert "20000 times in a row" in "".join(shown)
    assert time.perf_counter() - start < 20


def schema(**types: str) -> dict[str, object]:
    properties = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "properties": properties, "required": list(types)[:1]}


def test_declared_tools_are_shown_once_on_a_page_with_their_parameters() -> None:
    tools = [declared("pay", schema(order="string", amount="number")), declared("get_order")]
    spans = [agent(), llm("Hello.", tools=tools), llm("Bye.", tools=tools)]
    page = TranscriptPage(10_000)
    first = texts(page, 1, trace(*spans, number=1))
    assert first.count(" tools: ") == 1
    assert "[T1.2] LLM tools: pay(order, amount?: number)\nget_order()\n" in first
    more = [*spans[:1], llm("Hello.", tools=[*tools, declared("refund", schema(order="string"))])]
    assert "refund(order)" in texts(page, 2, trace(*more, number=2))


def test_tools_that_another_trace_has_are_named_by_reference() -> None:
    tools = [declared(f"tool_{n}", schema(order="string")) for n in range(9)]
    page = TranscriptPage(10_000)
    texts(page, 1, trace(agent(), llm("Hello.", tools=tools), number=1))
    again = texts(page, 2, trace(agent(), llm("Hello.", tools=tools), number=2))
    assert "[T2.2] LLM tools: (the same text as in T1.2)" in again


def test_runs_of_one_task_share_instructions_records_and_documents() -> None:
    record = json.dumps({"customer": "A-17", "orders": [f"#W{n:07}" for n in range(30)]})
    document = "Refunds take five to seven days. " * 9

    def run(number: int) -> Trace:
        asked = {"customer": "A-17"}
        return trace(
            agent(input="Where is my order?"),
            llm(calls=[call("get_customer", asked)], messages=[message("system", LONG)]),
            tool("get_customer", asked, output=record),
            retriever(document),
            llm("It was shipped.", messages=[message("tool", record)]),
            number=number,
        )

    (batch,) = Paging(lambda trace_id: f"T{int(trace_id, 16)}").batches([run(1), run(2)])
    second = batch.text.partition("## Trace T2")[2]
    for reference in ("T1.2", "T1.3", "T1.4b"):
        assert f"(the same text as in {reference})" in second
    assert len(second) < 500


def test_a_prompt_that_begins_with_the_last_one_shows_what_is_new() -> None:
    prompts = [LONG, f"{LONG}\nAnd then?", f"{LONG}\nAnd then?\nAnd now?"]
    shown = lines(agent(), *(span(kind="LLM", name="llm", input=p, output="ok") for p in prompts))
    begun = [line for line in shown if "(begins as" in line]
    assert begun == [
        f"[T1.3] LLM input: (begins as T1.2 does, {len(LONG)} characters) \nAnd then?",
        f"[T1.4] LLM input: (begins as T1.3 does, {len(prompts[1])} characters) \nAnd now?",
    ]


def digest_of_shop(detail: Detail = Detail.DIGEST, **fields: object) -> list[str]:
    order = {"order": "A-17"}
    record = {
        "order": "A-17",
        "items": [{"name": f"Item {n}", "price": n + 0.5} for n in range(200)],
        "status": "open",
        **dict.fromkeys(["note", "reason", "paid"]),
    }
    return lines(
        agent(input="Please cancel A-17."),
        llm(calls=[call("get_order", order)], messages=[message("user", "Please cancel A-17.")]),
        tool("get_order", order, output=record),
        llm(calls=[call("cancel_order", order)], messages=[]),
        tool("cancel_order", order, **{"output": {"status": "cancelled"}, **fields}),
        llm("It is cancelled, the refund takes two days.", messages=[]),
        detail=detail,
    )


def test_what_is_brief_leaves_out_what_was_read_and_counts_it() -> None:
    assert digest_of_shop(Detail.BRIEF) == [
        "[T1.1] AGENT user: Please cancel A-17.",
        "[T1.4] LLM calls cancel_order: {order:A-17}",
        "[T1.5] TOOL cancel_order output: {status:cancelled}",
        "[T1.6] LLM assistant: It is cancelled, the refund takes two days.",
        "[T1.1b] AGENT output: Done.",
        "[... 1 lines with what the agent read or said on the way are left out ...]",
    ]


def test_a_digest_shows_words_and_changes_and_each_read_as_one_short_line() -> None:
    assert digest_of_shop() == [
        "[T1.1] AGENT user: Please cancel A-17.",
        "[T1.3] TOOL get_order {order:A-17} output: {order:A-17,items:[@1{name:Item 0,price:0.5},"
        "@1{Item 1,1.5},@1{Item 2,2.5},@1{Item 3,3.5},@1{Item 4,4.5},@1{Item 5,5.5},@1{Item 6,6.5},"
        "@1{Item 7,7.5},@1{Item 8,8.5},@1{Item 9,9.5},@1{Item 10,10.5},"
        "[... 188 of 200 items left out; over all: price 0.5 to 199.5 ...],@1{Item 199,199.5}],"
        "status:open,[... 3 keys without a value ...]}",
        "[T1.4] LLM calls cancel_order: {order:A-17}",
        "[T1.5] TOOL cancel_order output: {status:cancelled}",
        "[T1.6] LLM assistant: It is cancelled, the refund takes two days.",
        "[T1.1b] AGENT output: Done.",
    ]


def test_a_digest_shows_errors_whole_and_once() -> None:
    error = f"Error: order A-17 cannot be cancelled: {'it was shipped; ' * 35}sorry."
    shown = digest_of_shop(output=error, status=failed(error))
    assert [line for line in shown if "sorry." in line] == [
        f"[T1.5] TOOL cancel_order error output: {error}"
    ]


def test_a_digest_is_brief_by_design_and_not_shortened() -> None:
    long = [tool("get_log", {"n": 1}, output=LONG), llm(LONG)]
    found = trace(agent(), *long)
    digest = TranscriptPage(10_000).transcript("T1", found, Detail.DIGEST)
    assert digest.chars < TranscriptPage(10_000).transcript("T1", found).chars
    assert not digest.is_shortened
    assert TranscriptPage(100).transcript("T1", found).is_shortened


def test_a_digest_shows_whole_what_the_agent_said_before_a_change() -> None:
    announced = f"I will cancel A-17. {'It is refunded to your card. ' * 10}Shall I?"
    shown = lines(
        agent(input="Please cancel A-17."),
        llm(f"I look it up. {'One moment please. ' * 20}", messages=[]),
        llm(announced, messages=[]),
        llm(calls=[call("cancel_order", {"order": "A-17"})], messages=[]),
        tool("cancel_order", {"order": "A-17"}, output="ok"),
        llm("Done.", messages=[]),
        detail=Detail.DIGEST,
    )
    assert f"[T1.3] LLM assistant: {announced}" in shown
    assert "characters ...]" in shown[1]
