"""What is recorded of a run, as values."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from halo_adapters.base import Annotation, FollowUp, Links, TraceQuery
from halo_engine.schema import FrozenModel
from halo_engine.text.sanitize import safe_line
from halo_integrations.version import __version__

SOURCE_CHARS = 120


class Step(StrEnum):
    """A step of a run that was completed; each can be, more than once and in any order."""

    PULL = "pull"
    ANALYZE = "analyze"
    ANNOTATE = "annotate"
    UNDO = "undo"
    WATCH = "watch"


class Stage(StrEnum):
    """How far a run got, in a word for the user; derived, see ``stage_of``."""

    PULLING = "pulling"
    PULLED = "pulled"
    ANALYZED = "analyzed"
    ANNOTATED = "annotated"
    UNDONE = "undone"


class RunRecord(FrozenModel):
    """What was requested, and how far the run got.

    ``request`` holds the trace selection, the adapter's settings without secrets, and the profile;
    ``query`` is the selection with its time window resolved; ``links`` lead to the platform's UI,
    also while the platform is unreachable; ``model`` holds models, limits and questions of the last
    analysis by a model. ``reread`` are traces to read besides, which an earlier run read before
    their end. A rehearsal does not count as dealing with its traces. ``stage`` is derived from the
    other records of the run.
    """

    id: str
    created_at: datetime
    version: str = __version__
    source: str
    request: dict[str, Any] = {}
    query: TraceQuery = TraceQuery()
    reread: tuple[str, ...] = ()
    is_rehearsal: bool = False
    links: Links | None = None
    stage: Stage = Stage.PULLING
    traces: int = 0
    spans: int = 0
    pull_failures: int = 0
    findings: int = 0
    model: dict[str, Any] | None = None

    @property
    def lake(self) -> str | None:
        """The lake that the traces were written to; None where they are in the run."""
        lake: str | None = self.request.get("lake")
        return lake

    @property
    def what_was_read(self) -> str:
        """The platform and the project, or the file, that the run read."""
        where = self.query.project or PurePath(str(self.request.get("location", ""))).name
        return safe_line(f"{self.source} {where}".rstrip(), SOURCE_CHARS)


class ReceiptState(StrEnum):
    """What happened to one annotation.

    Annotate: ``PLANNED``, then ``WRITTEN`` or ``FAILED``; ``WITHDRAWN`` where this run took back
    what an earlier one had written and no longer holds. Undo: ``REMOVED``, ``RESTORED`` where it was
    another value before, ``DELETING`` where the platform has accepted the deletion and not done it
    yet, ``SUPERSEDED`` where a later run replaced it. ``KEPT`` where neither
    touched it, because a person had changed it.
    """

    PLANNED = "planned"
    WRITTEN = "written"
    FAILED = "failed"
    DELETING = "deleting"
    REMOVED = "removed"
    RESTORED = "restored"
    SUPERSEDED = "superseded"
    KEPT = "kept"
    WITHDRAWN = "withdrawn"

    @property
    def may_be_stored(self) -> bool:
        """Whether what the run wrote may be on the platform."""
        return self in MAY_BE_STORED

    @property
    def is_settled(self) -> bool:
        """Whether the run no longer has anything to undo there."""
        return self in SETTLED


MAY_BE_STORED = frozenset({ReceiptState.PLANNED, ReceiptState.WRITTEN})
# The platform was told to delete it, and may not have done so yet.
AWAITING_DELETION = frozenset({ReceiptState.DELETING, ReceiptState.WITHDRAWN})
SETTLED = frozenset(
    {
        ReceiptState.DELETING,
        ReceiptState.REMOVED,
        ReceiptState.RESTORED,
        ReceiptState.SUPERSEDED,
        ReceiptState.KEPT,
    }
)


class Receipt(FrozenModel):
    """One state of one written annotation.

    ``previous`` is what was stored under its identity before this run first wrote it.
    """

    at: datetime
    state: ReceiptState
    annotation: Annotation
    previous: Annotation | None = None
    error: str | None = None


class FollowUpState(StrEnum):
    """What happened to one follow-up, in the order in which it can happen.

    ``REFUSED`` is one that does not exist, as the platform said or nothing was sent. ``LEFT`` is one
    that undo had to leave: the platform cannot delete it, or a person made it their own.
    """

    PLANNED = "planned"
    REFUSED = "refused"
    MADE = "made"
    DELETED = "deleted"
    LEFT = "left"

    @property
    def is_settled(self) -> bool:
        """Whether the run no longer has anything to undo there."""
        return self not in (FollowUpState.PLANNED, FollowUpState.MADE)


class FollowUpReceipt(FrozenModel):
    """One state of one follow-up: what it is called on the platform once it is made.

    One that is ``PLANNED`` may exist: it was about to be sent, and the answer was lost or the process
    ended before it recorded it.
    """

    at: datetime
    state: FollowUpState
    follow_up: FollowUp
    id: str | None = None
    holder: str | None = None


def stage_of(completed: Set[Step], receipts: Set[ReceiptState]) -> Stage:
    """How far a run got, by its completed steps and the last states of its annotations."""
    if Step.PULL not in completed:
        return Stage.PULLING
    if any(state.may_be_stored for state in receipts):
        return Stage.ANNOTATED
    if receipts & (SETTLED - {ReceiptState.KEPT}):
        return Stage.UNDONE
    return Stage.ANALYZED if Step.ANALYZE in completed else Stage.PULLED
