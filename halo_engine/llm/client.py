"""The one way in which the engine calls a model: from the ledger, else within the budget.

A call that was answered before is not made again. One that is made is noted before, at the most it
can cost, so that neither a crash nor a lost answer is ever free; it is tried again while the
provider says that it is busy.
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
from halo_engine.llm.budget import Budget, Spent
from halo_engine.llm.chat import ChatMessage, ChatModel, Completion, TokenUsage, most_tokens
from halo_engine.llm.ledger import Ledger, key_of

T = TypeVar("T")
R = TypeVar("R")

CONCURRENCY = 16
RETRY_TIMEOUT_SECONDS = 120.0
LONGER_EACH_TIME = wait_random_exponential(multiplier=0.5, max=30)

OnBusy = Callable[[str, float], None]


@dataclass(frozen=True)
class ModelCallRecord:
    """One call that was made: what was sent, and what came of it."""

    purpose: str
    model: str
    messages: tuple[ChatMessage, ...]
    start_time_unix_nano: int
    end_time_unix_nano: int
    answer: Completion | None = None
    error: str | None = None


OnCall = Callable[[ModelCallRecord], None]


class ModelClient:
    """Makes the calls of a run.

    At most ``concurrency`` calls of one model are under way at once. A provider that is busy is
    asked again for ``retry_timeout`` seconds; ``on_busy`` is told why, and for how many seconds to wait.
    ``on_call`` is told of every call that was made, in the thread that made it.
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
        for purpose, spent in ledger.spent().items():
            budget.charge(purpose, spent)

    def ask(
        self,
        model: ChatModel,
        purpose: str,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
    ) -> Completion:
        """The answer to ``messages``; raises what ``ChatModel.complete`` does, and BudgetSpent."""
        key = key_of(model.name, messages, max_tokens)
        known = self.ledger.answer(key)
        if known is not None:
            return known
        size = most_tokens(messages)
        most = spent_of(model, TokenUsage(prompt=size, completion=max_tokens))
        return self._with_retries(
            lambda: self._once(model, purpose, messages, max_tokens, key, most)
        )

    def each(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """``work`` on all ``items`` at once, as far as the models allow; results in their order.

        The first error ends it; what is under way is finished, what has not begun is left out.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _once(
        self,
        model: ChatModel,
        purpose: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        key: str,
        most: Spent,
    ) -> Completion:
        with self._slots[model.name], self.budget.reserved(purpose, most) as charged:
            call = self.ledger.begin(key, purpose, model.name, most)
            with self._noting_errors(call, most, charged):
                answer = self._told(model, purpose, messages, max_tokens)
            used = spent_of(model, possible(answer.usage, most))
            self.ledger.end(call, used, answer=answer)
            charged.append(used)
            return answer

    def _told(
        self, model: ChatModel, purpose: str, messages: Sequence[ChatMessage], max_tokens: int
    ) -> Completion:
        """The answer of ``model``, told to whoever listens, as is an error."""
        start, answer, error = time.time_ns(), None, None
        try:
            answer = model.complete(messages, max_tokens=max_tokens)
        except ModelFailed as failed:
            error = str(failed)
            raise
        finally:
            if self._on_call:
                sent = tuple(messages)
                times = start, time.time_ns()
                self._on_call(ModelCallRecord(purpose, model.name, sent, *times, answer, error))
        return answer

    @contextmanager
    def _noting_errors(self, call: int, most: Spent, charged: list[Spent]) -> Iterator[None]:
        """Charge a call in full whose answer was lost, and one that was refused nothing."""
        try:
            yield
        except BaseException as error:
            refused = isinstance(error, ModelFailed) and not getattr(error, "maybe_billed", False)
            used = Spent() if refused else most
            self.ledger.end(call, used, error=str(error))
            charged.append(used)
            raise

    def _with_retries(self, call: Callable[[], Completion]) -> Completion:
        return Retrying(
            retry=retry_if_exception_type(ModelBusy),
            wait=pause,
            stop=stop_after_delay(self._retry_timeout),
            before_sleep=self._tell,
            reraise=True,
        )(call)

    def _tell(self, state: RetryCallState) -> None:
        if self._on_busy and state.outcome and state.next_action:
            self._on_busy(str(state.outcome.exception()), state.next_action.sleep)


def pause(state: RetryCallState) -> float:
    """Seconds until the next try: what the provider wishes, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    wish = error.retry_after if isinstance(error, ModelBusy) else None
    return LONGER_EACH_TIME(state) if wish is None else wish


def spent_of(model: ChatModel, usage: TokenUsage) -> Spent:
    """What one call with ``usage`` costs."""
    return Spent(
        usd=model.price.of(usage) if model.price else None,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        calls=1,
    )


def possible(usage: TokenUsage | None, most: Spent) -> TokenUsage:
    """``usage``, or the most there can be where the provider gives none or an impossible one."""
    if usage is None or usage.total <= 0:
        return TokenUsage(prompt=most.prompt_tokens, completion=most.completion_tokens)
    return TokenUsage(
        prompt=min(max(0, usage.prompt), most.prompt_tokens),
        completion=min(max(0, usage.completion), most.completion_tokens),
        cached=usage.cached,
    )
