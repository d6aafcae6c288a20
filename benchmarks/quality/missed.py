"""Why a known failure mode was not found: the closest finding, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.quality.labelled import Mode
from benchmarks.quality.strict import HEADLINE, Overlap, Scores


class Reason(StrEnum):
    """Why no finding matches a mode."""

    NOT_LOOKED_AT = "not looked at"
    TOO_WIDE = "found but too wide"
    TOO_NARROW = "found but too narrow"
    SPLIT = "split over several findings"
    MERGED = "merged with another"


@dataclass(frozen=True)
class Missed:
    """A mode that no finding matches, and the finding with the highest F1, if any shares a trace."""

    mode: Mode
    reason: Reason
    closest: Overlap | None
    title: str


def missed_modes(scores: Scores, threshold: float = HEADLINE) -> Iterator[Missed]:
    """The modes that no finding matches, in the order of the set."""
    taken = {pair.mode for pair in scores.matches(threshold)}
    for number, mode in enumerate(scores.labelled.modes):
        if number not in taken:
            near = [o for o in scores.overlaps if o.mode == number]
            closest = max(near, key=lambda o: (o.f1, -o.finding), default=None)
            title = scores.findings[closest.finding].title if closest else ""
            yield Missed(mode, reason_of(scores, number, closest, threshold), closest, title)


def reason_of(scores: Scores, mode: int, closest: Overlap | None, threshold: float) -> Reason:
    """Why a mode is missed.

    Not looked at: no finding overlaps with it beyond chance. Merged: the closest finding is matched
    with another mode, or holds at least half of another mode too. Split: findings of which most
    traces show the mode reach the threshold together. Else the closest finding is too wide or too
    narrow, whichever of its precision and recall is lower.
    """
    beyond = [pair for pair in scores.pairs if pair.mode == mode]
    if closest is None or not beyond:
        return Reason.NOT_LOOKED_AT
    if is_split(scores, mode, beyond, threshold):
        return Reason.SPLIT
    if is_merged(scores, mode, closest, threshold):
        return Reason.MERGED
    too_wide = closest.both / closest.found < closest.both / closest.shown
    return Reason.TOO_WIDE if too_wide else Reason.TOO_NARROW


def is_split(scores: Scores, mode: int, beyond: list[Overlap], threshold: float) -> bool:
    """Whether several findings, most of whose traces show the mode, make it up together."""
    parts = [scores.findings[o.finding].traces for o in beyond if 2 * o.both >= o.found]
    together = frozenset().union(*parts)
    shown = scores.labelled.modes[mode].traces
    f1 = 2 * len(together & shown) / (len(together) + len(shown))
    return len(parts) > 1 and f1 >= threshold


def is_merged(scores: Scores, mode: int, closest: Overlap, threshold: float) -> bool:
    """Whether the closest finding is about another mode as much."""
    traces = scores.findings[closest.finding].traces
    if any(pair.finding == closest.finding for pair in scores.matches(threshold)):
        return True
    shown = scores.labelled.modes[mode].traces
    others = (other.traces for n, other in enumerate(scores.labelled.modes) if n != mode)
    return 2 * closest.both >= len(shown) and any(
        2 * len((traces & other) - shown) >= len(other) for other in others
    )
