"""Retries of requests to a platform, as an ``httpx`` transport.

As a transport, it covers our own requests and those of a platform's official client.
Requests may be sent twice: reads change nothing, and most writes replace what has the same key. An
adapter names the requests that are not idempotent: when the answer to one is lost, it cannot be
known whether it was carried out, so that is an error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay
from tenacity.wait import wait_random_exponential

from halo_adapters.base import OnWait
from halo_adapters.transport.divide import is_to_be_divided
from halo_adapters.transport.errors import error_from_response, is_change, no_answer, request_name
from halo_adapters.transport.json_answers import require_valid_json
from halo_engine.errors import AdapterError, RateLimited, Unavailable

# Seconds between tries where the platform names none: random, up to 0.5, 1, 2, 4, ... 20.
BACKOFF = wait_random_exponential(multiplier=0.5, max=20)

# Seconds within which a server that has not answered yet is tried again: it may just be starting,
# or the address may be wrong.
FIRST_ANSWER_TIMEOUT = 3.0

# An answer that comes slower than this is given up when its time is over.
SLOWEST_BYTES_PER_SECOND = 10_000

IsNonIdempotent = Callable[[httpx.Request], bool]


def never(_: httpx.Request) -> bool:
    """Every request is idempotent."""
    return False


class RetryTransport(httpx.BaseTransport):
    """Sends a request until it is answered or ``retry_timeout`` seconds have passed.

    ``on_wait`` is called with the reason and the seconds before each wait. A non-idempotent request
    is sent again only where the platform refused it for its rate limit (429).
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        *,
        platform: str,
        retry_timeout: float,
        on_wait: OnWait | None = None,
        is_non_idempotent: IsNonIdempotent = never,
        key_settings: str = "",
    ) -> None:
        self._transport = transport
        self._key_settings = key_settings
        self._is_non_idempotent = is_non_idempotent
        self._platform = platform
        self._retry_timeout = retry_timeout
        self._on_wait = on_wait
        self._has_answered = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``, and again where that may help.

        Raises an ``AdapterError`` where there is no answer of success in time.
        """
        is_unsafe = self._is_non_idempotent(request)
        transient = (RateLimited,) if is_unsafe else (RateLimited, Unavailable)
        tries = Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, transient) and not is_to_be_divided(error)
            ),
            wait=seconds_to_wait,
            stop=self._is_out_of_time,
            before_sleep=self._report_wait,
            reraise=True,
        )
        try:
            return tries(self._attempt, request)
        except AdapterError as error:
            is_repeated = not is_unsafe and tries.statistics["attempt_number"] > 1
            # Whatever the last answer says, a try before it may have been carried out.
            error.maybe_done |= is_repeated and is_change(request_name(request))
            raise

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _is_out_of_time(self, state: RetryCallState) -> bool:
        """Whether the next wait would end after the time-out, so that it is not begun."""
        seconds = self._retry_timeout
        if not self._has_answered:
            seconds = min(seconds, FIRST_ANSWER_TIMEOUT)
        return stop_before_delay(seconds)(state)

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self._transport.handle_request(request)
            response.request = request
            response.stream = BoundedStream(response.stream, answer_seconds(request))
            response.read()
        except httpx.HTTPError as error:
            raise no_answer(self._platform, request, error) from error
        self._has_answered = True
        if response.is_redirect or response.is_error:
            raise error_from_response(self._platform, response, self._key_settings)
        require_valid_json(self._platform, response)
        return response

    def _report_wait(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if self._on_wait and state.next_action:
            self._on_wait(str(error), state.next_action.sleep)


class BoundedStream(httpx.SyncByteStream):
    """The body of an answer, which may take ``seconds``, and more only where it is large.

    The time-out of a connection begins anew with every byte, so a server that sends one now and
    then would never be given up.
    """

    def __init__(self, stream: Any, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        begun, size = time.monotonic(), 0
        for chunk in self._stream:
            yield chunk
            size += len(chunk)
            if time.monotonic() - begun > self._seconds + size / SLOWEST_BYTES_PER_SECOND:
                raise httpx.ReadTimeout("the answer comes too slowly")

    def close(self) -> None:
        """Close the connection, or give it back."""
        self._stream.close()


def answer_seconds(request: httpx.Request) -> float:
    """How long the answer to ``request`` may take; for ever where it has no time-out."""
    limits: Mapping[str, float | None] = request.extensions.get("timeout", {})
    seconds = limits.get("read")
    return math.inf if seconds is None else seconds


def seconds_to_wait(state: RetryCallState) -> float:
    """Seconds until the next try: those of ``Retry-After``, else a growing random number.

    The latter also where ``Retry-After`` is 0 or a date in the past: clocks that disagree must not
    lead to requests without a pause.
    """
    error = state.outcome.exception() if state.outcome else None
    seconds = error.retry_after if isinstance(error, RateLimited) else None
    return seconds or BACKOFF(state)
