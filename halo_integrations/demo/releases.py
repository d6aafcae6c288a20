"""Two releases of the demo's agent: in the second some faults are fixed, some worse, one is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.demo.conversation import Conversation, Reply
from halo_integrations.demo.faults import ANY, FAULTS, Fault
from halo_integrations.demo.intents import conversation_about
from halo_integrations.demo.plan import DAY, Planned, good_conversation

# How common each fault is in the first release. With 600 conversations a release, one that is fixed
# or that becomes WORSE_TIMES as common is told as such in more than 9 of 10 cases.
SHARE = 0.05
WORSE_TIMES = 3
CONVERSATIONS = 600
FIXED = (
    "identical call loop",
    "unknown tool",
    "wrong argument type",
    "empty answer",
    "no final answer",
)
WORSE = ("swallowed error", "empty retrieval")


def block_answer(conversation: Conversation, random: Random) -> Conversation:
    """The provider's content filter stops the answer."""
    blocked = Reply(conversation.replies[-1].text[:40], finish_reason="content_filter")
    return conversation.with_reply(-1, blocked)


NEW = Fault(
    "blocked answer",
    "unwarranted_refusal",
    "is stopped by the provider's content filter in the middle of the answer",
    SHARE,
    ANY,
    block_answer,
)


@dataclass(frozen=True)
class Release:
    """A release of the agent: its name, and the share of conversations with each fault."""

    name: str
    shares: Mapping[str, float]


FIRST = Release("A", {fault.name: SHARE for fault in FAULTS})
SECOND = Release(
    "B",
    {
        **{name: share for name, share in FIRST.shares.items() if name not in FIXED},
        **dict.fromkeys(WORSE, WORSE_TIMES * SHARE),
        NEW.name: SHARE,
    },
)
# What is true of each fault between the two.
TRUTH: Mapping[str, ChangeVerdict] = {
    **{fault.name: ChangeVerdict.UNCHANGED for fault in FAULTS},
    **dict.fromkeys(FIXED, ChangeVerdict.GONE),
    **dict.fromkeys(WORSE, ChangeVerdict.WORSE),
    NEW.name: ChangeVerdict.NEW,
}


def plan_release(release: Release, count: int, seed: int) -> list[Planned]:
    """``count`` conversations with ``release``, one after another; the same for the same seed.

    Each has a fault at random, as users meet them: the number of those with a fault varies.
    """
    random = Random(f"{release.name}/{seed}")  # noqa: S311 (texts for a demo)
    faults = [fault for fault in (*FAULTS, NEW) if release.shares.get(fault.name)]
    weights = [release.shares[fault.name] for fault in faults]
    chosen = random.choices([*faults, None], [*weights, 1 - sum(weights)], k=count)
    planned = [planned_with(fault, random) for fault in chosen]
    return sorted(planned, key=lambda one: one.conversation.age, reverse=True)


def planned_with(fault: Fault | None, random: Random) -> Planned:
    """A conversation with ``fault``, or without one."""
    if fault is None:
        return Planned(good_conversation(random))
    conversation = conversation_about(random.choice(fault.intents), random.uniform(0, DAY), random)
    return Planned(fault.inject(conversation, random), fault)
