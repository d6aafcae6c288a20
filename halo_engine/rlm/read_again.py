"""What readers answer about a claim in some traces: which confirm it, which refute it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from halo_engine.findings import Verification


class ClaimAnswer(NamedTuple):
    """Whether a trace ``shows`` a claim (None: it cannot be told), whether that did harm, and why."""

    shows: bool | None
    harm: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class ReadAgain:
    """The ``answers`` about a claim, by trace id, of the traces that were ``asked`` about."""

    asked: frozenset[str] = frozenset()
    answers: Mapping[str, ClaimAnswer] = field(default_factory=dict)

    @property
    def confirmed(self) -> frozenset[str]:
        """The traces that show it."""
        return frozenset(t for t, answer in self.answers.items() if answer.shows)

    @property
    def refuted(self) -> frozenset[str]:
        """The traces that do not show it."""
        return frozenset(t for t, answer in self.answers.items() if answer.shows is False)

    @property
    def untold(self) -> frozenset[str]:
        """The traces that no model answered about, or of which it cannot tell."""
        return self.asked - self.confirmed - self.refuted

    @property
    def harm(self) -> dict[str, bool]:
        """Where it was seen, or seen not, that what a trace shows did harm."""
        return {t: a.harm for t, a in self.answers.items() if a.shows and a.harm is not None}

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the answers."""
        return tuple(answer.why for answer in self.answers.values() if answer.why)

    @property
    def verification(self) -> Verification:
        """The answers in numbers."""
        told = [a.shows for a in self.answers.values() if a.shows is not None]
        return Verification(
            traces=len(self.asked),
            answered=len(told),
            confirmed=sum(told),
            untold=len(self.answers) - len(told),
        )

    def of(self, trace_ids: Set[str]) -> ReadAgain:
        """What was asked and answered about ``trace_ids``."""
        answers = {t: answer for t, answer in self.answers.items() if t in trace_ids}
        return ReadAgain(self.asked & trace_ids, answers)

    def __add__(self, other: ReadAgain) -> ReadAgain:
        return ReadAgain(self.asked | other.asked, {**self.answers, **other.answers})


NOT_READ_AGAIN = ReadAgain()
