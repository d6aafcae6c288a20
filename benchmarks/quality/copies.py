"""Copies of a recorded conversation that say the same in other words, with other facts and timing.

Besides what `renaming` does, a copy has another model's name, other times and token counts, turns of
small talk and reads that were repeated or not needed. Which writes the agent does with which meaning,
what it was asked and what it answers stay the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from benchmarks.quality.renaming import (
    FACTORS,
    FACTORS_OF_CENTS,
    MONEY,
    Known,
    Renaming,
    Slot,
    Template,
    Texts,
    is_money,
)
from benchmarks.quality.wording import SMALL_TALK

Row = dict[str, Any]

# The prefix of attributes that name the original of a copy.
PROVENANCE = "dataset."
MODELS = (
    "gpt-4.1-mini", "gpt-4.1", "claude-3-7-sonnet", "gpt-oss-120b", "o4-mini", "qwen3-32b",
    "mistral-medium", "gemini-2.5-flash",
)  # fmt: skip
READS = re.compile(r"^(get|find|search|list)_")
LISTS = re.compile(r"^list_")
# The shortest time of a step in microseconds, as some sources record none.
LEAST_LENGTH = {"LLM": (300_000, 2_000_000), "TOOL": (1_000, 50_000)}
START = datetime(2025, 9, 1, tzinfo=UTC)
DAYS = 60
CALLS = "llm.output_messages.0.message.tool_calls."
CONTENT = re.compile(r"^llm\.(?:input|output)_messages\.\d+\.message\.content$")
ARGUMENTS = re.compile(r"tool_call\.function\.arguments$")
CALL_ID = re.compile(r"tool_call\.id$|tool_call_id$")


@dataclass
class Turn:
    """A span of an original: what is the same in all copies, and the texts that are not."""

    span: Row
    same: Row
    texts: dict[str, Template] = field(default_factory=dict)
    documents: dict[str, list[Template]] = field(default_factory=dict)
    error: list[Template] | None = None

    @property
    def kind(self) -> str:
        return str(self.same.get("openinference.span.kind"))

    @property
    def name(self) -> str:
        return str(self.span["name"])

    @property
    def answers(self) -> bool:
        """Whether a model says something here and calls no tool."""
        return self.kind == "LLM" and not any(key.startswith(CALLS) for key in self._keys())

    def _keys(self) -> Iterator[str]:
        yield from self.same
        yield from self.documents


class Original:
    """A trace that copies are made of."""

    def __init__(self, spans: Sequence[Row], known: Known) -> None:
        self.id = str(spans[0]["trace_id"])
        document = json.dumps([span["attributes"] for span in spans], ensure_ascii=False)
        self._texts = Texts(known, document)
        self._speakers = speakers(spans)
        self.turns = [self._turn(span) for span in spans]
        self.start = micros(spans[0]["start_time"])
        slots = {slot for turn in self.turns for slot in slots_of(turn)}
        self.by_airport = any(slot.kind == "airport" for slot in slots)
        self._factors = FACTORS_OF_CENTS if any(map(has_cents, slots)) else FACTORS

    def renaming(self, seed: str) -> Renaming:
        """How a copy differs."""
        return Renaming(seed, self._factors, self.by_airport)

    def _turn(self, span: Row) -> Turn:
        attributes = {k: v for k, v in span["attributes"].items() if not k.startswith(PROVENANCE)}
        turn = Turn(span, {k: v for k, v in attributes.items() if not isinstance(v, str)})
        for key, value in attributes.items():
            if isinstance(value, str):
                self._sort(turn, attributes, key, value)
        if span["status"].get("message"):
            turn.error = self._texts.data(span["status"]["message"])
        return turn

    def _result(self, expression: str, value: str) -> Template:
        """The result of a calculation, which is money if it was made of money."""
        money = any(map(is_money, self._texts.data(expression)[0]))
        return (Slot("amount", value),) if money else (value,)

    def _sort(self, turn: Turn, attributes: Row, key: str, value: str) -> None:
        """Put an attribute where it belongs."""
        kind = attributes["openinference.span.kind"]
        role = attributes.get(key.replace(".content", ".role")) if CONTENT.match(key) else None
        if key == "output.value" and kind == "LLM" and value.startswith('[{"id"'):
            return  # made of the calls
        if kind == "TOOL" and key == "output.value" and re.fullmatch(r"-?\d+(?:\.\d+)?", value):
            turn.texts[key] = self._result(attributes["input.value"], value)
        elif ARGUMENTS.search(key) or role == "tool" or (kind == "TOOL" and key.endswith(".value")):
            turn.documents[key] = self._texts.data(value)
        elif role == "system":
            turn.texts[key] = self._texts.facts(value)
        elif role or key.endswith(".value"):
            turn.texts[key] = self._texts.prose(value, self._speakers.get(value, "agent"))
        else:
            turn.same[key] = value


def speakers(spans: Iterable[Row]) -> dict[str, str]:
    """Who said each text."""
    said = [span["attributes"] for span in spans if "message.role_raw" in span["attributes"]]
    return {a["output.value"]: "user" for a in said if a["message.role_raw"] == "user"}


def slots_of(turn: Turn) -> Iterator[Slot]:
    """The slots of all texts of a span."""
    templates = [*turn.texts.values(), *(t[0] for t in turn.documents.values())]
    for template in templates:
        yield from (part for part in template if isinstance(part, Slot))


def has_cents(slot: Slot) -> bool:
    """Whether a slot holds money that is no whole amount."""
    return slot.kind in MONEY and bool(re.search(r"\.(?!0+$)\d", slot.value))


def results_in(spans: Iterable[Row]) -> Iterator[str]:
    """What tools returned: what models write may name nobody."""
    for span in spans:
        if span["attributes"]["openinference.span.kind"] == "TOOL":
            yield span["attributes"]["output.value"]


@dataclass
class Step:
    """A span of a copy in the making, its times in microseconds since the start of the original."""

    turn: Turn
    start: int
    end: int
    attributes: Row
    span_id: str


class Copy:
    """One copy of an original."""

    def __init__(self, original: Original, seed: str, lists: dict[str, Turn]) -> None:
        self.original = original
        self.renaming = original.renaming(seed)
        self._rng = Random(f"{seed} noise")
        self._lists = lists
        self._tokens = self._rng.uniform(0.85, 1.2)
        self._model = self._rng.choice(MODELS)
        self._listed = False
        self._new = 0

    def spans(self) -> Iterator[Row]:
        """The spans of the copy."""
        steps = [self._step(turn) for turn in self.original.turns]
        self._retime(steps)
        for words in self._rng.sample(SMALL_TALK, self._rng.randrange(0, 4)):
            self._add_small_talk(steps, *words)
        for _ in range(self._rng.randrange(0, 5)):
            self._add_read(steps)
        begin = START + timedelta(seconds=self._rng.randrange(DAYS * 86_400))
        return (self._span(step, begin) for step in steps)

    def _step(self, turn: Turn) -> Step:
        span, renaming = turn.span, self.renaming
        attributes = dict(turn.same)
        attributes |= {key: renaming.text(text) for key, text in turn.texts.items()}
        attributes |= {key: renaming.data(text) for key, text in turn.documents.items()}
        for key in [key for key in attributes if CALL_ID.search(key)]:
            attributes[key] = f"call_{renaming.id(attributes[key] + '0' * 24)[:24]}"
        if "session.id" in attributes:
            attributes["session.id"] = renaming.id(f"session {self.original.id}")
        self._measure(attributes)
        if turn.kind == "LLM" and "output.value" not in attributes:
            attributes["output.value"] = calls_of(attributes)
        start, end = (
            micros(span[name]) - self.original.start for name in ("start_time", "end_time")
        )
        return Step(turn, start, end, attributes, self.renaming.id(span["span_id"]))

    def _measure(self, attributes: Row) -> None:
        """Another model and other token counts, where they are recorded."""
        if "llm.model_name" in attributes:
            attributes["llm.model_name"] = self._model
        for key in ("llm.token_count.prompt", "llm.token_count.completion"):
            if key in attributes:
                attributes[key] = max(1, round(attributes[key] * self._tokens))
        if "llm.cost.total" in attributes:
            attributes["llm.cost.total"] = round(attributes["llm.cost.total"] * self._tokens, 7)

    def _retime(self, steps: list[Step]) -> None:
        """One step after the other, each with a length of its own."""
        root, *others = steps
        now = before = 0
        for step in others:
            gap, length = max(0, step.start - before), step.end - step.start
            before = max(before, step.end)
            step.start = now + int(gap * self._rng.uniform(0.6, 1.8))
            least = self._rng.randrange(*LEAST_LENGTH.get(step.turn.kind, (0, 1)))
            now = step.end = step.start + max(least, int(length * self._rng.uniform(0.6, 1.8)))
        root.start, root.end = 0, now

    def _add_small_talk(self, steps: list[Step], said: str, answered: str) -> None:
        """A user's turn and an agent's, before the user answers something."""
        places = [
            n
            for n in range(3, len(steps))
            if steps[n].turn.name == "user_message" and steps[n - 1].turn.answers
        ]
        if not places:
            return
        place = self._rng.choice(places)
        user, agent = steps[place], steps[place - 1]
        heard = {key: v for key, v in agent.attributes.items() if not key.startswith("llm.input")}
        first = "llm.input_messages.0.message."
        spoken = {f"{first}role": "user", f"{first}content": said}
        reply = {"llm.output_messages.0.message.content": answered, "output.value": answered}
        words = [
            self._made(user, {**user.attributes, "output.value": said}),
            self._made(agent, {**heard, **spoken, **reply}),
        ]
        self._insert(steps, place, words)

    def _add_read(self, steps: list[Step]) -> None:
        """A call that reads what was read before and not changed since, or a list of all there is."""
        places = [n for n in range(4, len(steps)) if steps[n].turn.kind == "LLM"]
        place = self._rng.choice(places) if places else 0
        calls = [*self._readable(steps[:place]), *self._lists_here(steps)]
        if not places or not calls:
            return
        call = self._rng.choice(calls)
        self._listed = self._listed or bool(LISTS.match(call.turn.name))
        caller = steps[place]
        call_id = f"call_{self.renaming.id(f'read {self._new}' + '0' * 24)[:24]}"
        tool = self._made(call, {**call.attributes, "tool_call.id": call_id})
        asked = {f"{CALLS}0.tool_call.id": call_id}
        asked[f"{CALLS}0.tool_call.function.name"] = call.turn.name
        asked[f"{CALLS}0.tool_call.function.arguments"] = call.attributes.get("input.value", "{}")
        kept = {
            key: value
            for key, value in caller.attributes.items()
            if not key.startswith("llm.output_messages") and key != "output.value"
        }
        asking = {**kept, "llm.output_messages.0.message.role": "assistant", **asked}
        asking["output.value"] = calls_of(asking)
        first = "llm.input_messages.0.message."
        answer = {f"{first}role": "tool", f"{first}content": tool.attributes["output.value"]}
        answer[f"{first}tool_call_id"] = call_id
        rest = {
            k: v for k, v in caller.attributes.items() if not k.startswith("llm.input_messages")
        }
        added = [self._made(caller, asking), tool]
        self._insert(steps, place, added)
        caller.attributes = {**rest, **answer}

    def _readable(self, steps: Sequence[Step]) -> list[Step]:
        """The successful reads since the last write."""
        found: list[Step] = []
        for step in steps:
            if step.turn.kind != "TOOL":
                continue
            if not READS.match(step.turn.name):
                found = []
            elif step.turn.error is None:
                found.append(step)
        return found

    def _lists_here(self, steps: Sequence[Step]) -> list[Step]:
        """A list of all that an agent of this service offers, once."""
        service = steps[0].turn.span["resource"]["attributes"]["service.name"]
        turn = self._lists.get(service)
        if turn is None or self._listed:
            return []
        airports = any(slot.kind == "airport" for slot in slots_of(turn))
        return [self._step(turn)] if airports == self.original.by_airport else []

    def _made(self, like: Step, attributes: Row) -> Step:
        """A step that the original does not have, as long as a step like it."""
        self._new += 1
        length = max(200_000, int((like.end - like.start) * self._rng.uniform(0.5, 1.5)))
        attributes = dict(attributes)
        if "llm.token_count.completion" in attributes:
            attributes["llm.token_count.completion"] = self._rng.randrange(8, 40)
        return Step(like.turn, 0, length, attributes, self.renaming.id(f"new {self._new:012}"))

    def _insert(self, steps: list[Step], place: int, added: Sequence[Step]) -> None:
        """Put steps before the one at a place, and move what follows."""
        now = steps[place].start
        for step in added:
            step.start, step.end = now, now + step.end
            now = step.end
        delay = now - steps[place].start
        for step in steps[place:]:
            step.start += delay
            step.end += delay
        steps[0].end += delay
        steps[place:place] = added

    def _span(self, step: Step, begin: datetime) -> Row:
        span = step.turn.span
        status = dict(span["status"])
        if step.turn.error is not None:
            status["message"] = self.renaming.data(step.turn.error)
        root = not span["parent_span_id"]
        resource = span["resource"]["attributes"]
        return {
            "trace_id": self.renaming.id(self.original.id),
            "span_id": step.span_id,
            "parent_span_id": "" if root else self.renaming.id(span["parent_span_id"]),
            "name": span["name"],
            "kind": span["kind"],
            "start_time": iso(begin + timedelta(microseconds=step.start)),
            "end_time": iso(begin + timedelta(microseconds=step.end)),
            "status": status,
            "attributes": step.attributes,
            "resource": {"attributes": {"service.name": resource["service.name"]}},
            "events": [],
        }


def calls_of(attributes: Row) -> str:
    """The calls of a model's answer as its output."""
    calls = []
    number = 0
    while (call_id := attributes.get(f"{CALLS}{number}.tool_call.id")) is not None:
        function = f"{CALLS}{number}.tool_call.function."
        name, arguments = attributes[f"{function}name"], attributes[f"{function}arguments"]
        calls.append({"id": call_id, "function": {"name": name, "arguments": arguments}})
        number += 1
    return json.dumps(calls, ensure_ascii=False)


def lists_of(originals: Iterable[Original]) -> dict[str, Turn]:
    """By service, a call that lists all there is."""
    found: dict[str, Turn] = {}
    for original in originals:
        for turn in original.turns:
            if turn.kind == "TOOL" and LISTS.match(turn.name) and turn.error is None:
                found.setdefault(turn.span["resource"]["attributes"]["service.name"], turn)
    return found


def micros(moment: str) -> int:
    """An ISO time as microseconds since 1970."""
    since = datetime.fromisoformat(moment).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def iso(moment: datetime) -> str:
    """A time as the dump writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z"
