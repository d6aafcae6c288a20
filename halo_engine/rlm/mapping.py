"""One question put to many traces: packed into few prompts, in parallel, each answer checked.

Dense reading is the host's work, not that of code written turn by turn: the packing is fixed, the
calls run side by side, every answer is in the ledger, and what it costs is known before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from halo_engine.chunks import chunks
from halo_engine.errors import BudgetExhausted, ModelFailed
from halo_engine.llm import ChatMessage, ChatModel, ModelClient, assistant, system, user
from halo_engine.llm.chat import Price, TokenUsage, likely_tokens
from halo_engine.rlm.answers import rows_of
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.prompts import filled
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import BATCH, ShortIds
from halo_engine.rlm.transcript import TranscriptPage, total
from halo_engine.schema import Trace

PAGE_CHARS = 80_000
PAGE_TRACES = 20
# How much of one text is shown, tried one after the other until a trace fits on a page.
PASSAGE_CHARS = (10_000, 4000, 1500, 500, 150)
# What a row may take at most, and what it is likely to.
ROW_TOKENS = 400
LIKELY_ROW_TOKENS = 100
# Of the model's window at four characters a token, what a page may fill.
WINDOW_CHARS = 2

TYPES = {"string", "number", "integer", "boolean", "array", "object"}
Row = dict[str, Any]
RowCheck = Callable[[str, Row], str | None]


@dataclass(frozen=True)
class TraceBatch:
    """Some traces as one page; ``shortened`` are those of which not every text is there in full."""

    trace_ids: tuple[str, ...]
    text: str
    shortened: frozenset[str]


class Mapper:
    """Puts questions to many traces."""

    def __init__(
        self, calls: ModelClient, model: ChatModel, references: ShortIds, frame: DataDelimiter
    ) -> None:
        self._calls = calls
        self._model = model
        self._references = references
        self._frame = frame

    def batches(self, trace_ids: Sequence[str]) -> list[TraceBatch]:
        """``trace_ids`` in their order, packed into pages."""
        limit = min(PAGE_CHARS, self._model.window * WINDOW_CHARS)
        batches: list[TraceBatch] = []
        ids: list[str] = []
        lines: list[str] = []
        shortened: set[str] = set()
        page = TranscriptPage(PASSAGE_CHARS[0])
        for trace in self._in_order(trace_ids):
            trace_id = trace.trace_id
            more, cut = self._lines(page, trace, limit)
            if ids and (total(lines) + total(more) > limit or len(ids) == PAGE_TRACES):
                batches.append(TraceBatch(tuple(ids), "\n".join(lines), frozenset(shortened)))
                ids, lines, shortened, page = [], [], set(), TranscriptPage(PASSAGE_CHARS[0])
                more, cut = self._lines(page, trace, limit)
            ids.append(trace_id)
            lines += more
            shortened |= {trace_id} if cut else set()
        if ids:
            batches.append(TraceBatch(tuple(ids), "\n".join(lines), frozenset(shortened)))
        return batches

    def _in_order(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """The traces in the order of ``trace_ids``, read some hundreds at a time."""
        for part in chunks(trace_ids, BATCH):
            found = {trace.trace_id: trace for trace in self._references.traces(part)}
            yield from (found[trace_id] for trace_id in part)

    def _lines(self, page: TranscriptPage, trace: Trace, limit: int) -> tuple[list[str], bool]:
        """The lines of a trace, made to fit, and whether something was left out for that."""
        name = self._references.name(trace.trace_id)
        before = page.shortened
        lines = [f"## Trace {name}", *page.lines(name, trace)]
        for chars in PASSAGE_CHARS[1:]:
            if total(lines) <= limit:
                return lines, page.shortened > before
            lines = [f"## Trace {name}", *TranscriptPage(chars).lines(name, trace)]
        if total(lines) > limit:
            lines = middle_out(lines, limit)
        return lines, True

    def cost(self, trace_ids: Sequence[str]) -> tuple[int, int, float | None]:
        """Calls, tokens and USD that a question to ``trace_ids`` takes, about."""
        batches = self.batches(trace_ids)
        return estimated(self._model.price, [b.text for b in batches], len(trace_ids))

    def rows(
        self,
        trace_ids: Sequence[str],
        instruction: str,
        fields: Mapping[str, Any],
        *,
        purpose: str,
        check: RowCheck | None = None,
    ) -> list[Row]:
        """One row for each trace: ``trace`` and the ``fields``, or ``trace`` and ``error``.

        In ``instruction`` stand ``{rule}`` and ``{fields}``, filled in here. ``fields`` maps each
        name to a type, a list of choices or a JSON Schema. ``check`` says what is wrong with a row
        beyond its schema. What is wrong is asked for once more.
        """
        schema = schema_of(fields)
        instruction = filled(instruction, rule=self._frame.rule, fields=described(schema))
        validator = Draft202012Validator(schema)

        def one(batch: TraceBatch) -> list[Row]:
            return self._batch(batch, instruction, validator, purpose, check)

        return [row for rows in self._calls.each(one, self.batches(trace_ids)) for row in rows]

    def _batch(
        self,
        batch: TraceBatch,
        instruction: str,
        validator: Draft202012Validator,
        purpose: str,
        check: RowCheck | None,
    ) -> list[Row]:
        """The rows of one page; of a page that got no answer, rows that say why."""
        names = {self._references.name(trace_id): trace_id for trace_id in batch.trace_ids}
        page = self._frame(batch.text, len(batch.text) + len(self._frame.word))
        messages = [system(instruction), user(page)]
        try:
            good, bad = self._asked(messages, names, validator, purpose, check)
        except BudgetExhausted as error:
            return [{"trace": name, "error": f"not analysed: {error}"} for name in names]
        except ModelFailed as error:
            return [{"trace": name, "error": str(error)} for name in names]
        if bad:
            good, bad = self._repaired(messages, good, bad, names, validator, purpose, check)
        cut = {self._references.name(trace_id) for trace_id in batch.shortened}
        rows = [good.get(name) or {"trace": name, "error": bad[name]} for name in names]
        return [{**row, "shortened": True} if row["trace"] in cut else row for row in rows]

    def _asked(
        self,
        messages: Sequence[ChatMessage],
        names: Mapping[str, str],
        validator: Draft202012Validator,
        purpose: str,
        check: RowCheck | None,
    ) -> tuple[dict[str, Row], dict[str, str]]:
        """Good rows by trace, and what is wrong with the others."""
        most = min(ROW_TOKENS * len(names) + 500, 16_000)
        answer = self._calls.ask(self._model, purpose, messages, max_tokens=most)
        good: dict[str, Row] = {}
        bad = dict.fromkeys(names, "there is no object for it in the answer")
        for row in rows_of(answer.text):
            name = str(row.get("trace", "")).strip().upper()
            row = {**row, "trace": name}
            if name not in names:
                continue
            wrong = next((e.message for e in validator.iter_errors(row)), None)
            wrong = wrong or (check(names[name], row) if check else None)
            if wrong:
                bad[name] = wrong[:300]
            else:
                good[name] = row
        return good, {name: what for name, what in bad.items() if name not in good}

    def _repaired(
        self,
        messages: Sequence[ChatMessage],
        good: dict[str, Row],
        bad: dict[str, str],
        names: Mapping[str, str],
        validator: Draft202012Validator,
        purpose: str,
        check: RowCheck | None,
    ) -> tuple[dict[str, Row], dict[str, str]]:
        """Ask once more for what was wrong; where no answer comes, what was good stays."""
        wrong = "\n".join(f"- {name}: {what}" for name, what in bad.items())
        again = user(
            f"In your answer these traces are wrong or missing:\n{wrong}\n"
            f"Answer for these alone, again as a JSON list of objects and nothing else."
        )
        said = assistant("(a JSON list)")
        left = {name: names[name] for name in bad}
        try:
            mended, still = self._asked(
                [*messages, said, again], left, validator, f"{purpose} repair", check
            )
        except (BudgetExhausted, ModelFailed):
            return good, bad
        return {**good, **mended}, still


def middle_out(lines: list[str], limit: int) -> list[str]:
    """The first and the last of ``lines`` that fit, and how many are missing between them."""
    head: list[str] = []
    tail: list[str] = []
    room = limit - 100
    for first, last in zip(lines, reversed(lines), strict=True):
        if total(head) + total(tail) + len(first) + len(last) + 2 > room:
            break
        head.append(first)
        tail.insert(0, last)
    missing = len(lines) - len(head) - len(tail)
    return [*head, f"[... {missing} lines of this trace are not shown ...]", *tail]


def schema_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a row; raises ``HostError`` for fields that make none."""
    if not isinstance(fields, Mapping) or not fields:
        raise HostError(
            'schema is a dict from field to type, for example {"shows": "boolean", '
            '"quote": "string", "kind": ["refund", "other"]}.'
        )
    properties = {str(name): property_of(value) for name, value in fields.items()}
    schema = {
        "type": "object",
        "properties": {"trace": {"type": "string"}, **properties},
        "required": ["trace", *properties],
    }
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise HostError(f"The schema is not valid: {error.message}") from error
    return schema


