"""Causes in the agent's source code, for findings of which nobody has named a place yet.

A model reads the finding, its quotes and the code that may be the cause; the line that it names is
looked up and its change is applied in memory before either is kept. Findings of the model come
first, then those of detectors, each group once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from halo_engine.errors import BudgetExhausted, EngineError
from halo_engine.findings import CodeLine, Finding, group_parts, importance
from halo_engine.llm import ChatMessage, ChatModel, ModelClient, assistant, system, user
from halo_engine.llm.chat import AnswerForm, AnswerFormKind
from halo_engine.rlm.answer_forms import object_schema
from halo_engine.rlm.answers import parse_rows
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.row_fields import RowField, fields_text
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure
from halo_engine.source import SourceFiles
from halo_engine.source.changes import change_in
from halo_engine.source.excerpts import SHOWN_CHARS, CodeExcerpts
from halo_engine.source.places import code_lines

PURPOSE = "causes in the code"
MAX_ASKED = 25
MAX_QUOTES = 5
FINDING_CHARS = 8000
ANSWER_TOKENS = 1500
CAUSE_FIELDS = {
    "path": RowField(description="the file of the cause"),
    "line": RowField(type="integer", description="the number of the line that has to be changed"),
    "quote": RowField(description="words copied letter by letter from that line"),
    "fix": RowField(description="a unified diff"),
}
FORM = AnswerForm(
    kind=AnswerFormKind.STRUCTURED,
    name="cause",
    json_schema=object_schema(CAUSE_FIELDS) or {},
)
OUT_OF_BUDGET = Failure(
    stage=PURPOSE, where="budget", what="it did not suffice to look up the causes of all findings"
)
TOO_MANY = Failure(
    stage=PURPOSE, where="findings", what=f"the causes of the first {MAX_ASKED} were looked up"
)


class CodeCause(NamedTuple):
    """What an answer names that was looked up, and what is wrong with the rest of it."""

    lines: Sequence[CodeLine]
    fix: str | None
    problems: Sequence[str]


@dataclass
class CodeCauses:
    """Asks ``model`` for the causes of findings in ``files``; what was not asked is a failure."""

    files: SourceFiles
    client: ModelClient
    model: ChatModel
    delimiter: DataDelimiter
    short_ids: ShortIds
    failures: list[Failure] = field(default_factory=list)

    def added(self, findings: Sequence[Finding]) -> list[Finding]:
        """``findings``, with their causes in the code where those are found."""
        asked = [parts[0] for parts in group_parts(findings) if is_without_place(parts)]
        asked.sort(key=lambda finding: (finding.model is None, importance(finding)))
        if not asked:
            return list(findings)
        if len(asked) > MAX_ASKED:
            self.failures.append(TOO_MANY)
        try:
            excerpts = CodeExcerpts(self.files)
        except (EngineError, OSError) as error:
            self.failures.append(Failure(stage=PURPOSE, where="source code", what=str(error)))
            return list(findings)
        answers = self.client.map(lambda f: self._located(f, excerpts), asked[:MAX_ASKED])
        found = {finding.id: finding for finding in answers}
        return [found.get(finding.id, finding) for finding in findings]

    def _located(self, finding: Finding, excerpts: CodeExcerpts) -> Finding:
        """``finding`` with the cause that a model names, if it is there."""
        code = excerpts.about(finding, told_instructions(finding, self.short_ids))
        try:
            cause = self._cause(self._messages(finding, code))
        except BudgetExhausted:
            return self._fail(OUT_OF_BUDGET, finding)
        except (EngineError, OSError) as error:
            what = f"its cause was not looked up: {error}"
            return self._fail(Failure(stage=PURPOSE, where=finding.id, what=what), finding)
        if not cause.lines:
            what = f"the answer does not hold: {' '.join(cause.problems)}"
            failure = Failure(stage=PURPOSE, where=finding.id, what=what)
            return self._fail(failure, finding) if cause.problems else finding
        return finding.model_copy(
            update={"code_causes": tuple(cause.lines), "proposed_fix": cause.fix}
        )

    def _fail(self, failure: Failure, finding: Finding) -> Finding:
        """``finding`` as it is; the failure is recorded, once."""
        if failure not in self.failures:
            self.failures.append(failure)
        return finding

    def _cause(self, messages: Sequence[ChatMessage]) -> CodeCause:
        """The answer of the model, asked once more where a part of it is not as it says."""
        answer = self._answer(messages)
        first = self._verified(answer)
        if not first.problems:
            return first
        listed = self.delimiter("\n".join(first.problems), FINDING_CHARS)
        again = user(
            f"This of your answer does not hold:\n{listed}\nAnswer again, in the same form."
        )
        try:
            second = self._verified(self._answer([*messages, assistant(answer), again]))
        except EngineError:
            return first
        return second if second.lines else first

    def _messages(self, finding: Finding, code: str) -> list[ChatMessage]:
        """The instruction with the code, which for a small one is the same in all prompts."""
        instruction = filled(
            prompt("code_cause"),
            rule=self.delimiter.instruction,
            fields=fields_text(CAUSE_FIELDS),
            code=self.delimiter(code, 2 * SHOWN_CHARS),
        )
        described = self.delimiter(finding_description(finding), FINDING_CHARS)
        return [system(instruction), user(f"The finding:\n{described}")]

    def _answer(self, messages: Sequence[ChatMessage]) -> str:
        answer = self.client.complete(
            self.model, PURPOSE, messages, max_tokens=ANSWER_TOKENS, form=FORM
        )
        return answer.text

    def _verified(self, answer: str) -> CodeCause:
        """What ``answer`` names, looked up in the files."""
        named: Mapping[str, Any] | None = next(iter(parse_rows(answer)), None)
        if named is None:
            return CodeCause((), None, ["There is no JSON object in it."])
        if named.get("path") is None:
            return CodeCause((), None, ())
        lines, misplaced = code_lines([named], self.files)
        fix, unfit = change_in(named.get("fix"), self.files)
        return CodeCause(lines, fix, [*misplaced, *unfit])


def is_without_place(parts: Sequence[Finding]) -> bool:
    """Whether findings that are one are a failure of the agent, and no line is named for any."""
    return not parts[0].is_recording_gap and not any(part.code_causes for part in parts)


def finding_description(finding: Finding) -> str:
    """A finding with some of its quotes, and where what it names is defined."""
    return "\n".join(description_lines(finding))


def description_lines(finding: Finding) -> Iterator[str]:
    """The lines of the text of a finding."""
    yield finding.title
    yield finding.summary
    if finding.cause:
        yield f"Said to be the cause: {finding.cause}"
    if finding.tool:
        yield f"Tool: {finding.tool}"
    if finding.message:
        yield f"Message: {finding.message}"
    for quote in list(dict.fromkeys(e.quote for e in finding.evidence))[:MAX_QUOTES]:
        yield f"Quoted from a run: {quote}"
    for place in finding.defined_at:
        yield f"Defined at {place}"


def told_instructions(finding: Finding, short_ids: ShortIds) -> str:
    """What the agent was told in the first run that shows ``finding``."""
    trace = short_ids.trace(finding.affected[0].trace_id)
    said = (m for s in trace.spans for m in s.input_messages if m.role in ("system", "developer"))
    return "\n".join(dict.fromkeys(m.content for m in said if m.content))
