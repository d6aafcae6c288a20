"""The planted faults: each changes a conversation without failures into one that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from halo_integrations.demo.conversation import Call, Conversation, Reply, call, calling

MAX_STEPS = 7
CHANGES = ("create_return", "refund_order", "update_address", "cancel_order")

Inject = Callable[[Conversation, Random], Conversation]


@dataclass(frozen=True)
class Fault:
    """A fault: the failure mode that should be reported for it, and its share of the conversations.

    ``intents`` are those in which it can occur. ``at_least`` is the smallest number of occurrences
    that make it one, ``burst`` the seconds within which all of them fall (None: spread over the day).
    """

    name: str
    failure_mode: str
    description: str
    share: float
    intents: tuple[str, ...]
    inject: Inject
    at_least: int = 1
    burst: float | None = None


ORDERS = ("where_is_it", "send_it_back", "pay_it_back", "move_it", "call_it_off", "mend_it")
WITH_CHANGE = ("send_it_back", "pay_it_back", "move_it", "call_it_off")
WITH_SEARCH = ("send_it_back", "is_it_right", "mend_it")
ANY = (*ORDERS, "is_it_right")


def position_of(conversation: Conversation, *tools: str) -> int:
    """The index of the first reply that calls one of ``tools``."""
    return next(
        index
        for index, reply in enumerate(conversation.replies)
        if any(one.name in tools for one in reply.calls)
    )


def repeat_lookup(conversation: Conversation, random: Random) -> Conversation:
    """The agent reads the same order 3 to 5 times with the same result."""
    at = position_of(conversation, "get_order")
    lookup = conversation.replies[at]
    extra = (lookup,) * random.randrange(2, 5)
    return conversation.with_replies(*conversation.replies[:at], *extra, *conversation.replies[at:])


def retry_unchanged(conversation: Conversation, random: Random) -> Conversation:
    """A change fails, and the agent repeats the call unchanged."""
    at = position_of(conversation, *CHANGES)
    refused = failing(
        conversation.replies[at].calls[0], "ValidationError: order is locked by audit"
    )
    sorry = Reply(
        "I am sorry, this order is locked at the moment, so I could not change it. A colleague "
        "will look into it and write to you today. Nothing has been changed so far."
    )
    return conversation.with_replies(
        *conversation.replies[:at], calling(refused), calling(refused), sorry
    )


def swallow_error(conversation: Conversation, random: Random) -> Conversation:
    """The change fails, and the agent tells the customer that it was done."""
    at = position_of(conversation, *CHANGES)
    reason = "ServiceError: order service did not commit the transaction"
    return conversation.with_reply(at, calling(failing(conversation.replies[at].calls[0], reason)))


def call_unknown_tool(conversation: Conversation, random: Random) -> Conversation:
    """The agent calls a tool that is not declared."""
    order = order_id_of(conversation)
    invented = replace(
        call("issue_store_credit", order_id=order, amount_eur=random.choice((10, 15, 20))),
        rejected="There is no tool called issue_store_credit.",
    )
    return conversation.with_replies(
        *conversation.replies[:-1], calling(invented), conversation.replies[-1]
    )


def break_schema(conversation: Conversation, random: Random) -> Conversation:
    """An argument is text instead of a number; the tool rejects it, and a second call is correct."""
    at = position_of(conversation, "create_return", "refund_order")
    good = conversation.replies[at].calls[0]
    arguments = json.loads(good.arguments)
    field, words = ("quantity", "one") if "quantity" in arguments else ("amount_eur", "all of it")
    wrong = replace(
        good,
        arguments=json.dumps(arguments | {field: words}),
        result={"accepted": False, "message": f"{field} must be a number, got {words!r}"},
    )
    return conversation.with_replies(
        *conversation.replies[:at], calling(wrong), *conversation.replies[at:]
    )


def break_json(conversation: Conversation, random: Random) -> Conversation:
    """The arguments are incomplete JSON; the agent cannot run the call, and a second is correct."""
    at = position_of(conversation, *CHANGES)
    good = conversation.replies[at].calls[0]
    truncated = replace(
        good,
        arguments=good.arguments[: -random.randrange(2, 8)],
        rejected="The arguments are not valid JSON.",
    )
    return conversation.with_replies(
        *conversation.replies[:at], calling(truncated), *conversation.replies[at:]
    )


def find_nothing(conversation: Conversation, random: Random) -> Conversation:
    """The retrieval finds nothing, and the agent answers without a source."""
    at = position_of(conversation, "search_help_centre")
    empty = replace(conversation.replies[at].calls[0], passages=())
    vague = random.choice(
        (
            "In general our terms apply; please see the website for the details.",
            "As far as I know that should be no problem with most of our goods.",
        )
    )
    return conversation.with_reply(at, calling(empty)).with_reply(-1, Reply(vague))


def truncate_answer(conversation: Conversation, random: Random) -> Conversation:
    """The answer reaches the token limit and ends inside a word."""
    steps = (
        "First of all, please keep the original packaging and all tags. ",
        "Put the delivery note into the parcel so that our warehouse can match it. ",
        "Close the parcel with strong tape and remove all old labels. ",
        "Stick the new label on the largest side and keep the receipt of the parcel shop. ",
        "Once it has been scanned you will get an e-mail with all further dates and amou",
    )
    text = f"{conversation.replies[-1].text} {''.join(steps)}"
    return conversation.with_reply(-1, Reply(text, finish_reason="length"))


def never_finish(conversation: Conversation, random: Random) -> Conversation:
    """The agent searches until its steps are used up, and gives no answer."""
    queries = ("lost parcel", "lost parcel claim", "carrier claim form", "claim form", "contact")
    searches = [
        calling(
            replace(
                conversation.replies[position_of(conversation, "search_help_centre")].calls[0],
                arguments=json.dumps({"query": query}),
            )
        )
        for query in queries
    ]
    steps = (*conversation.replies[:-1], *searches)[:MAX_STEPS]
    failure = f"stopped without an answer: max_steps ({MAX_STEPS}) reached"
    return replace(conversation.with_replies(*steps), failure=failure)


def hit_rate_limit(conversation: Conversation, random: Random) -> Conversation:
    """The model's provider refuses two requests in a row, and the agent stops."""
    limited = Reply(error="Error code: 429 - rate_limit_exceeded: too many requests per minute")
    failure = "the model could not be reached: 429 rate_limit_exceeded"
    apology = "Our assistant is very busy right now (429). Please try again in a few minutes."
    changed = conversation.with_replies(*conversation.replies[:1], limited, limited)
    return replace(changed, failure=failure, apology=apology)


