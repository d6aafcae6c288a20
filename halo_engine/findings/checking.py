"""How a model's finding was checked: what readers said, how far they agree, what was not read."""

from __future__ import annotations

from enum import StrEnum

from halo_engine.schema import FrozenModel


class Verdict(StrEnum):
    """What an adversarial verification says. ``UNDECIDED``: too few traces got an answer."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


class Verification(FrozenModel):
    """An adversarial verification, in numbers of cited traces.

    Of ``traces`` that a model was asked about, ``answered`` got an answer and ``confirmed`` show the
    finding. No answer confirms or refutes nothing; nor does that it cannot tell, which is what it
    said of ``untold``.
    """

    traces: int
    answered: int
    confirmed: int
    untold: int = 0

    def __add__(self, other: Verification) -> Verification:
        return Verification(
            traces=self.traces + other.traces,
            answered=self.answered + other.answered,
            confirmed=self.confirmed + other.confirmed,
            untold=self.untold + other.untold,
        )

    @property
    def verdict(self) -> Verdict:
        """Decided by at least half of the answers, if there is one for half of the traces.

        A majority of those that there are refutes in any case.
        """
        if self.confirmed * 2 < self.answered:
            return Verdict.REFUTED
        if not self.answered or self.answered * 2 < self.traces:
            return Verdict.UNDECIDED
        return Verdict.CONFIRMED

    @property
    def is_unanimous(self) -> bool:
        """Whether every trace was confirmed."""
        return 0 < self.traces == self.confirmed

    def __str__(self) -> str:
        untold = f", of {self.untold} the model could not tell" if self.untold else ""
        if self.verdict is Verdict.UNDECIDED:
            answered = f"{self.answered} of {self.traces} cited traces got an answer"
            return f"not confirmed: {answered}{untold}"
        unanswered = self.traces - self.answered - self.untold
        rest = f"{untold}, {unanswered} got no answer" if unanswered else untold
        return f"{self.confirmed} of {self.answered} cited traces were confirmed{rest}"


class Agreement(FrozenModel):
    """How often a judge answered the same when it was asked about ``traces`` a second time.

    ``either`` counts the traces that it said to show the finding in one of the two answers at least,
    ``both`` those in both.
    """

    traces: int
    same: int
    either: int
    both: int

    def __str__(self) -> str:
        shown = f"; of {self.either} that show it by either, {self.both} by both"
        return (
            f"asked again, in another order, the judge answered the same about {self.same} of "
            f"{self.traces} traces{shown if self.either else ''}"
        )


class Harm(FrozenModel):
    """In how many of the ``judged`` traces that show a finding a model saw that it did harm."""

    seen: int
    judged: int

    def __str__(self) -> str:
        return f"seen in {self.seen} of the {self.judged} traces of which a model could tell"


class Confidence(StrEnum):
    """The confidence of a model's finding; ``halo_engine.rlm.assembly`` determines it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class NotRead(FrozenModel):
    """How many traces were not looked at, or only in part, for a model's finding, and why."""

    reason: str
    traces: int
