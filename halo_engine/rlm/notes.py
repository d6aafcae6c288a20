"""Notes: faults that a model saw in single runs, each of a kind and about a subject."""

from __future__ import annotations

from enum import StrEnum

from halo_engine.findings import Evidence
from halo_engine.schema import FrozenModel


class FaultKind(StrEnum):
    """In what way a run went wrong: the errors of action, of speech and of procedure."""

    MISSING_ACTION = "missing_action"
    UNWANTED_ACTION = "unwanted_action"
    WRONG_ARGUMENTS = "wrong_arguments"
    NEEDLESS_HANDOFF = "needless_handoff"
    WRONG_ANSWER = "wrong_answer"
    MISSING_ANSWER = "missing_answer"
    BROKEN_PROCEDURE = "broken_procedure"
    STUCK = "stuck"
    WASTE = "waste"
    OTHER = "other"


class FaultSeverity(StrEnum):
    """Whether a fault matters by itself: what its owner would mend first, and the rest."""

    MAJOR = "major"
    MINOR = "minor"


KIND_MEANINGS = {
    FaultKind.MISSING_ACTION: "something that was asked for, allowed and possible was not done, also "
    "where the agent said that it was, or gave the task away instead",
    FaultKind.UNWANTED_ACTION: "something was changed that nobody asked for, or that the "
    "instructions forbid, whatever the user said",
    FaultKind.WRONG_ARGUMENTS: "the right action with a wrong object, value or amount, or with "
    "a part left out",
    FaultKind.NEEDLESS_HANDOFF: "the agent gave the task away, refused or gave up, though it could "
    "have gone on; or gave it away after a right refusal, though nobody asked for that and its "
    "instructions do not want it",
    FaultKind.WRONG_ANSWER: "the user was told something untrue: invented, miscalculated, misread",
    FaultKind.MISSING_ANSWER: "something that the user asked or had to know was not told",
    FaultKind.BROKEN_PROCEDURE: "an instruction on how to proceed was broken, such as to ask first",
    FaultKind.STUCK: "the run ended without an end: in circles, at a limit, by an error",
    FaultKind.WASTE: "the result is right, but steps, time or money were wasted to a degree that "
    "matters",
    FaultKind.OTHER: "anything else that its owner would mend",
}
# The kinds of faults that are about what a run changed, which runs of one course have in common.
OF_A_COURSE = frozenset(
    {
        *(FaultKind.MISSING_ACTION, FaultKind.UNWANTED_ACTION, FaultKind.WRONG_ARGUMENTS),
        FaultKind.NEEDLESS_HANDOFF,
    }
)


class Note(FrozenModel):
    """What is noted of a run: a fault of ``kind``, ``about`` a tool or a subject.

    ``evidence`` proves it, if the quote was found. ``read_in`` is the run in which it was read: this
    one, or another that took the same course.
    """

    trace_id: str
    kind: FaultKind
    about: str
    severity: FaultSeverity
    what: str
    evidence: Evidence | None
    span_id: str | None
    read_in: str


def kinds_text() -> str:
    """The kinds of faults with their meanings."""
    return "\n".join(f"- {kind}: {meaning}" for kind, meaning in KIND_MEANINGS.items())