def leak_key(conversation: Conversation, random: Random) -> Conversation:
    """The result of a tool holds an invented API key of the payment provider."""
    at = position_of(conversation, "get_order")
    lookup = conversation.replies[at].calls[0]
    leaked = lookup.result | {"payment": {"provider": "stripe", "api_key": invented_key(random)}}
    return conversation.with_reply(at, calling(replace(lookup, result=leaked)))


def empty_answer(conversation: Conversation, random: Random) -> Conversation:
    """The model's last answer is empty, and the agent shows a fallback text."""
    fallback = "Sorry, I did not get that. Could you say it in other words?"
    return replace(conversation.with_reply(-1, Reply("")), apology=fallback)


def failing(one: Call, error: str) -> Call:
    """The same call with an error instead of a result."""
    return replace(one, result=None, error=error)


def order_id_of(conversation: Conversation) -> str:
    """The order that the conversation is about."""
    at = position_of(conversation, "get_order")
    order_id: str = json.loads(conversation.replies[at].calls[0].arguments)["order_id"]
    return order_id


def invented_key(random: Random) -> str:
    """Text in the format of a live key, assembled here so that secret scanners do not report it."""
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "_".join(("sk", "live", "".join(random.choices(letters, k=24))))


FAULTS = (
    Fault(
        "identical call loop",
        "step_repetition",
        "reads the same order 3 to 5 times in a row",
        0.05,
        ORDERS,
        repeat_lookup,
    ),
    Fault(
        "unchanged retry",
        "tool_error_mishandled",
        "repeats a refused call without changing it",
        0.03,
        WITH_CHANGE,
        retry_unchanged,
    ),
    Fault(
        "swallowed error",
        "tool_error_mishandled",
        "tells the customer it was done although the tool failed",
        0.05,
        WITH_CHANGE,
        swallow_error,
    ),
    Fault(
        "unknown tool",
        "hallucinated_tool",
        "calls issue_store_credit, which does not exist",
        0.02,
        ORDERS,
        call_unknown_tool,
    ),
    Fault(
        "wrong argument type",
        "invalid_tool_arguments",
        "passes a quantity or an amount as text",
        0.04,
        ("send_it_back", "pay_it_back"),
        break_schema,
    ),
    Fault(
        "broken JSON",
        "invalid_tool_arguments",
        "passes arguments that are incomplete JSON",
        0.02,
        WITH_CHANGE,
        break_json,
    ),
    Fault(
        "empty retrieval",
        "retrieval_failure",
        "finds nothing in the help centre and answers anyway",
        0.06,
        WITH_SEARCH,
        find_nothing,
    ),
    Fault(
        "truncated answer",
        "output_malformed",
        "reaches the token limit in the middle of the answer",
        0.03,
        ("send_it_back", "pay_it_back", "mend_it"),
        truncate_answer,
    ),
    Fault(
        "empty answer",
        "output_malformed",
        "ends with an empty completion",
        0.02,
        ANY,
        empty_answer,
    ),
    Fault(
        "no final answer",
        "premature_stop",
        f"uses up its {MAX_STEPS} steps without an answer",
        0.02,
        ("send_it_back", "mend_it"),
        never_finish,
    ),
    Fault(
        "rate-limit burst",
        "environment_fault",
        "is refused by the model's provider (429) in one busy minute",
        0.04,
        ORDERS,
        hit_rate_limit,
        at_least=5,
        burst=45.0,
    ),
    Fault(
        "leaked key",
        "unsafe_action",
        "gets an invented live key of the payment provider from a tool",
        0.01,
        ORDERS,
        leak_key,
    ),
)
