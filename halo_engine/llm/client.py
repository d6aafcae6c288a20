"""The client through which the engine calls models: cached, within the budget, with retries.

A call that the ledger has an answer for is not made again. Every other call is recorded at its
maximum cost before it is made, so that a crash or a lost answer is never counted as free, and is
retried while the provider is busy.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from halo_engine.errors import ModelBusy, ModelFailed
from halo_engine.llm.budget import Budget, Spend
from halo_engine.llm.chat import ChatMessage, ChatModel, Completion, TokenUsage, max_prompt_tokens
from halo_engine.llm.ledger import Ledger, call_key

T = TypeVar("T")
R = TypeVar("R")

CONCURRENCY = 16
RETRY_TIMEOUT_SECONDS = 120.0
EXPONENTIAL_WAIT = wait_random_exponential(multiplier=0.5, max=30)

OnBusy = Callable[[str, float], None]


@dataclass(frozen=True)
class ModelCallRecord:
    """One request that was sent, with its answer or its error."""

    purpose: str
    model: str
    messages: tuple[ChatMessage, ...]
    start_time_unix_nano: int
    end_time_unix_nano: int
    answer: Completion | None = None
    error: str | None = None


OnCall = Callable[[ModelCallRecord], None]


class ModelClient:
    """Makes the model calls of one run; thread-safe.

    At most ``concurrency`` calls of one model run at once. A busy provider is retried for
    ``retry_timeout`` seconds; before each retry ``on_busy`` gets the error and the seconds to wait.
    ``on_call`` gets a record of every request, in the thread that sent it.
    """

    def __init__(
        self,
        budget: Budget,
        ledger: Ledger,
        *,
        concurrency: int = CONCURRENCY,
        retry_timeout: float = RETRY_TIMEOUT_SECONDS,
        on_busy: OnBusy | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        self.budget = budget
        self.ledger = ledger
        self.concurrency = concurrency
        self._retry_timeout = retry_timeout
        self._on_busy = on_busy
        self._on_call = on_call
        self._slots: dict[str, threading.Semaphore] = defaultdict(
            lambda: threading.Semaphore(concurrency)
        )
        for purpose, spend in ledger.spent().items():
            budget.charge(purpose, spend)

    def complete(
        self,
        model: ChatModel,
        purpose: str,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
    ) -> Completion:
        """The answer of ``model`` to ``messages``, from the ledger if it is there.

        Raises what ``ChatModel.complete`` raises, and ``BudgetExhausted``.
        """
        key = call_key(model.name, messages, max_tokens)
        stored = self.ledger.answer(key)
        if stored is not None:
            return stored
        prompt_tokens = max_prompt_tokens(messages)
        maximum = spend_of(model, TokenUsage(prompt=prompt_tokens, completion=max_tokens))
        return self._with_retries(
            lambda: self._attempt(model, purpose, messages, max_tokens, key, maximum)
        )

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """``function`` of each of ``items``, computed in parallel; results in their order.

        The first exception is raised: calls that are running are finished, the others are
        cancelled.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _attempt(
        self,
        model: ChatModel,
        purpose: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        key: str,
        maximum: Spend,
    ) -> Completion:
        with self._slots[model.name], self.budget.reserved(purpose, maximum) as charges:
            call_id = self.ledger.begin_call(key, purpose, model.name, maximum)
            with self._charging_errors(call_id, maximum, charges):
                answer = self._send(model, purpose, messages, max_tokens)
            spend = spend_of(model, bounded_usage(answer.usage, maximum))
            self.ledger.end_call(call_id, spend, answer=answer)
            charges.append(spend)
            return answer

    def _send(
        self, model: ChatModel, purpose: str, messages: Sequence[ChatMessage], max_tokens: int
    ) -> Completion:
        """Send one request and report its answer or error to ``on_call``."""
        start, answer, error = time.time_ns(), None, None
        try:
            answer = model.complete(messages, max_tokens=max_tokens)
        except ModelFailed as failure:
            error = str(failure)
            raise
        finally:
            if self._on_call:
                sent = tuple(messages)
                times = start, time.time_ns()
                self._on_call(ModelCallRecord(purpose, model.name, sent, *times, answer, error))
        return answer

    @contextmanager
    def _charging_errors(
        self, call_id: int, maximum: Spend, charges: list[Spend]
    ) -> Iterator[None]:
        """Charge nothing for a refused call, and the maximum for one whose answer was lost."""
        try:
            yield
        except BaseException as error:
            spend = maximum if maybe_billed(error) else Spend()
            self.ledger.end_call(call_id, spend, error=str(error))
            charges.append(spend)
            raise

    def _with_retries(self, attempt: Callable[[], Completion]) -> Completion:
        return Retrying(
            retry=retry_if_exception_type(ModelBusy),
            wait=retry_wait,
            stop=stop_after_delay(self._retry_timeout),
            before_sleep=self._report_retry,
            reraise=True,
        )(attempt)

    def _report_retry(self, state: RetryCallState) -> None:
        if self._on_busy and state.outcome and state.next_action:
            self._on_busy(str(state.outcome.exception()), state.next_action.sleep)


def retry_wait(state: RetryCallState) -> float:
    """Seconds until the next attempt: the provider's ``Retry-After``, else exponential backoff."""
    error = state.outcome.exception() if state.outcome else None
    requested = error.retry_after if isinstance(error, ModelBusy) else None
    return EXPONENTIAL_WAIT(state) if requested is None else requested


def maybe_billed(error: BaseException) -> bool:
    """Whether the provider may charge for a call that ended with ``error``."""
    if isinstance(error, ModelBusy):
        return error.maybe_billed
    return not isinstance(error, ModelFailed)


def spend_of(model: ChatModel, usage: TokenUsage) -> Spend:
    """The spend of one call with ``usage``."""
    return Spend(
        usd=model.price.of(usage) if model.price else None,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        calls=1,
    )


def bounded_usage(usage: TokenUsage | None, maximum: Spend) -> TokenUsage:
    """``usage`` with each count within 0 and ``maximum``; the maximum if there are no counts."""
    if usage is None or usage.total <= 0:
        return TokenUsage(prompt=maximum.prompt_tokens, completion=maximum.completion_tokens)
    return TokenUsage(
        prompt=min(max(0, usage.prompt), maximum.prompt_tokens),
        completion=min(max(0, usage.completion), maximum.completion_tokens),
        cached=usage.cached,
    )
