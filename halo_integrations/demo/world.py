"""A world for an agent whose code can be changed: customers, a scripted model, a shop, a clock.

The agent is a package ``assistant`` in a folder (``examples/demo_agent``). What surrounds it is
fixed, and no fault of anybody: a model that does what it is told, calls a tool again whose result it
cannot use, and answers nothing after nothing; a provider that refuses while it is busy; a shop with
locked orders, failing services and long notes. What becomes of that is up to the agent's code.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from halo_integrations.demo.faults import invented_key
from halo_integrations.demo.loop import FileExporter
from halo_integrations.demo.sending import SpanCount, tracing
from halo_integrations.demo.shop import HELP_TEXTS, Order, order_of
from halo_integrations.options.callbacks import OnProgress, Progress, no_progress

PACKAGE = "assistant"
MODULES = ("loop", "model", "shop", "tools", "tracing")
PROJECT = "demo-agent"
SECOND = 1_000_000_000
# How long ago conversations began, in seconds; long enough that nothing more of them comes.
YOUNGEST, DAY = 10 * 60, 24 * 60 * 60
# In what share of conversations each circumstance is met; no conversation meets two.
SHARE = 0.05
BUSY_SECONDS = 20.0
MOST_READS = 4
PIECE_CHARS = 60
CHARS_PER_TOKEN = 4
NOTE = (
    "Wrapped as a present, with the card of the customer: dear Robin, may it keep you warm and dry "
    "on all the long walks that we have planned for so many years, and bring you home safely each "
    "time. We all look forward to your stories. With love from everybody at the allotment gardens."
)
STEPS = (
    " First of all, please keep the original packaging and all tags.",
    " Put the delivery note into the parcel so that our warehouse can match it.",
    " Close the parcel with strong tape and remove all old labels from its sides.",
    " Stick the new label on the largest side, and keep the receipt of the parcel shop.",
    " Once it has been scanned you will get an e-mail with all further dates.",
)
LONG_REASON = "it was ordered twice by two of us on the same evening, and one is quite enough"
SORRY = (
    "I am sorry, your order could not be changed: {error}. Nothing was done so far. A colleague will "
    "look into it and write to you today."
)
VAGUE = "In general our terms apply; please see the website for the details."

# What an agent is to do in one conversation, step by step: a tool, and its arguments.
Plan = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True)
class Scenario:
    """A conversation: what the customer asks, what it takes, and what is out of the ordinary."""

    order: Order
    request: str
    plan: Plan
    answer: str
    circumstance: str | None
    age: float
    key: str
    others: tuple[Order, ...] = ()

    def is_one(self, circumstance: str) -> bool:
        """Whether this is out of the ordinary here."""
        return self.circumstance == circumstance


@dataclass
class SimulatedClock:
    """The time in nanoseconds, which only passes when somebody says so."""

    now: int

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * SECOND)


# -- customers -----------------------------------------------------------------------------------


def delivery(order: Order, random: Random) -> tuple[str, Plan, str]:
    """Where a parcel is."""
    request = f"Good morning, where is my {order.product.name}? The order is {order.id}."
    answer = (
        f"Your {order.product.name} is with {order.carrier}, tracking number {order.tracking}. It "
        f"should reach you on {order.arrival:%d %B}."
    )
    look_up = ("get_order", {"order_id": order.id})
    return request, (look_up, ("track_parcel", {"tracking_number": order.tracking})), answer


def return_of_item(order: Order, random: Random) -> tuple[str, Plan, str]:
    """A return."""
    reason = random.choice(("too small", "too large", "not as pictured"))
    request = f"I would like to send back the {order.product.name} of {order.id}, it is {reason}."
    arguments = {"order_id": order.id, "sku": order.product.sku, "quantity": 1, "reason": reason}
    plan = (
        ("get_order", {"order_id": order.id}),
        ("search_help_centre", {"query": "return of an unused item"}),
        ("create_return", arguments),
    )
    return (
        request,
        plan,
        f"Your return is registered, and the label is on its way to {order.email}.",
    )


def refund(order: Order, random: Random) -> tuple[str, Plan, str]:
    """Money back."""
    damage = random.choice(("a broken zip", "a torn seam", "a cracked buckle"))
    request = (
        f"The {order.product.name} came with {damage}. Please refund {order.id}, {order.email}."
    )
    arguments = {"order_id": order.id, "amount_eur": order.product.price, "reason": damage}
    plan = (
        ("find_customer", {"email": order.email}),
        ("get_order", {"order_id": order.id}),
        ("refund_order", arguments),
    )
    answer = f"{order.product.price:.2f} euros are on their way back to you for {order.id}."
    return request, plan, answer


def new_address(order: Order, random: Random) -> tuple[str, Plan, str]:
    """Another address."""
    street = f"{random.randrange(1, 90)} Weaver's Yard"
    request = f"I have moved! Can {order.id} go to {street}, {order.postcode} {order.city}?"
    new = {"street": street, "postcode": order.postcode, "city": order.city}
    plan = (
        ("get_order", {"order_id": order.id}),
        ("update_address", {"order_id": order.id, **new}),
    )
    return request, plan, f"Done: {order.id} now goes to {street}, {order.postcode} {order.city}."


def cancellation(order: Order, random: Random) -> tuple[str, Plan, str]:
    """No order."""
    reason = random.choice(("found it cheaper", "trip called off", "ordered by mistake"))
    request = f"Please cancel {order.id}: {reason}."
    plan = (
        ("get_order", {"order_id": order.id}),
        ("cancel_order", {"order_id": order.id, "reason": reason}),
    )
    return request, plan, f"{order.id} is cancelled, and your money returns within 3 days."


def question(order: Order, random: Random) -> tuple[str, Plan, str]:
    """Something before an order."""
    topic = random.choice(("sizes", "care", "delivery"))
    request = f"Before I buy the {order.product.name}: what about {topic}, and is it in stock?"
    plan = (
        ("search_help_centre", {"query": f"{topic} of the {order.product.name}"}),
        ("check_stock", {"sku": order.product.sku}),
    )
    return request, plan, f"{HELP_TEXTS[topic][:150]} It is in stock."


Intent = Callable[[Order, Random], tuple[str, Plan, str]]
WITH_ORDER: tuple[Intent, ...] = (delivery, return_of_item, refund, new_address, cancellation)
CHANGES: tuple[Intent, ...] = (return_of_item, refund, new_address, cancellation)
CIRCUMSTANCES: Mapping[str, tuple[Intent, ...]] = {
    "note": (delivery,),
    "locked": CHANGES,
    "uncommitted": CHANGES,
    "upset": WITH_ORDER,
    "words": (return_of_item, refund),
    "long": (return_of_item, refund, cancellation),
    "wording": (question, return_of_item),
    "explained": (return_of_item,),
    "unscanned": (delivery,),
    "several": (delivery,),
    "busy": WITH_ORDER,
    "online": WITH_ORDER,
}


def scenario_of(random: Random) -> Scenario:
    """A random conversation."""
    others = 1 - SHARE * len(CIRCUMSTANCES)
    weights = [*([SHARE] * len(CIRCUMSTANCES)), others]
    (circumstance,) = random.choices([*CIRCUMSTANCES, None], weights)
    intents = CIRCUMSTANCES[circumstance] if circumstance else (*WITH_ORDER, question)
    order = order_of(random)
    request, plan, answer = random.choice(intents)(order, random)
    age, key = random.uniform(YOUNGEST, DAY), invented_key(random)
    scenario = Scenario(order, request, plan, answer, circumstance, age, key)
    return out_of_the_ordinary(scenario, random)


def out_of_the_ordinary(scenario: Scenario, random: Random) -> Scenario:
    """``scenario`` with what its circumstance changes of the conversation itself."""
    order, fields = scenario.order, dict(vars(scenario))
    if scenario.is_one("upset"):
        fields["request"] += " I am really upset about this!"
    if scenario.is_one("explained"):
        fields["request"] += " How do I pack it? Please tell me everything step by step."
        fields["answer"] += "".join(STEPS)
    if scenario.is_one("long"):
        tool, arguments = scenario.plan[-1]
        fields["plan"] = (*scenario.plan[:-1], (tool, {**arguments, "reason": LONG_REASON}))
    if scenario.is_one("several"):
        orders = (order, order_of(random), order_of(random))
        look_ups = [delivery(each, random)[1] for each in orders]
        fields["plan"] = tuple(step for plan in look_ups for step in plan)
        fields["request"] = f"Where are my orders {', '.join(each.id for each in orders)}?"
        fields["others"] = orders[1:]
    return Scenario(**fields)


# -- the model -----------------------------------------------------------------------------------


@dataclass
class Course:
    """How far a conversation is, by its messages."""

    done: int = 0
    reads: int = 0
    error: str = ""
    is_empty: bool = False
    found_nothing: bool = False
    in_numbers: bool = False
    in_short: bool = False
    gave_credit: bool = False
    messages: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class ScriptedProvider:
    """Streams the answers of a model in one conversation, in the ``pieces`` of the agent."""

    def __init__(
        self,
        scenario: Scenario,
        agent: Mapping[str, ModuleType],
        clock: SimulatedClock,
        random: Random,
    ) -> None:
        self.scenario = scenario
        self.agent = agent["model"]
        self.clock = clock
        self.random = random
        self.free_at = 0

    def stream(
        self, *, messages: Sequence[dict[str, Any]], tools: Any, max_tokens: int, **_: Any
    ) -> Iterator[Any]:
        """The answer to ``messages``, piece by piece."""
        self.clock.sleep(self.random.uniform(0.6, 2.4))
        self.refuse_while_busy()
        course = course_of(messages)
        if course.is_empty:
            yield self.agent.Piece(finish_reason="stop")
        elif course.error:
            yield from self.text(SORRY.format(error=course.error), max_tokens)
        elif course.done < len(self.scenario.plan):
            yield from self.planned_call(course, tools)
        elif self.wants_credit(course):
            credit = {"order_id": self.scenario.order.id, "amount_eur": 15}
            yield from self.call("issue_store_credit", credit)
        else:
            yield from self.text(
                VAGUE if course.found_nothing else self.scenario.answer, max_tokens
            )

    def refuse_while_busy(self) -> None:
        """Refuse requests for a while after the first one, where the provider is busy."""
        if not self.scenario.is_one("busy"):
            return
        self.free_at = self.free_at or self.clock.now + int(BUSY_SECONDS * SECOND)
        if self.clock.now < self.free_at:
            raise self.agent.RateLimitError(
                "Error code: 429 - rate_limit_exceeded: too many requests per minute",
                retry_after=BUSY_SECONDS,
            )

    def wants_credit(self, course: Course) -> bool:
        """Whether the instructions ask for something that was not done yet."""
        instructions = str(course.messages[0]["content"])
        asked = "issue_store_credit" in instructions and self.scenario.is_one("upset")
        return asked and not course.gave_credit

    def planned_call(self, course: Course, tools: Any) -> Iterator[Any]:
        """The next call that the conversation takes."""
        name, arguments = self.scenario.plan[course.done]
        if self.scenario.is_one("words") and not course.in_numbers:
            arguments = {k: in_words(k, v, name, tools) for k, v in arguments.items()}
        is_long = self.scenario.is_one("long") and course.done == len(self.scenario.plan) - 1
        yield from self.call(name, arguments, ends_late=is_long and not course.in_short)

    def call(
        self, name: str, arguments: dict[str, Any], *, ends_late: bool = False
    ) -> Iterator[Any]:
        """A call in pieces; one that ``ends_late`` has arguments in its last piece, too."""
        whole = json.dumps(arguments)
        parts = [whole[at : at + PIECE_CHARS] for at in range(0, len(whole), PIECE_CHARS)]
        last = parts.pop() if ends_late else ""
        yield self.agent.Piece(call=0, name=name)
        for part in parts:
            yield self.agent.Piece(call=0, arguments=part)
        yield self.agent.Piece(
            call=0, arguments=last, is_last_of_call=True, finish_reason="tool_calls"
        )

    def text(self, text: str, max_tokens: int) -> Iterator[Any]:
        """An answer in pieces, of as many tokens as are allowed."""
        allowed = text[: max_tokens * CHARS_PER_TOKEN]
        reason = "stop" if allowed == text else "length"
        for at in range(0, len(allowed), PIECE_CHARS):
            yield self.agent.Piece(text=allowed[at : at + PIECE_CHARS])
        yield self.agent.Piece(finish_reason=reason)


def course_of(messages: Sequence[Mapping[str, Any]]) -> Course:
    """How far a conversation is."""
    course = Course(messages=messages)
    names = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    for message in messages:
        if message["role"] == "tool":
            follow(course, names[message["tool_call_id"]], str(message["content"]))
    return course


def follow(course: Course, tool: str, result: str) -> None:
    """What the result of a call changes."""
    course.is_empty = not result
    if tool == "issue_store_credit":
        course.gave_credit = True
    elif result.startswith("Error"):
        course.error = result.partition(": ")[2]
    elif "not valid JSON" in result:
        course.in_short = True
    elif '"accepted": false' in result:
        course.in_numbers = True
    elif tool == "get_order" and '"status"' not in result and course.reads < MOST_READS - 1:
        course.reads += 1
    else:
        course.found_nothing |= tool == "search_help_centre" and result == "[]"
        course.done, course.reads = course.done + 1, 0


def in_words(name: str, value: Any, tool: str, tools: Any) -> Any:
    """A number as the customer says it, where the declaration of its tool asks for that."""
    declared: dict[str, Any] = next(
        (t["function"] for t in tools if t["function"]["name"] == tool), {}
    )
    properties = declared.get("parameters", {}).get("properties", {})
    is_asked = "words of the customer" in properties.get(name, {}).get("description", "")
    if not is_asked or isinstance(value, str):
        return value
    return "one" if name == "quantity" else "all of it"


# -- the shop ------------------------------------------------------------------------------------


class ScriptedShop:
    """The services of the shop in one conversation."""

    def __init__(
        self,
        scenario: Scenario,
        agent: Mapping[str, ModuleType],
        clock: SimulatedClock,
        random: Random,
    ) -> None:
        self.scenario = scenario
        self.agent = agent["shop"]
        self.clock = clock
        self.random = random

    def customer(self, email: str) -> dict[str, Any]:
        """A customer."""
        self.take()
        return {"email": email, "name": self.scenario.order.customer}

    def order(self, order_id: str) -> dict[str, Any]:
        """The record of an order, its status last."""
        self.take()
        orders = {each.id: each for each in (self.scenario.order, *self.scenario.others)}
        if order_id not in orders:
            raise self.agent.ServiceError(f"NotFoundError: there is no order {order_id}")
        record = orders[order_id].record("packing")
        status = record.pop("status")
        note = {"gift_note": NOTE} if self.scenario.is_one("note") else {}
        return {**record, **note, "status": status}

    def account(self, order_id: str) -> Any:
        """The account at a payment provider, of orders that were paid there."""
        if not self.scenario.is_one("online"):
            return None
        reference = f"ch_{self.scenario.order.tracking[2:]}"
        return self.agent.Account("stripe", reference, self.scenario.key)

    def scan(self, tracking_number: str) -> dict[str, Any] | None:
        """The last scan of a parcel, if there was one."""
        self.take()
        if self.scenario.is_one("unscanned"):
            return None
        hub = self.random.choice(("sorting centre Kassel", "depot Metz", "sorting centre Linz"))
        return {"tracking_number": tracking_number, "last_scan": hub}

    def passages(self, query: str) -> list[dict[str, Any]]:
        """Passages of the help centre with their similarity."""
        self.take()
        topics = [topic for topic in HELP_TEXTS if topic in query] or ["return"]
        other = next(topic for topic in HELP_TEXTS if topic not in topics)
        weak = self.scenario.is_one("wording")
        best = self.random.uniform(0.61, 0.72) if weak else self.random.uniform(0.78, 0.93)
        scores = {topics[0]: best, other: self.random.uniform(0.45, 0.58)}
        return [
            {"id": f"help/{topic}", "text": HELP_TEXTS[topic], "score": round(score, 3)}
            for topic, score in scores.items()
        ]

    def stock(self, sku: str) -> dict[str, Any]:
        """Pieces in the warehouse."""
        self.take()
        return {"sku": sku, "pieces": self.random.randrange(3, 60)}

    def create_return(self, order_id: str, sku: str, quantity: int, reason: str) -> dict[str, Any]:
        """A return."""
        self.change(order_id)
        return {"return_id": f"RT-{self.random.randrange(1000, 9999)}", "label": "sent by e-mail"}

    def refund(self, order_id: str, amount_eur: float, reason: str) -> dict[str, Any]:
        """A refund."""
        self.change(order_id)
        return {"refunded_eur": amount_eur, "to": "original payment"}

    def update_address(
        self, order_id: str, street: str, postcode: str, city: str
    ) -> dict[str, Any]:
        """Another address."""
        self.change(order_id)
        return {"updated": True, "street": street, "postcode": postcode, "city": city}

    def cancel(self, order_id: str, reason: str) -> dict[str, Any]:
        """A cancellation."""
        self.change(order_id)
        return {"cancelled": True, "order_id": order_id}

    def hand_over(self, department: str, summary: str) -> dict[str, Any]:
        """A case for a colleague."""
        self.take()
        return {"case": f"CS-{self.random.randrange(1000, 9999)}", "department": department}

    def take(self) -> None:
        """What a request takes."""
        self.clock.sleep(self.random.uniform(0.05, 0.5))

    def change(self, order_id: str) -> None:
        """Change an order, which can be refused, or fail."""
        self.take()
        if self.scenario.is_one("locked"):
            raise self.agent.OrderLocked("ValidationError: order is locked by audit")
        if self.scenario.is_one("uncommitted"):
            raise self.agent.ServiceError(
                "ServiceError: order service did not commit the transaction"
            )


# -- playing -------------------------------------------------------------------------------------


def play_agent(
    folder: Path,
    out: Path,
    *,
    count: int,
    seed: int,
    version: str | None = None,
    on_progress: OnProgress = no_progress,
) -> None:
    """Play ``count`` conversations with the agent in ``folder``, their traces into the file ``out``.

    The conversations are the same for the same ``seed``; the ids of traces are new each time.
    """
    random, ids = Random(seed), Random()  # noqa: S311 (texts and ids for a demo)
    scenarios = sorted((scenario_of(random) for _ in range(count)), key=lambda each: -each.age)
    now = time.time_ns()
    exporter = FileExporter(out)
    with (
        agent_in(folder) as agent,
        tracing(exporter, PROJECT, SpanCount(), ids, version=version) as tracer,
    ):
        for done, scenario in enumerate(scenarios, start=1):
            clock = SimulatedClock(now - int(scenario.age * SECOND))
            converse(agent, scenario, tracer, clock, random)
            on_progress(Progress(step="Playing", done=done, total=count, unit="conversations"))


def converse(
    agent: Mapping[str, ModuleType],
    scenario: Scenario,
    tracer: Any,
    clock: SimulatedClock,
    random: Random,
) -> None:
    """One conversation."""
    spans = agent["tracing"].Tracing(tracer, lambda: clock.now)
    model = agent["model"].Model(ScriptedProvider(scenario, agent, clock, random), clock, spans)
    toolbox = agent["tools"].Toolbox(ScriptedShop(scenario, agent, clock, random), spans)
    agent["loop"].Assistant(model, toolbox, spans).answer(scenario.request, scenario.order.email)


@contextmanager
def agent_in(folder: Path) -> Iterator[Mapping[str, ModuleType]]:
    """The modules of the agent's package in ``folder``, imported for the block."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield {name: import_module(f"{PACKAGE}.{name}") for name in MODULES}
    finally:
        sys.path.remove(str(folder.resolve()))
        for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
