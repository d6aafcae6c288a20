"""The client through which the engine calls models: cached, within the budget, with retries.

A call that the ledger has an answer for is not made again. Every other call is recorded at its
maximum cost before it is made, so that a crash or a lost answer is never counted as free, and is
retried while the provider is busy.

An answer that was cut at its limit of tokens, which hidden reasoning counts towards, is requested
again with twice the room, until it is whole or the most that the model can write is reached. The room
that a model needed once is what its later calls start with.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_before_delay,
    wait_random_exponential,
)

from halo_engine.errors import (
    AnswerCut,
    AnswerWithheld,
    ModelBusy,
    ModelFailed,
    PromptTooLong,
    RequestRefused,
)
from halo_engine.findings import Billing
from halo_engine.llm.budget import Budget, Limits, Spend
from halo_engine.llm.chat import (
    POSSIBLE_TOKENS,
    AnswerForm,
    AnswerStatus,
    ChatMessage,
    ChatModel,
    Completion,
    TokenUsage,
    has_form,
    max_prompt_tokens,
)
from halo_engine.llm.ledger import MAIN, CallStatus, Ledger, NewCall, call_key
from halo_engine.text.redaction import redact

T = TypeVar("T")
R = TypeVar("R")

CONCURRENCY = 16
RETRY_TIMEOUT_SECONDS = 120.0
EXPONENTIAL_WAIT = wait_random_exponential(multiplier=0.5, max=30)
# The most room that an answer is given: one that is longer is taken for one without end.
MOST_ROOM_TOKENS = 64_000

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


@dataclass
class ModelTraits:
    """What is known of a model in this run.

    ``room`` is the limit of tokens that its answers needed, ``overbilled`` the most tokens that a
    call was billed beyond what it asked for.
    """

    slots: threading.Semaphore
    room: int = 0
    overbilled: TokenUsage = field(default_factory=TokenUsage)


class Request(NamedTuple):
    """A request for an answer; ``key`` is the same for every room and form it is made with.

    ``most_room`` is the most room in tokens that its answer is given.
    """

    model: ChatModel
    traits: ModelTraits
    purpose: str
    messages: tuple[ChatMessage, ...]
    key: str
    most_room: int
    form: AnswerForm | None


class ModelClient:
    """Makes the model calls of one run; thread-safe.

    At most ``concurrency`` calls of one model run at once. A busy provider is retried for
    ``retry_timeout`` seconds; before each retry ``on_busy`` gets the error and the seconds to wait.
    ``on_call`` gets a record of every request, in the thread that sent it. No prompt leaves, or is
    recorded, that did not pass ``redact``.
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
        redact: Callable[[str], str] = redact,
    ) -> None:
        self.budget = budget
        self.ledger = ledger
        self.concurrency = concurrency
        self.part_name = MAIN
        self._retry_timeout = retry_timeout
        self._on_busy = on_busy
        self._on_call = on_call
        self._redact = redact
        self._traits: dict[str, ModelTraits] = {}
        self._lock = threading.Lock()
        self._interrupted = threading.Event()
        for purpose, spend in ledger.spent().items():
            budget.charge(purpose, spend)

    def part(self, name: str, limits: Limits) -> ModelClient:
        """The client of a part of the run: it spends at most ``limits`` of this one's budget.

        What the part called ``name`` spent before it was interrupted is charged to it.
        """
        part = copy.copy(self)
        part.budget = Budget(limits, whole=self.budget)
        part.part_name = name
        for purpose, spend in self.ledger.spent(name).items():
            part.budget.charge(purpose, spend)
        return part

    def complete(
        self,
        model: ChatModel,
        purpose: str,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        form: AnswerForm | None = None,
    ) -> Completion:
        """The whole answer of ``model`` to ``messages``, from the ledger if it is there.

        ``max_tokens`` is the room that it starts with. A model that has the ``form`` answers in it,
        any other one as the messages say. Raises what ``ChatModel.complete`` raises,
        ``AnswerCut``, ``AnswerWithheld``, and ``BudgetExhausted``.
        """
        messages = [self._redacted(message) for message in messages]
        key = call_key(model.name, messages, max_tokens)
        traits, most = self._traits_of(model), most_room(model, max_tokens)
        request = Request(
            model,
            traits,
            purpose,
            tuple(messages),
            key,
            most,
            form if has_form(model, form) else None,
        )
        stored = self.ledger.answer(key)
        if stored:
            answer, room = stored
        else:
            room = self.room(model, max_tokens)
            answer = self._requested(request, room)
        if answer.status is AnswerStatus.CUT:
            answer = self._with_more_room(request, answer, room)
        if answer.status is AnswerStatus.WITHHELD:
            raise AnswerWithheld(
                f"{model.name} withholds its answer ({answer.finish_reason}): the model refuses, or "
                f"a content filter of its provider removed text."
            )
        return answer

    def room(self, model: ChatModel, max_tokens: int) -> int:
        """The limit of tokens with which an answer is requested first, ``max_tokens`` or more."""
        needed = max(self._traits_of(model).room, getattr(model, "least_room", 0))
        return min(max(max_tokens, needed), most_room(model, max_tokens))

    def _redacted(self, message: ChatMessage) -> ChatMessage:
        """``message`` as it may leave; what a model wrote it has seen."""
        if message.role == "assistant":
            return message
        return message.model_copy(update={"content": self._redact(message.content)})

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """``function`` of each of ``items``, computed in parallel; results in their order.

        The first exception is raised: calls that are running are finished, the others are
        cancelled. After an interrupt no thread of this client or of its parts begins another call.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for future in futures:
                    yield future.result()
            except KeyboardInterrupt:
                self._interrupted.set()
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def billing(self) -> Billing:
        """What in the costs is not simply what the calls asked for."""
        return self.ledger.billing().model_copy(update={"passed": self.budget.passed_limits()})

    # -- room ------------------------------------------------------------------------------------

    def _with_more_room(self, request: Request, answer: Completion, room: int) -> Completion:
        """The answer in twice the room, and so on; raises ``AnswerCut`` where there is no more."""
        while answer.status is AnswerStatus.CUT and room < request.most_room:
            cut_at, room = room, min(2 * room, request.most_room)
            try:
                answer = self._requested(request, room)
            except (PromptTooLong, RequestRefused) as error:
                raise answer_cut(request.model, answer, cut_at) from error
        if answer.status is AnswerStatus.CUT:
            raise answer_cut(request.model, answer, room)
        with self._lock:
            request.traits.room = max(request.traits.room, room)
        return answer

    def _traits_of(self, model: ChatModel) -> ModelTraits:
        with self._lock:
            if model.name not in self._traits:
                self._traits[model.name] = ModelTraits(threading.Semaphore(self.concurrency))
            return self._traits[model.name]

    # -- one request -----------------------------------------------------------------------------

    def _requested(self, request: Request, room: int) -> Completion:
        """The answer to ``request`` in at most ``room`` tokens; a busy provider is retried."""
        return Retrying(
            retry=retry_if_exception_type(ModelBusy),
            wait=retry_wait,
            stop=stop_before_delay(self._retry_timeout),
            before_sleep=self._report_retry,
            reraise=True,
        )(self._attempt, request, room)

    def _attempt(self, request: Request, room: int) -> Completion:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        call = new_call(request, room)._replace(part=self.part_name)
        with request.traits.slots, self.budget.reserved(call.purpose, call.maximum) as charges:
            call_id = self.ledger.begin_call(call)
            with self._charging_errors(call_id, call.maximum, charges):
                answer = self._send(request, room)
            usage, is_uncounted = counted_usage(answer, call.maximum)
            spend = spend_of(request.model, usage)
            status = CallStatus(answer.status.value)
            charges.append(spend)
            self.ledger.end_call(call_id, status, spend, answer=answer, is_uncounted=is_uncounted)
            self._learn(request.traits, call, usage)
        if answer.status is AnswerStatus.BROKEN:
            raise ModelBusy(
                f"{call.model} did not end its answer: the provider says {answer.finish_reason!r}"
            )
        return answer

    def _learn(self, traits: ModelTraits, call: NewCall, usage: TokenUsage) -> None:
        """Reserve more for later calls of a model that is billed more than it was asked for."""
        with self._lock:
            known = traits.overbilled
            traits.overbilled = TokenUsage(
                prompt=max(known.prompt, usage.prompt - call.max_prompt_tokens),
                completion=max(known.completion, usage.completion - call.max_tokens),
            )

    def _send(self, request: Request, room: int) -> Completion:
        """Send one request and report its answer or error to ``on_call``."""
        start, answer, error = time.time_ns(), None, None
        try:
            answer = formed_answer(request, room)
            answer = with_finish_reason(answer, room)
        except ModelFailed as failure:
            error = str(failure)
            raise
        finally:
            if self._on_call:
                times = start, time.time_ns()
                what = request.purpose, request.model.name, request.messages
                self._on_call(ModelCallRecord(*what, *times, answer, error))
        return answer

    @contextmanager
    def _charging_errors(
        self, call_id: int, maximum: Spend, charges: list[Spend]
    ) -> Iterator[None]:
        """Charge nothing for a refused call, and the maximum for one whose answer was lost."""
        try:
            yield
        except BaseException as error:
            is_lost = maybe_billed(error)
            spend = maximum if is_lost else Spend()
            status = CallStatus.LOST if is_lost else CallStatus.REFUSED
            charges.append(spend)
            self.ledger.end_call(call_id, status, spend, error=str(error))
            raise

    def _report_retry(self, state: RetryCallState) -> None:
        if self._on_busy and state.outcome and state.next_action:
            self._on_busy(str(state.outcome.exception()), state.next_action.sleep)


def formed_answer(request: Request, room: int) -> Completion:
    """The answer of the model to ``request``, in the requested form if the model has it."""
    model, form = request.model, request.form
    if has_form(model, form):
        return model.complete(request.messages, max_tokens=room, form=form)
    return model.complete(request.messages, max_tokens=room)


def retry_wait(state: RetryCallState) -> float:
    """Seconds until the next attempt: the provider's ``Retry-After``, else exponential backoff."""
    error = state.outcome.exception() if state.outcome else None
    requested = error.retry_after if isinstance(error, ModelBusy) else None
    return EXPONENTIAL_WAIT(state) if requested is None else requested


