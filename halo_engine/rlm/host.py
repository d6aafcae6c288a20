"""The functions that the model's code can call. All of them read; none names a target to write to.

What they give holds no secrets and no characters that cannot be seen, and is never larger than a
stated size. What they refuse, they refuse with the way that works.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from halo_engine.fields import as_text, field_text
from halo_engine.findings import Report
from halo_engine.llm import ChatModel, ModelClient, system, user
from halo_engine.quotes import texts_of
from halo_engine.rlm.candidates import MAX_CANDIDATES, Candidate, CheckRules, submission_of
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.sandbox.base import HostError, HostFunctions
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.source_code import SourceCode
from halo_engine.rlm.transcript import TranscriptPage, redact_for_prompt
from halo_engine.schema import FrozenModel
from halo_engine.store import TraceFilter, TraceOrder, TraceSummary

ASK_TOKENS = 2000
ASK_CHARS = 100_000
MAX_ROWS = 10_000
# Share of the budget that may be used to have traces read: behind it there must be some for turns,
# since what was read has to be tested and submitted.
READING = 0.5
MAX_CELL = 2000
READ_CHARS = 12_000
MAX_READ_CHARS = 200_000
PASSAGE_CHARS = 12_000
OVERVIEW_NAMES = 15
MAX_NOTES = 30
ASK = "{rule}\n\nYou help to analyse such records. Answer briefly and only from them."


class Notebook(FrozenModel):
    """What the analyst has to show for itself so far; it is on disk after every step."""

    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    quotes_not_found: int = 0
    refused: int = 0
    summary: str | None = None

    @property
    def results(self) -> tuple[object, ...]:
        """What a turn has to change to have brought something."""
        return self.candidates, self.notes, self.summary

    @property
    def is_finished(self) -> bool:
        """Whether ``finish`` was called."""
        return self.summary is not None


class Host:
    """The host's side of a session over the store of ``rules``."""

    def __init__(
        self,
        rules: CheckRules,
        references: ShortIds,
        signals: Report,
        calls: ModelClient,
        model: ChatModel,
        frame: DataDelimiter,
        code: SourceCode | None = None,
    ) -> None:
        self._store = rules.store
        self._rules = rules
        self.code = code
        self._references = references
        self._signals = signals
        self._calls = calls
        self._model = model
        self._frame = frame
        self._mapper = Mapper(calls, model, references, frame)
        self._remarks: list[str] = []
        self._refused_now = 0
        # In the last step there is no other in which to mend anything.
        self.is_last_step = False
        self.notebook = Notebook()

    def remarks(self) -> list[str]:
        """End a step: what went wrong in it that its code may not have looked at."""
        remarks, self._remarks, self._refused_now = self._remarks, [], 0
        return remarks

    def _remark(self, text: str) -> None:
        """Say something at the head of the next reply, once."""
        if text not in self._remarks:
            self._remarks.append(text)

    def functions(self) -> HostFunctions:
        """The functions by the names under which code calls them."""
        named = (
            *(self.overview, self.find, self.sample, self.search, self.outline, self.read),
            *(self.read_span, self.sql, self.signals, self.scores, self.ask, self.ask_many),
            *(self.map_traces, self.map_cost, self.budget, self.note, self.submit_finding),
            *(self.findings, self.finish),
        )
        code = self.code.functions() if self.code else {}
        every = {**{function.__name__: function for function in named}, **code}
        return {name: checked(function) for name, function in every.items()}

    # -- looking around --------------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """What is in the store."""
        found = self._store.overview()
        names = {
            kind: {
                redact_for_prompt(c.value): c.spans for c in getattr(found, kind)[:OVERVIEW_NAMES]
            }
            for kind in ("kinds", "names", "tools", "models")
        }
        counts = found.model_dump(include={"traces", "spans", "sessions", "errors"})
        return {**counts, "first": str(found.first), "last": str(found.last), **names}

    def find(
        self, order: TraceOrder = "start", limit: int = 20, offset: int = 0, **where: Any
    ) -> list[dict[str, Any]]:
        """Summaries of traces."""
        found = self._store.find(
            filter_of(where), order=order, limit=min(limit, MAX_ROWS), offset=offset
        )
        return [self._summary(summary) for summary in found]

    def sample(self, n: int, seed: int = 0, spread: bool = False, **where: Any) -> list[str]:
        """Names of random traces."""
        most = min(n, MAX_ROWS)
        found = self._store.sample(most, seed=seed, where=filter_of(where), spread=spread)
        return [self._references.name(summary.trace_id) for summary in found]

    def search(
        self,
        pattern: str,
        field: str | None = None,
        limit: int = 20,
        ignore_case: bool = True,
        **where: Any,
    ) -> list[dict[str, Any]]:
        """Where a regular expression matches."""
        fields = {"fields": [field]} if field else {}
        hits = self._store.search(
            pattern,
            regex=True,
            ignore_case=ignore_case,
            where=filter_of(where),
            limit=min(limit, MAX_ROWS),
            **fields,
        )
        names = self._references.span_names((hit.trace_id, hit.span_id) for hit in hits)
        return [
            {
                "span": names[hit.trace_id, hit.span_id],
                "field": hit.field,
                "snippet": redact_for_prompt(hit.snippet),
            }
            for hit in hits
        ]

    def sql(self, query: str, limit: int = 100, chars: int = MAX_CELL) -> list[dict[str, Any]]:
        """Rows of a query; where rows or texts are not whole, the reply says so."""
        most, longest = min(limit, MAX_ROWS), min(chars, MAX_READ_CHARS)
        found = self._store.sql(query, rows=most + 1, chars=longest + 1)
        if len(found) > most:
            self._remark(f"sql: only the first {most:,} rows; limit= takes up to {MAX_ROWS:,}")
        rows = found[:most]
        if any(
            isinstance(text, str) and len(text) > longest for row in rows for text in row.values()
        ):
            self._remark(
                f"sql: texts are cut at {longest:,}; chars= takes up to {MAX_READ_CHARS:,}"
            )
        names = self._names([(str(row.get("trace_id")), str(row.get("span_id"))) for row in rows])
        return [
            {**named, **{name: plain(value, longest) for name, value in row.items()}}
            for named, row in zip(names, rows, strict=True)
        ]

    def _names(self, places: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        """The short names of trace and span for each of ``places``, as far as there are such."""
        spans = self._references.span_names(places)
        traces = [self._references.trace_id(trace_id) for trace_id, _ in places]
        return [
            {
                **({"trace": self._references.name(trace_id)} if trace_id else {}),
                **({"span": spans[place]} if place in spans else {}),
            }
            for place, trace_id in zip(places, traces, strict=True)
        ]

    def _summary(self, summary: TraceSummary) -> dict[str, Any]:
        return {
            "trace": self._references.name(summary.trace_id),
            "name": redact_for_prompt(summary.name or ""),
            "start": str(summary.start_time),
            "spans": summary.spans,
            "errors": summary.errors,
            "tokens": summary.tokens,
            "chars": summary.size,
        }

    # -- reading ---------------------------------------------------------------------------------

    def outline(self, trace: str, limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
        """The spans of a trace without their texts."""
        trace_id = self._trace_id(trace)
        spans = self._references.trace(trace_id).spans
        name = self._references.name(trace_id)
        return [
            {
                "span": f"{name}.{number}",
                "kind": span.kind,
                "name": redact_for_prompt(span.name or ""),
                "tool": span.tool_name and redact_for_prompt(span.tool_name),
                "status": span.status.code,
                "chars": sum(len(text) for _, text in texts_of(span)),
            }
            for number, span in list(enumerate(spans, start=1))[offset : offset + limit]
        ]

    def read(self, trace: str, start: int = 0, chars: int = READ_CHARS) -> str:
        """The texts of a trace as a transcript."""
        trace_id = self._trace_id(trace)
        lines = TranscriptPage(PASSAGE_CHARS).lines(
            self._references.name(trace_id), self._references.trace(trace_id)
        )
        text = "\n".join(lines)
        part = text[start : start + min(chars, MAX_READ_CHARS)]
        end = start + len(part)
        rest = f"\n[{len(text) - end} characters are left: read({trace!r}, start={end})]"
        return part + rest if end < len(text) else part

    def read_span(
        self, span: str, field: str | None = None, start: int = 0, chars: int = READ_CHARS
    ) -> dict[str, str]:
        """The texts of a span by field, or a part of one."""
        trace_id, span_id = self._span(span)
        found = self._references.trace(trace_id).by_id[span_id]
        end = start + min(chars, MAX_READ_CHARS)
        if field:
            return {field: redact_for_prompt((field_text(found, field) or "")[start:end])}
        texts = dict(texts_of(found))
        room = max(500, READ_CHARS // max(1, len(texts)))
        return {name: redact_for_prompt(text[:room]) for name, text in list(texts.items())[:60]}

    def signals(self, detector: str | None = None) -> list[dict[str, Any]]:
        """What the deterministic detectors say."""
        return [
            {
                "detector": finding.detector,
                "failure_mode": finding.failure_mode,
                "title": redact_for_prompt(finding.title),
                "traces": finding.prevalence.affected,
                "examples": [
                    self._references.span_name(a.trace_id, a.span_id)
                    if a.span_id
                    else self._references.name(a.trace_id)
                    for a in finding.affected[: 200 if detector else 5]
                ],
            }
            for finding in self._signals.findings
            if detector in (None, finding.detector)
        ]

    def scores(self, name: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Scores and annotations that stood on the platform."""
        return [
            {
                "trace": self._references.name(trace_id),
                "name": redact_for_prompt(score.name),
                "label": score.label and redact_for_prompt(score.label),
                "value": score.value,
                "explanation": cut(redact_for_prompt(score.explanation or "")),
                "source": score.source,
            }
            for trace_id, score in self._store.scores(name, limit=min(limit, MAX_ROWS))
        ]

    # -- asking models ---------------------------------------------------------------------------

    def ask(self, prompt: str, data: Any = "") -> str:
        """A model's answer about ``data``."""
        return self.ask_many(prompt, [data])[0]

    def ask_many(self, prompt: str, items: Sequence[Any]) -> list[str]:
        """A model's answer about each of ``items``, side by side."""
        texts = [as_text(item) or "" for item in items]
        too_long = [len(text) for text in texts if len(text) > ASK_CHARS]
        if too_long:
            raise HostError(f"{too_long[0]} characters are too many for one call: {ASK_CHARS}.")

        def one(text: str) -> str:
            framed = self._frame(text, ASK_CHARS)
            messages = [system(ASK.format(rule=self._frame.rule)), user(f"{prompt}\n\n{framed}")]
            answer = self._calls.ask(self._model, "ask", messages, max_tokens=ASK_TOKENS)
            return redact_for_prompt(answer.text)

        with self._calls.budget.up_to(READING):
            return list(self._calls.each(one, texts))

    def map_traces(
        self, traces: Sequence[str], question: str, schema: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """A model's answer to one question about each of many traces."""
        trace_ids = [self._trace_id(trace) for trace in traces]
        instruction = filled(prompt("map"), question=str(question))
        wanted = list(dict.fromkeys(trace_ids))
        with self._calls.budget.up_to(READING):
            rows = self._mapper.rows(wanted, instruction, schema, purpose="map")
        errors = Counter(str(row["error"]) for row in rows if "error" in row)
        if errors:
            most = errors.most_common(1)[0][0]
            self._remark(
                f"map_traces: {errors.total()} of {len(rows)} traces have no answer: {redact_for_prompt(most)}"
            )
        return rows

    def map_cost(self, traces: Sequence[str]) -> dict[str, Any]:
        """What ``map_traces`` over ``traces`` takes."""
        calls, tokens, usd = self._mapper.cost([self._trace_id(trace) for trace in traces])
        left = self.budget()["for_reading"]
        return {"calls": calls, "tokens": tokens, "usd": usd, "left": left}

    def budget(self) -> dict[str, Any]:
        """What may still be used, and how much of it to have traces read."""
        with self._calls.budget.up_to(READING):
            reading = self._left()
        return {**self._left(), "for_reading": reading}

    def _left(self) -> dict[str, Any]:
        left = self._calls.budget.left()
        return {
            "used_share": round(self._calls.budget.used(), 3),
            "usd_left": left.usd,
            "tokens_left": left.prompt_tokens or None,
            "calls_left": left.calls or None,
        }

    # -- results ---------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Keep a hypothesis in sight."""
        notes = (*self.notebook.notes, str(text)[:500])[-MAX_NOTES:]
        self._write(notes=notes)

    def submit_finding(self, **fields: Any) -> dict[str, Any]:
        """Check a finding and keep it."""
        if len(self.notebook.candidates) >= MAX_CANDIDATES:
            raise HostError(f"{MAX_CANDIDATES} findings are enough: call finish(summary).")
        title = str(fields.get("title") or "").strip().lower()
        same = next((c for c in self.notebook.candidates if c.title.lower() == title), None)
        number = same.id if same else f"F{len(self.notebook.candidates) + 1}"
        submitted = submission_of(number, fields, self._references, self._rules)
        if submitted.candidate is None:
            self._refused_now += 1
            self._write(
                refused=self.notebook.refused + 1,
                quotes_not_found=self.notebook.quotes_not_found + submitted.not_found,
            )
            return {"accepted": False, "problems": submitted.problems}
        others = [c for c in self.notebook.candidates if c.id != number]
        self._write(candidates=(*others, submitted.candidate))
        held = {} if submitted.held is None else {"rule_holds_in": submitted.held}
        return {"accepted": True, "id": number, **held}

    def findings(self) -> list[dict[str, Any]]:
        """What was submitted."""
        return [
            {"id": c.id, "title": c.title, "failure_mode": c.failure_mode, "check": str(c.check)}
            for c in self.notebook.candidates
        ]

    def finish(self, summary: str = "") -> None:
        """End the analysis, unless something of this step is still to be mended."""
        if self._refused_now and not self.is_last_step:
            raise HostError(
                f"{self._refused_now} of the findings submitted in this step were refused, so this "
                f"is not the end: mend or drop them, and call finish() in another step."
            )
        self._write(summary=redact_for_prompt(str(summary))[:4000])

    def _write(self, **changes: Any) -> None:
        self.notebook = self.notebook.model_copy(update=changes)

    # -- names -----------------------------------------------------------------------------------

    def _trace_id(self, reference: object) -> str:
        trace_id = self._references.trace_id(reference)
        if trace_id is None:
            last = len(self._references.trace_ids)
            raise HostError(f"There is no trace {reference!r}: they are called T1 to T{last}.")
        return trace_id

    def _span(self, reference: object) -> tuple[str, str]:
        place = self._references.span(reference)
        if place is None:
            raise HostError(f"There is no span {reference!r}: write it like T3.5, see outline().")
        return place


def checked(function: Any) -> Any:
    """``function``, told how it is called where it is called wrongly."""
    signature = plain_signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise HostError(f"{function.__name__}{signature}: {error}") from error
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError, KeyError, ValidationError) as error:
            raise HostError(f"{function.__name__}{signature}: {first_line(error)}") from error

    return call


def plain_signature(function: Any) -> inspect.Signature:
    """How ``function`` is called, without types."""
    signature = inspect.signature(function)
    empty = inspect.Parameter.empty
    plain = [p.replace(annotation=empty) for p in signature.parameters.values()]
    return signature.replace(parameters=plain, return_annotation=empty)


def first_line(error: Exception) -> str:
    """The first line of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def filter_of(where: Mapping[str, Any]) -> TraceFilter:
    """A filter; raises ``HostError`` with what there is."""
    known = [name for name in TraceFilter.model_fields if name != "ids"]
    unknown = set(where) - set(known)
    if unknown:
        raise HostError(f"No filter {sorted(unknown)[0]!r}: {', '.join(known)}.")
    try:
        return TraceFilter(**where)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise HostError(f"{first['loc'][0]}={first['input']!r}: {first['msg']}.") from error


def plain(value: Any, chars: int) -> Any:
    """A value of a query as code can use it."""
    is_text = value is not None and not isinstance(value, (int, float, bool))
    return cut(redact_for_prompt(str(value)), chars) if is_text else value


def cut(text: str, chars: int = MAX_CELL) -> str:
    """``text``, its end left out and marked where it is long."""
    return f"{text[:chars]} [...]" if len(text) > chars else text
