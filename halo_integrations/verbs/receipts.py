"""Receipts of writes, and the read-back that shows whether a platform took them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential
from tenacity.stop import StopBaseT, stop_base

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.schema import Failure
from halo_integrations.options.callbacks import Progress
from halo_integrations.state.values import Receipt, ReceiptState

WRITE_BATCH = 100
# A platform can show an accepted write only after a while (seen: up to 30 s).
READ_BACK_SECONDS = 60
READ_BACK_PAUSE = wait_exponential(0.25, max=5)

# An annotation's identity, and what should be stored there (None: nothing).
Expected = tuple[Annotation, Annotation | None]


def unconfirmed(
    adapter: Annotator, expected: Sequence[Expected], stop: StopBaseT
) -> list[Annotation]:
    """Those whose stored value is not the expected one when ``stop`` says that it is enough.

    A platform can take a moment to show a change, so what is missing is read again.
    """
    left = list(expected)

    def look() -> list[Annotation]:
        stored = adapter.fetch_annotations([annotation for annotation, _ in left])
        left[:] = [e for e, value in zip(left, stored, strict=True) if value != e[1]]
        return [annotation for annotation, _ in left]

    return Retrying(
        retry=retry_if_result(bool),
        wait=READ_BACK_PAUSE,
        stop=stop,
        retry_error_callback=last_result,
    )(look)


class stop_without_progress(stop_base):  # noqa: N801 - as the stops of tenacity are called
    """Stop where nothing more was shown for ``seconds``, however many are left.

    A platform stores what it accepted at its own pace, so thousands can take minutes.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left: int | None = None
        self._since = 0.0

    def __call__(self, state: RetryCallState) -> bool:
        """Whether to stop after this attempt."""
        left, now = len(last_result(state)), state.seconds_since_start or 0.0
        if self._left is None or left < self._left:
            self._left, self._since = left, now
        return now - self._since >= self._seconds


def last_result(state: RetryCallState) -> list[Annotation]:
    """The result of the last attempt; an error of the platform is raised."""
    if state.outcome is None:
        return []
    result: list[Annotation] = state.outcome.result()
    return result


def receipt(
    annotation: Annotation,
    state: ReceiptState,
    previous: Annotation | None,
    error: str | None = None,
) -> Receipt:
    """A receipt with the current time."""
    return Receipt(
        at=datetime.now(UTC), state=state, annotation=annotation, previous=previous, error=error
    )


def write_failure(result: WriteResult, stage: str) -> Failure:
    """A refused annotation as a failure for the user."""
    annotation = result.annotation
    where = f"{annotation.name} on {annotation.span_id or annotation.trace_id}"
    return Failure(stage=stage, where=where, what=result.error or "")


def with_state(old: Receipt, state: ReceiptState) -> Receipt:
    """``old`` with a new state and the current time."""
    return receipt(old.annotation, state, old.previous)


def succeeded(
    receipts: Sequence[Receipt], results: Sequence[WriteResult], state: ReceiptState
) -> list[Receipt]:
    """New receipts for those that succeeded; the others stay open, to be tried again."""
    pairs = zip(receipts, results, strict=True)
    return [with_state(r, state) for r, w in pairs if not w.error]


def annotations_progress(step: str, done: int, total: int) -> Progress:
    """Progress counted in annotations."""
    return Progress(step=step, done=done, total=total, unit="annotations")