def maybe_billed(error: BaseException) -> bool:
    """Whether the provider may charge for a call that ended with ``error``."""
    return error.maybe_billed if isinstance(error, ModelFailed) else True


def most_room(model: ChatModel, max_tokens: int) -> int:
    """The most room in tokens for an answer of ``model`` to a call that asks for ``max_tokens``."""
    stated: int | None = getattr(model, "max_output_tokens", None)
    return min(stated or max(max_tokens, model.window // 2), MOST_ROOM_TOKENS)


def answer_cut(model: ChatModel, answer: Completion, room: int) -> AnswerCut:
    """The error for an ``answer`` that did not end within ``room`` tokens."""
    return AnswerCut(
        f"The answer of {model.name} was cut at {room:,} tokens, reasoning included, which is the "
        f"most that it can be given.",
        text=answer.text,
        max_tokens=room,
    )


def with_finish_reason(answer: Completion, room: int) -> Completion:
    """``answer``, taken for one that was cut if it has no reason to end and fills its ``room``."""
    is_full = answer.usage is not None and answer.usage.completion >= room
    if answer.finish_reason is None and is_full:
        return answer.model_copy(update={"finish_reason": "length"})
    return answer


def new_call(request: Request, room: int) -> NewCall:
    """The call with the most it can cost, by what the model is known to bill beyond its limits."""
    prompt = max_prompt_tokens(request.messages, request.form)
    beyond = request.traits.overbilled
    most = TokenUsage(prompt=prompt + beyond.prompt, completion=room + beyond.completion)
    usd = request.model.price.most_of(most) if request.model.price else None
    maximum = spend_of(request.model, most).model_copy(update={"usd": usd})
    return NewCall(request.key, request.purpose, request.model.name, prompt, room, maximum)


def spend_of(model: ChatModel, usage: TokenUsage) -> Spend:
    """The spend of one call with ``usage``."""
    return Spend(
        usd=model.price.of(usage) if model.price else None,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        calls=1,
        cached_tokens=usage.cached,
    )


def counted_usage(answer: Completion, maximum: Spend) -> tuple[TokenUsage, bool]:
    """The tokens to charge for ``answer``, and whether the provider's counts could not be used.

    A count is taken as it is, also above ``maximum``, unless it is impossible: negative, none for a
    prompt or a text that is there, or more than any model can process. Then it is the ``maximum``.
    """
    usage = answer.usage or TokenUsage(prompt=-1, completion=-1)
    least = 1 if answer.text else 0
    has_prompt = 1 <= usage.prompt <= POSSIBLE_TOKENS
    has_completion = least <= usage.completion <= POSSIBLE_TOKENS
    counted = TokenUsage(
        prompt=usage.prompt if has_prompt else maximum.prompt_tokens,
        completion=usage.completion if has_completion else maximum.completion_tokens,
        cached=usage.cached if has_prompt else 0,
        written=usage.written if has_prompt else 0,
    )
    return counted, not (has_prompt and has_completion)