def property_of(value: Any) -> dict[str, Any]:
    """One field; everything may be null, since a trace may not say."""
    if isinstance(value, str) and value in TYPES:
        return {"type": [value, "null"]}
    if isinstance(value, (list, tuple)):
        return {"enum": [*value, None]}
    if isinstance(value, Mapping):
        return dict(value)
    return {"type": ["string", "null"], "description": str(value)}


def described(schema: Mapping[str, Any]) -> str:
    """The fields of a row, for the prompt."""
    rows = [(name, rule) for name, rule in schema["properties"].items() if name != "trace"]
    return "\n".join(f'- "{name}": {words(rule)}' for name, rule in rows)


def words(rule: Mapping[str, Any]) -> str:
    """One field in words."""
    if "enum" in rule:
        return "one of " + ", ".join("null" if v is None else repr(v) for v in rule["enum"])
    kinds = rule.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return f"{kind}: {rule['description']}" if rule.get("description") else kind


def estimated(
    price: Price | None, prompts: Sequence[str], rows: int
) -> tuple[int, int, float | None]:
    """Calls, tokens and USD (None: no known price) of ``prompts`` answered with ``rows`` rows."""
    usage = TokenUsage(
        prompt=sum(likely_tokens(text) for text in prompts), completion=rows * LIKELY_ROW_TOKENS
    )
    return len(prompts), usage.total, price.of(usage) if price else None
