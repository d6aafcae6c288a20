"""Mapping: one question asked about many traces, batched into few prompts and run in parallel.

The host batches the traces, so that the model's code need not: batches are the same for the same
traces, every answer is in the ledger, and the cost can be estimated in advance. Each row of an
answer is checked against its fields, and invalid or missing rows are requested once more. A batch
that is too much for one answer or one prompt, or that a content filter stops, is asked about in
halves. A trace with text that is addressed to its readers is read alone, and so is one that still
has no valid row: no trace can speak for another, or keep it from being answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from halo_engine.rlm.prompts import filled
from halo_engine.rlm.row_fields import RowChecker, RowField, fields_text
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import TranscriptPage, rendered_chars, transcript_passages
from halo_engine.schema import Trace
from halo_engine.text.injection import addresses_readers

PAGE_CHARS = 80_000
PAGE_TRACES = 20
# Limits for the characters of one text, tried in turn until a trace fits on a page.
PASSAGE_CHARS = (10_000, 4000, 1500, 500, 150)
# Tokens of one row of an answer: the maximum, and an estimate.
ROW_TOKENS = 400
LIKELY_ROW_TOKENS = 100
BASE_TOKENS = 500
MAX_ANSWER_TOKENS = 16_000
# Characters of a page per token of the context window: half of it, at four characters a token.
WINDOW_CHARS = 2
ERROR_CHARS = 300
# A smaller batch may do where one fails with these.
TOO_MUCH = (AnswerCut, AnswerWithheld, PromptTooLong)

MISSING_ROW = "there is no object for it in the answer"
# Why a trace was not read: no request with it was made, or none that the model takes.
OUT_OF_BUDGET = "the budget did not suffice to ask about it"
TOO_LONG = "too large for a prompt"
Row = dict[str, Any]
RowCheck = Callable[[str, Row], str | None]


@dataclass(frozen=True)
class TraceBatch:
    """Some traces as one page of text; ``shortened`` are those that are not there in full."""

    trace_ids: tuple[str, ...]
    text: str
    shortened: frozenset[str]


@dataclass
class BatchDraft:
    """A batch to which traces are added as long as they fit on its page."""

    page: TranscriptPage = field(default_factory=lambda: TranscriptPage(PASSAGE_CHARS[0]))
    trace_ids: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    shortened: set[str] = field(default_factory=set)

    def has_room(self, lines: Sequence[str], limit: int) -> bool:
        """Whether ``lines`` of another trace fit on a page of ``limit`` characters."""
        chars = rendered_chars(self.lines) + rendered_chars(lines)
        return not self.trace_ids or (chars <= limit and len(self.trace_ids) < PAGE_TRACES)

    def add(self, trace_id: str, lines: Sequence[str], *, is_shortened: bool) -> None:
        """Add a trace."""
        self.trace_ids.append(trace_id)
        self.lines += lines
        if is_shortened:
            self.shortened.add(trace_id)

    def batch(self) -> TraceBatch:
        """The finished batch."""
        return TraceBatch(tuple(self.trace_ids), "\n".join(self.lines), frozenset(self.shortened))


@dataclass(frozen=True)
class RowRequest:
    """What is asked about every trace, and how the rows of an answer are checked."""

    instruction: str
    checker: RowChecker
    purpose: str
    check: RowCheck | None
    form: AnswerForm | None

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


class Mapper:
    """Asks ``model`` questions about many traces."""

    def __init__(
        self,
        client: ModelClient,
        model: ChatModel,
        short_ids: ShortIds,
        delimiter: DataDelimiter,
    ) -> None:
        self._client = client
        self._model = model
        self._short_ids = short_ids
        self._delimiter = delimiter

    def batches(self, trace_ids: Sequence[str], *, alone: bool = False) -> list[TraceBatch]:
        """The traces in the given order, divided into batches of one page each.

        One that addresses its readers has a page of its own; with ``alone`` every one has.
        """
        limit = min(PAGE_CHARS, self._model.window * WINDOW_CHARS)
        batches: list[TraceBatch] = []
        draft = BatchDraft()
        for trace in self._short_ids.traces(trace_ids):
            if alone or has_text_to_readers(trace):
                batches.append(self._batch_of_one(trace, limit))
                continue
            lines, is_shortened = self._lines(draft.page, trace, limit)
            if not draft.has_room(lines, limit):
                batches.append(draft.batch())
                draft = BatchDraft()
                lines, is_shortened = self._lines(draft.page, trace, limit)
            draft.add(trace.trace_id, lines, is_shortened=is_shortened)
        return [*batches, draft.batch()] if draft.trace_ids else batches

    def delimited(self, text: str) -> str:
        """``text`` that is no instruction, as it stands in a prompt."""
        return self._delimiter(text, len(text) + len(self._delimiter.nonce))

    def cost(self, trace_ids: Sequence[str]) -> tuple[int, int, float | None]:
        """The estimated calls, tokens and USD of one question about ``trace_ids``."""
        batches = self.batches(trace_ids)
        return estimated_cost(self._model.price, [b.text for b in batches], len(trace_ids))

    def rows(
        self,
        trace_ids: Sequence[str],
        instruction: str,
        fields: Mapping[str, RowField],
        *,
        purpose: str,
        check: RowCheck | None = None,
        alone: bool = False,
        texts: Mapping[str, str] | None = None,
    ) -> list[Row]:
        """A row for each trace: ``trace`` and the ``fields``, or ``trace`` and ``error``.

        ``unread`` beside an error says why no model read the trace, where that is the reason.
        ``instruction`` is a prompt whose variables are filled in here: ``{rule}``, ``{fields}`` and
        ``texts``. ``check`` returns what is wrong with a row that has all of its fields. With
        ``alone`` a prompt holds one trace.
        """
        variables = {"rule": self._delimiter.instruction, "fields": fields_text(fields)}
        request = RowRequest(
            filled(instruction, **variables, **(texts or {})),
            RowChecker(fields),
            purpose,
            check,
            rows_form(fields),
        )
        batches = self.batches(trace_ids, alone=alone)
        answers = self._client.map(lambda batch: self._batch_rows(batch, request), batches)
        by_name = {row["trace"]: row for rows in answers for row in rows}
        return [by_name[self._short_ids.name(trace_id)] for trace_id in trace_ids]

    def _batch_of_one(self, trace: Trace, limit: int) -> TraceBatch:
        draft = BatchDraft()
        lines, is_shortened = self._lines(draft.page, trace, limit)
        draft.add(trace.trace_id, lines, is_shortened=is_shortened)
        return draft.batch()

    def _lines(self, page: TranscriptPage, trace: Trace, limit: int) -> tuple[list[str], bool]:
        """The lines of a trace in at most ``limit`` characters, and whether it was shortened."""
        name = self._short_ids.name(trace.trace_id)
        shortened_before = page.shortened
        lines = [f"## Trace {name}", *page.lines(name, trace)]
        for chars in PASSAGE_CHARS[1:]:
            if rendered_chars(lines) <= limit:
                return lines, page.shortened > shortened_before
            lines = [f"## Trace {name}", *TranscriptPage(chars).lines(name, trace)]
        if rendered_chars(lines) > limit:
            lines = head_and_tail(lines, limit)
        return lines, True

    def _batch_rows(self, batch: TraceBatch, request: RowRequest) -> list[Row]:
        """The rows of one batch; if its call failed, rows with the error."""
        names = {self._short_ids.name(trace_id): trace_id for trace_id in batch.trace_ids}
        messages = [system(request.instruction), user(self.delimited(batch.text))]
        try:
            valid, problems = self._ask(messages, names, request, request.purpose)
        except TOO_MUCH as error:
            if len(names) > 1:
                return self._half_rows(batch, request)
            unread = {"unread": TOO_LONG} if isinstance(error, PromptTooLong) else {}
            return [{"trace": name, "error": str(error), **unread} for name in names]
        except BudgetExhausted as error:
            unread = {"error": f"not analysed: {error}", "unread": OUT_OF_BUDGET}
            return [{"trace": name, **unread} for name in names]
        except ModelFailed as error:
            return [{"trace": name, "error": str(error)} for name in names]
        if problems:
            repaired, problems = self._ask_again(messages, problems, names, request)
            valid = {**valid, **repaired}
        if problems and len(names) > 1:
            again, problems = self._ask_alone(problems, names, request)
            valid = {**valid, **again}
        shortened = {self._short_ids.name(trace_id) for trace_id in batch.shortened}
        rows = [valid.get(name) or {"trace": name, "error": problems[name]} for name in names]
        return [{**row, "shortened": True} if row["trace"] in shortened else row for row in rows]

    def _ask_alone(
        self, problems: Mapping[str, str], names: Mapping[str, str], request: RowRequest
    ) -> CheckedRows:
        """Ask about each trace with a problem in a prompt of its own, once."""
        valid: dict[str, Row] = {}
        left = dict(problems)
        for batch in self.batches([names[name] for name in problems], alone=True):
            (name,) = (n for n in problems if names[n] in batch.trace_ids)
            messages = [system(request.instruction), user(self.delimited(batch.text))]
            try:
                found, wrong = self._ask(messages, {name: names[name]}, request, request.purpose)
            except (BudgetExhausted, ModelFailed):
                continue
            valid |= found
            left |= wrong
        return CheckedRows(valid, {n: text for n, text in left.items() if n not in valid})

    def _half_rows(self, batch: TraceBatch, request: RowRequest) -> list[Row]:
        """The rows of the first and of the second half of the traces of ``batch``."""
        middle = len(batch.trace_ids) // 2
        halves = batch.trace_ids[:middle], batch.trace_ids[middle:]
        batches = [smaller for half in halves for smaller in self.batches(half)]
        return [row for smaller in batches for row in self._batch_rows(smaller, request)]

    def _ask(
        self,
        messages: Sequence[ChatMessage],
        names: Mapping[str, str],
        request: RowRequest,
        purpose: str,
    ) -> CheckedRows:
        """Ask for a row for each of ``names`` (short id to trace id) and check the answer."""
        max_tokens = min(ROW_TOKENS * len(names) + BASE_TOKENS, MAX_ANSWER_TOKENS)
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

    def _ask_again(
        self,
        messages: Sequence[ChatMessage],
        problems: dict[str, str],
        names: Mapping[str, str],
        request: RowRequest,
    ) -> CheckedRows:
        """Ask once more for the rows with ``problems``, which remain if that call fails."""
        listed = "\n".join(f"- {name}: {text}" for name, text in problems.items())
        again = user(
            f"In your answer these traces are wrong or missing:\n{self.delimited(listed)}\n"
            f"Answer for these alone, again as a JSON list of objects and nothing else."
        )
        conversation = [*messages, assistant("(a JSON list)"), again]
        left = {name: names[name] for name in problems}
        try:
            return self._ask(conversation, left, request, f"{request.purpose} repair")
        except (BudgetExhausted, ModelFailed):
            return CheckedRows({}, problems)


def has_text_to_readers(trace: Trace) -> bool:
    """Whether a text of ``trace`` is addressed to its readers; instructions are to the agent."""
    passages = transcript_passages(trace)
    return any(addresses_readers(p.text) for p in passages if not p.is_instruction)


def head_and_tail(lines: list[str], limit: int) -> list[str]:
    """The first and last of ``lines`` that fit, with the number of those left out in between."""
    head: list[str] = []
    tail: list[str] = []
    room = limit - 100
    for first, last in zip(lines, reversed(lines), strict=True):
        if rendered_chars(head) + rendered_chars(tail) + len(first) + len(last) + 2 > room:
            break
        head.append(first)
        tail.insert(0, last)
    missing = len(lines) - len(head) - len(tail)
    return [*head, f"[... {missing} lines of this trace are not shown ...]", *tail]


def estimated_cost(
    price: Price | None, prompts: Sequence[str], rows: int
) -> tuple[int, int, float | None]:
    """Calls, tokens and USD (None: unknown price) for ``prompts`` answered with ``rows`` rows."""
    usage = TokenUsage(
        prompt=sum(estimated_tokens(text) for text in prompts), completion=rows * LIKELY_ROW_TOKENS
    )
    return len(prompts), usage.total, price.of(usage) if price else None
