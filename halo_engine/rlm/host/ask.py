"""Host functions that ask a model about traces or texts, and what is left of the budget."""

from __future__ import annotations

from collections import Counter
from typing import Any

from halo_engine.errors import AnswerCut, AnswerWithheld
from halo_engine.llm import system, user
from halo_engine.rlm.host.arguments import DATA_CHARS, Data, Items, Names, Text
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.judging import evidence_of_quote
from halo_engine.rlm.mapping import Row
from halo_engine.rlm.pages.batches import PageLayout
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.row_fields import RowFields
from halo_engine.rlm.sandbox.base import HostFunction
from halo_engine.text.sanitize import strip_invisible

ASK_TOKENS = 2000
ASK = "{rule}\n\nYou help to analyse such records. Answer briefly and only from them."


class Ask:
    """The host functions that call a model, and those about their cost."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._client = context.client
        self._mapper = context.mapper()

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.ask, self.ask_many, self.map_traces, self.map_cost, self.budget

    def ask(self, prompt: Text, data: Data = "") -> str:
        """The model's answer to ``prompt`` about ``data``."""
        return self.ask_many(prompt, [data])[0]

    def ask_many(self, prompt: Text, items: Items) -> list[str]:
        """The model's answers to ``prompt`` about each of ``items``, in parallel."""
        different = list(dict.fromkeys(items))  # the same call at the same time is paid for twice
        with self._context.reading():
            found = self._client.map(lambda text: self._answer(prompt, text), different)
            answers = dict(zip(different, found, strict=True))
        return [answers[text] for text in items]

    def map_traces(
        self, traces: Names, question: Text, schema: RowFields, digest: bool = False
    ) -> list[dict[str, Any]]:
        """The model's answer to ``question`` for each trace, as rows with the fields ``schema``.

        A field "quote" holds stored words that can be cited, and "span" the span they are in; both
        are None where the quote is not in the trace. Warns if traces got no answer.
        """
        trace_ids = [self._context.trace_id(trace) for trace in traces]
        unique = list(dict.fromkeys(trace_ids))
        with self._context.reading():
            rows = self._mapper.rows(
                unique,
                prompt("map"),
                schema,
                purpose="map",
                texts={"question": question},
                layout=PageLayout(Detail.DIGEST if digest else Detail.FULL),
            )
        if "quote" in schema:
            rows = [row if "error" in row else self._with_proof(row) for row in rows]
        errors = Counter(str(row["error"]) for row in rows if "error" in row)
        if errors:
            most_common = strip_invisible(errors.most_common(1)[0][0])
            self._context.warn(
                f"map_traces: {errors.total()} of {len(rows)} traces have no answer: {most_common}"
            )
        return rows

    def _with_proof(self, row: Row) -> Row:
        """``row`` with its quote as it is stored, and the span that it is in."""
        short_ids = self._context.short_ids
        trace_id = self._context.trace_id(row["trace"])
        proof = evidence_of_quote(trace_id, row.get("span"), row["quote"], short_ids)
        span = short_ids.span_name(trace_id, proof.span_id) if proof else None
        return {**row, "span": span, "quote": strip_invisible(proof.quote) if proof else None}

    def map_cost(self, traces: Names) -> dict[str, Any]:
        """The estimated cost of ``map_traces`` over ``traces``, and what is left for it."""
        estimate = self._mapper.cost([self._context.trace_id(trace) for trace in traces])
        calls, tokens, usd = estimate
        left = self.budget()["for_reading"]
        return {"calls": calls, "tokens": tokens, "usd": usd, "left": left}

    def budget(self) -> dict[str, Any]:
        """What is left of the budget, and what of it may be used to read traces."""
        with self._context.reading():
            for_reading = self._left()
        return {**self._left(), "for_reading": for_reading}

    def _answer(self, prompt: str, text: str) -> str:
        delimiter = self._context.delimiter
        messages = [
            system(ASK.format(rule=delimiter.instruction)),
            user(f"{prompt}\n\n{delimiter(text, DATA_CHARS)}"),
        ]
        model = self._context.model
        try:
            text = self._client.complete(model, "ask", messages, max_tokens=ASK_TOKENS).text
        except AnswerCut as error:
            text = f"{error.text}\n[cut off here at {error.max_tokens} tokens]"
        except AnswerWithheld as error:
            text = f"[no answer: {error}]"
        return strip_invisible(text)

    def _left(self) -> dict[str, Any]:
        left = self._client.budget.left()
        return {
            "used_share": round(self._client.budget.used(), 3),
            "usd_left": left.usd,
            "tokens_left": left.tokens,
            "calls_left": left.calls,
        }
