"""Mapping: one question asked about many traces, batched into few prompts and run in parallel.

The host batches the traces, so that the model's code need not: batches are the same for the same
traces, every answer is in the ledger, and the cost can be estimated in advance. Each row of an
answer is checked against its fields; invalid or missing rows are requested once more, on pages of
their own. A batch that is too much for one answer, one prompt or what is left of a budget, or that a
content filter stops, is asked about in halves. A trace with text that is addressed to its readers is
read alone, and so is one that still has no valid row: no trace can speak for another, or keep it from
being answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from halo_engine.errors import (
    AnswerCut,
    AnswerWithheld,
    BudgetExhausted,
    ModelFailed,
    PromptTooLong,
)
from halo_engine.llm import ChatMessage, ChatModel, ModelClient, assistant, system, user
from halo_engine.llm.chat import AnswerForm, Price, TokenUsage, estimated_tokens
from halo_engine.rlm.answer_forms import rows_form
from halo_engine.rlm.answers import parse_rows
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog, ReadingCounter
from halo_engine.rlm.pages.batches import (
    NOTHING,
    PAGE_CHARS,
    PageLayout,
    Paging,
    TraceBatch,
)
from halo_engine.rlm.pages.page import NOTATION
from halo_engine.rlm.prompts import filled
from halo_engine.rlm.row_fields import RowChecker, RowField, fields_text
from halo_engine.rlm.short_ids import ShortIds

# Tokens of one row of an answer: the maximum, and an estimate.
ROW_TOKENS = 400
LIKELY_ROW_TOKENS = 100
BASE_TOKENS = 500
MAX_ANSWER_TOKENS = 16_000
# Characters of a page per token of the context window: half of it, at four characters a token.
WINDOW_CHARS = 2
ERROR_CHARS = 300
# For an answer about a smaller page what is left of a budget may suffice, down to pages of this size.
SMALL_PAGE_CHARS = 20_000
# A smaller batch may do where one fails with these.
TOO_MUCH = (AnswerCut, AnswerWithheld, PromptTooLong)

MISSING_ROW = "there is no object for it in the answer"
# Why a trace was not read: no request with it was made, or none that the model takes.
OUT_OF_BUDGET = "the budget did not suffice to ask about it"
TOO_LONG = "too large for a prompt"
IN_FULL = PageLayout()
Row = dict[str, Any]
RowCheck = Callable[[str, Row], str | None]
# The texts of a prompt that depend on the traces of its page, by variable.
PageTexts = Callable[[Sequence[str]], Mapping[str, str]]


def no_texts(_: Sequence[str]) -> Mapping[str, str]:
    """The texts of a prompt of which none depends on the traces of its page."""
    return NOTHING


@dataclass(frozen=True)
class RowRequest:
    """What is asked about every trace, how it is shown, and how the rows of an answer are checked.

    ``instruction`` is that for a page with the given traces, ``row_tokens`` are the tokens that the
    row of a trace may have, by trace id, where that is not ``ROW_TOKENS``.
    """

    instruction: Callable[[Sequence[str]], str]
    checker: RowChecker
    purpose: str
    check: RowCheck | None
    form: AnswerForm | None
    layout: PageLayout
    row_tokens: Mapping[str, int]

    def max_tokens(self, trace_ids: Iterable[str]) -> int:
        """The tokens that an answer about ``trace_ids`` may have."""
        rows = sum(self.row_tokens.get(trace_id, ROW_TOKENS) for trace_id in trace_ids)
        return min(rows + BASE_TOKENS, MAX_ANSWER_TOKENS)

    def checked(self, trace_id: str, row: Row) -> Row:
        """``row`` with nothing but the fields; raises ``ValueError`` with what is wrong."""
        valid = self.checker.checked(row)
        problem = self.check(trace_id, valid) if self.check else None
        if problem:
            raise ValueError(problem)
        return valid


class CheckedRows(NamedTuple):
    """The valid rows of an answer by short id, and the problem with each of the others."""

    valid: dict[str, Row]
    problems: dict[str, str]


def page_chars(model: ChatModel) -> int:
    """The most characters of a page that ``model`` is asked about."""
    return min(PAGE_CHARS, model.window * WINDOW_CHARS)


class Mapper:
    """Asks ``model`` questions about many traces; ``log`` is told of each page that was read."""

    def __init__(
        self,
        client: ModelClient,
        model: ChatModel,
        short_ids: ShortIds,
        delimiter: DataDelimiter,
        log: EventLog | None = None,
    ) -> None:
        self._log = log or EventLog()
        self._client = client
        self._model = model
        self._short_ids = short_ids
        self._delimiter = delimiter

    def batches(
        self,
        trace_ids: Sequence[str],
        *,
        alone: bool = False,
        layout: PageLayout = IN_FULL,
    ) -> list[TraceBatch]:
        """The traces in the given order, divided into batches of one page each.

        One that addresses its readers has a page of its own; with ``alone`` every one has.
        """
        paging = Paging(self._short_ids.name, page_chars(self._model), layout)
        return list(paging.batches(self._short_ids.traces(trace_ids), alone=alone))

    def delimited(self, text: str) -> str:
        """``text`` that is no instruction, as it stands in a prompt."""
        return self._delimiter(text, len(text) + len(self._delimiter.nonce))

    def cost(self, trace_ids: Sequence[str]) -> tuple[int, int, float | None]:
        """The estimated calls, tokens and USD of one question about ``trace_ids``."""
        return self.cost_of([b.text for b in self.batches(trace_ids)], len(trace_ids))

    def cost_of(self, prompts: Sequence[str], rows: int) -> tuple[int, int, float | None]:
        """The estimated calls, tokens and USD (None: unknown price) of ``prompts`` with ``rows``."""
        return estimated_cost(self._model.price, prompts, rows)

    def rows(
        self,
        trace_ids: Sequence[str],
        instruction: str,
        fields: Mapping[str, RowField],
        *,
        purpose: str,
        check: RowCheck | None = None,
        texts: Mapping[str, str] = NOTHING,
        page_texts: PageTexts = no_texts,
        row_tokens: Mapping[str, int] = NOTHING,
        layout: PageLayout = IN_FULL,
    ) -> list[Row]:
        """A row for each trace: ``trace`` and the ``fields``, or ``trace`` and ``error``.

        ``unread`` beside an error says why no model read the trace, where that is the reason.
        ``instruction`` is a prompt whose variables are filled in here: ``{rule}``, ``{fields}``,
        ``texts``, and ``page_texts`` of the traces of a page. ``check`` returns what is wrong with a
        row that has all of its fields; a row may have ``row_tokens``, by trace id.
        """
        rule = f"{self._delimiter.instruction} {NOTATION}"
        variables = {"rule": rule, "fields": fields_text(fields), **texts}
        request = RowRequest(
            lambda page: filled(instruction, **variables, **page_texts(page)),
            RowChecker(fields),
            purpose,
            check,
            rows_form(fields),
            layout,
            row_tokens,
        )
        batches = self._batches(trace_ids, request)
        counter = ReadingCounter(self._log, purpose, len(trace_ids))

        def read(batch: TraceBatch) -> list[Row]:
            found = self._batch_rows(batch, request)
            counter.add(len(found))
            return found

        answers = self._client.map(read, batches)
        by_name = {row["trace"]: row for rows in answers for row in rows}
        return [by_name[self._short_ids.name(trace_id)] for trace_id in trace_ids]

    def _batches(
        self, trace_ids: Sequence[str], request: RowRequest, *, alone: bool = False
    ) -> list[TraceBatch]:
        """The batches for a request."""
        return self.batches(trace_ids, alone=alone, layout=request.layout)

    def _messages(self, batch: TraceBatch, request: RowRequest) -> list[ChatMessage]:
        """The prompt of one batch."""
        return [system(request.instruction(batch.trace_ids)), user(self.delimited(batch.text))]

    def _batch_rows(self, batch: TraceBatch, request: RowRequest) -> list[Row]:
        """The rows of one batch; if its call failed, rows with the error."""
        names = self._names(batch)
        try:
            valid, problems = self._ask(
                self._messages(batch, request), names, request, request.purpose
            )
        except TOO_MUCH as error:
            if len(names) > 1:
                return self._half_rows(batch, request)
            unread = {"unread": TOO_LONG} if isinstance(error, PromptTooLong) else {}
            return [{"trace": name, "error": str(error), **unread} for name in names]
        except BudgetExhausted as error:
            if len(names) > 1 and len(batch.text) > SMALL_PAGE_CHARS:
                return self._half_rows(batch, request)
            unread = {"error": f"not analysed: {error}", "unread": OUT_OF_BUDGET}
            return [{"trace": name, **unread} for name in names]
        except ModelFailed as error:
            return [{"trace": name, "error": str(error)} for name in names]
        if problems:
            repaired, problems = self._ask_again(problems, names, request)
            valid = {**valid, **repaired}
        if problems and len(names) > 1:
            again, problems = self._ask_alone(problems, names, request)
            valid = {**valid, **again}
        shortened = {self._short_ids.name(trace_id) for trace_id in batch.shortened}
        rows = [valid.get(name) or {"trace": name, "error": problems[name]} for name in names]
        return [{**row, "shortened": True} if row["trace"] in shortened else row for row in rows]

    def _names(self, batch: TraceBatch) -> dict[str, str]:
        """The traces of a batch by short id."""
        return {self._short_ids.name(trace_id): trace_id for trace_id in batch.trace_ids}

    def _ask_again(
        self, problems: Mapping[str, str], names: Mapping[str, str], request: RowRequest
    ) -> CheckedRows:
        """Ask once more about the traces with ``problems``, on a page without the others."""

        def prompt(batch: TraceBatch) -> list[ChatMessage]:
            listed = "\n".join(f"- {name}: {problems[name]}" for name in self._names(batch))
            again = user(
                f"In your answer these traces are wrong or missing:\n{self.delimited(listed)}\n"
                f'Answer for these alone, again with {{"rows": [...]}} and nothing else.'
            )
            return [*self._messages(batch, request), assistant("(rows)"), again]

        batches = self._batches([names[name] for name in problems], request)
        return self._rows_again(batches, prompt, problems, request, f"{request.purpose} repair")

    def _ask_alone(
        self, problems: Mapping[str, str], names: Mapping[str, str], request: RowRequest
    ) -> CheckedRows:
        """Ask about each trace with a problem in a prompt of its own, once."""
        prompt = partial(self._messages, request=request)
        batches = self._batches([names[name] for name in problems], request, alone=True)
        return self._rows_again(batches, prompt, problems, request, request.purpose)

    def _rows_again(
        self,
        batches: Iterable[TraceBatch],
        prompt: Callable[[TraceBatch], list[ChatMessage]],
        problems: Mapping[str, str],
        request: RowRequest,
        purpose: str,
    ) -> CheckedRows:
        """The rows of ``batches`` with ``problems``, which remain where a call fails."""
        valid: dict[str, Row] = {}
        left = dict(problems)
        for batch in batches:
            try:
                found, wrong = self._ask(prompt(batch), self._names(batch), request, purpose)
            except (BudgetExhausted, ModelFailed):
                continue
            valid |= found
            left |= wrong
        return CheckedRows(valid, {n: text for n, text in left.items() if n not in valid})

    def _half_rows(self, batch: TraceBatch, request: RowRequest) -> list[Row]:
        """The rows of the first and of the second half of the traces of ``batch``."""
        middle = len(batch.trace_ids) // 2
        halves = batch.trace_ids[:middle], batch.trace_ids[middle:]
        batches = [smaller for half in halves for smaller in self._batches(half, request)]
        return [row for smaller in batches for row in self._batch_rows(smaller, request)]

    def _ask(
        self,
        messages: Sequence[ChatMessage],
        names: Mapping[str, str],
        request: RowRequest,
        purpose: str,
    ) -> CheckedRows:
        """Ask for a row for each of ``names`` (short id to trace id) and check the answer."""
        max_tokens = request.max_tokens(names.values())
        answer = self._client.complete(
            self._model, purpose, messages, max_tokens=max_tokens, form=request.form
        )
        valid: dict[str, Row] = {}
        problems = dict.fromkeys(names, MISSING_ROW)
        for answered in parse_rows(answer.text):
            name = str(answered.get("trace", "")).strip().upper()
            if name not in names:
                continue
            try:
                valid[name] = request.checked(names[name], {**answered, "trace": name})
            except ValueError as error:
                problems[name] = str(error)[:ERROR_CHARS]
        return CheckedRows(valid, {n: text for n, text in problems.items() if n not in valid})


def estimated_cost(
    price: Price | None, prompts: Sequence[str], rows: int
) -> tuple[int, int, float | None]:
    """Calls, tokens and USD (None: unknown price) for ``prompts`` answered with ``rows`` rows."""
    usage = TokenUsage(
        prompt=sum(estimated_tokens(text) for text in prompts), completion=rows * LIKELY_ROW_TOKENS
    )
    return len(prompts), usage.total, price.of(usage) if price else None
