"""What is recorded of one run, in the form in which runs are compared."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from halo_engine.deployments import RELEASE_NAMES
from halo_engine.detectors.run_outcome import outcome_of_run
from halo_engine.detectors.span_text import completion_text, json_object
from halo_engine.detectors.tool_names import reads_only
from halo_engine.detectors.tool_runs import canonical_json
from halo_engine.detectors.trace_views import TraceViews
from halo_engine.schema import Span, Trace
from halo_engine.text.templates import message_template

# Instructions that differ in later parts only, such as a document or a date, are one template.
INSTRUCTION_CHARS = 3000
INSTRUCTION_ROLES = ("system", "developer")
TEXT_CHARS = 100_000
# Names are shown beside those of other runs.
NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One run of a tool: arguments and result as canonical JSON, where they are JSON.

    ``n`` counts the calls of the run from 1, ``turn`` what the user had said before. ``asked`` are
    the user's last words, ``said`` those of the agent that they answer. ``unlike`` are the arguments
    that the result holds with another value, as JSON: name -> [argument, result].
    """

    span_id: str
    n: int
    tool: str
    reads: bool
    failed: bool
    arguments: str
    result: str
    asked: str
    said: str
    turn: int = 0
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """What the user (``who``) or the agent said, and the number of its span in the run (``at``)."""

    span_id: str
    at: int
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What one run was asked, did, said, how it ended, and how it was scored (name and value)."""

    trace_id: str
    agent: str
    instructions: str
    tools: tuple[str, ...]
    models: tuple[str, ...]
    release: str
    asked: str
    ending: str
    answer: str
    calls: tuple[CallFacts, ...]
    words: tuple[Words, ...]
    scores: tuple[str, ...] = ()

    @property
    def changes(self) -> list[CallFacts]:
        """The calls that may have changed something, and did not fail."""
        return [call for call in self.calls if not call.reads and not call.failed]


def facts_of(trace: Trace) -> RunFacts:
    """The facts of one run."""
    views = TraceViews(trace)
    words = tuple(words_of(views))
    outcome = outcome_of_run(views)
    answer = (outcome.answer.text if outcome.answer else None) or ""
    return RunFacts(
        trace_id=trace.trace_id,
        agent=agent_of(views)[:NAME_CHARS],
        instructions=instructions_of(views),
        tools=tuple(sorted(views.tool_names)),
        models=tuple(sorted({s.model_name for s in views.llm_spans if s.model_name})),
        release=release_of(trace)[:NAME_CHARS],
        asked=next((w.text for w in words if w.who == "user"), input_of(views.top)),
        ending=outcome.ending.value,
        answer=answer[:TEXT_CHARS],
        calls=tuple(calls_of(views, words)),
        words=words,
        scores=tuple(sorted({f"{s.name} {s.label or s.value}" for s in trace.scores})),
    )


def agent_of(views: TraceViews) -> str:
    """The name of the agent: as recorded, else of its service, else of the root span."""
    top = views.top
    if top is None:
        return ""
    named = (span.agent_name for span in (top, *views.agent_spans) if span.agent_name)
    service = top.resource.get("service.name")
    return next(named, None) or (str(service) if service else None) or top.name or ""


def instructions_of(views: TraceViews) -> str:
    """A short hash of the template of the first instructions, empty where none are recorded."""
    for span in views.llm_spans:
        for message in span.input_messages:
            if message.role in INSTRUCTION_ROLES and message.content:
                template = message_template(message.content[:INSTRUCTION_CHARS])
                return blake2b(template.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return ""


def release_of(trace: Trace) -> str:
    """The release or version of the agent's program, empty where none is recorded."""
    for span in trace.spans[:1]:
        for name in RELEASE_NAMES:
            value = span.resource.get(name) or span.attributes.get(name)
            if value:
                return str(value)
    return ""


def input_of(top: Span | None) -> str:
    """The recorded input of a run."""
    return ((top.input if top else None) or "")[:TEXT_CHARS]


def words_of(views: TraceViews) -> Iterator[Words]:
    """What users and the agent said to each other, in order, each text once where it came first."""
    seen: set[tuple[str, str]] = set()
    numbers = span_numbers(views)
    for span in views.llm_spans:
        at = numbers[span.span_id]
        for message in span.input_messages:
            text = (message.content or "").strip()
            if message.role == "user" and text and ("user", text) not in seen:
                seen.add(("user", text))
                yield Words(span.span_id, at, "user", text[:TEXT_CHARS])
        said = (completion_text(span) or "").strip()
        if said:
            yield Words(span.span_id, at, "agent", said[:TEXT_CHARS])


def calls_of(views: TraceViews, words: tuple[Words, ...]) -> Iterator[CallFacts]:
    """The tool calls of a run in order, with what was said before each."""
    users, agents = ([w for w in words if w.who == who] for who in ("user", "agent"))
    numbers = span_numbers(views)
    for n, run in enumerate(views.tool_runs, start=1):
        turn = bisect_right(users, numbers[run.span.span_id], key=lambda said: said.at)
        asked = users[turn - 1] if turn else None
        answered = bisect_left(agents, asked.at, key=lambda said: said.at) if asked else 0
        yield CallFacts(
            span_id=run.span.span_id,
            n=n,
            tool=run.tool,
            reads=reads_only(run.tool),
            failed=run.failed,
            arguments=canonical_json(run.arguments.text or "")[:TEXT_CHARS],
            result=canonical_json(run.output.text or "")[:TEXT_CHARS],
            asked=asked.text if asked else "",
            said=agents[answered - 1].text if answered else "",
            turn=turn,
            unlike=unlike(run.arguments.text, run.output.text),
        )


def span_numbers(views: TraceViews) -> dict[str, int]:
    """Span id -> the number of the span in its trace: the order of spans whose times are equal."""
    return {span.span_id: n for n, span in enumerate(views.trace.spans)}


def unlike(arguments: str | None, result: str | None) -> str:
    """The arguments that the result of a call holds with another value, as JSON; empty for none.

    A tool that returns the record that it changed shows by it what it did not change.
    """
    given, returned = json_object(arguments), json_object(result)
    found = {
        name: [value, returned[name]]
        for name, value in given.items()
        if name in returned and are_different(value, returned[name])
    }
    return orjson.dumps(found).decode() if found else ""


def are_different(one: object, other: object) -> bool:
    """Whether two texts or numbers are not the same, however they are written."""
    if not isinstance(one, (str, int, float)) or not isinstance(other, (str, int, float)):
        return False
    return str(one).strip().lower() != str(other).strip().lower()
