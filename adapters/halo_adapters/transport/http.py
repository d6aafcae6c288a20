"""HTTP to a platform: retries in one place, errors in our own words, no way to another host.

Retries live in the transport, so that a platform's own client library gets them too. What we send
may be sent twice: reads change nothing, and writes replace what stands under their identity. What
does not, an adapter names: after a lost answer nobody knows whether it was done, so it is an error.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
from tenacity.wait import wait_random_exponential

from halo_adapters.base import OnWait
from halo_engine.errors import (
    AdapterError,
    ConfigError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
BACKOFF = wait_random_exponential(multiplier=0.5, max=20)
ERROR_TEXT_CHARS = 300

# Seconds that a server which has not answered yet is tried: it may just be starting.
FIRST_ANSWER_TIMEOUT = 3.0


def never(_: httpx.Request) -> bool:
    """No request at all."""
    return False


class RetryTransport(httpx.BaseTransport):
    """Sends a request until it is answered or ``retry_timeout`` seconds have passed.

    ``on_wait`` is told why and for how many seconds before each wait. A request that is ``non_idempotent``
    is sent again only where the platform said that it did not take it (429).
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        *,
        platform: str,
        retry_timeout: float,
        on_wait: OnWait | None = None,
        non_idempotent: Callable[[httpx.Request], bool] = never,
    ) -> None:
        self._transport = transport
        self._non_idempotent = non_idempotent
        self._platform = platform
        self._retry_timeout = retry_timeout
        self._on_wait = on_wait
        self._reached = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer ``request``; raises an ``AdapterError`` when the platform does not."""
        transient = (RateLimited,) if self._non_idempotent(request) else (RateLimited, Unavailable)
        return Retrying(
            retry=retry_if_exception_type(transient),
            wait=pause_before,
            stop=self._is_over,
            before_sleep=self._tell,
            reraise=True,
        )(self._attempt, request)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _is_over(self, state: RetryCallState) -> bool:
        """Patience is for a server that answered before, not for an address that leads nowhere."""
        retry_timeout = (
            self._retry_timeout if self._reached else min(self._retry_timeout, FIRST_ANSWER_TIMEOUT)
        )
        return stop_before_delay(retry_timeout)(state)

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self._transport.handle_request(request)
            response.request = request
            response.read()
        except httpx.HTTPError as error:
            raise self._no_answer(request, error) from error
        self._reached = True
        if response.is_redirect or response.is_error:
            raise error_of(self._platform, response)
        return response

    def _no_answer(self, request: httpx.Request, error: httpx.HTTPError) -> Unavailable:
        host = request.url.copy_with(path="/", query=None, userinfo=b"")
        return Unavailable(
            f"{self._platform} at {host} did not answer ({cause_of(error)}). Check that the server "
            f"is running there and that this machine can reach it.",
            platform=self._platform,
            request=name_of(request),
        )

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if self._on_wait and state.next_action:
            self._on_wait(str(error), state.next_action.sleep)


def pause_before(state: RetryCallState) -> float:
    """How many seconds to wait: what the platform asked for, else a growing random time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RateLimited) else None
    return BACKOFF(state) if asked is None else asked


def http_client(
    base_url: str,
    *,
    platform: str,
    headers: Mapping[str, str],
    timeout: float,
    retry_timeout: float,
    on_wait: OnWait | None = None,
    transport: httpx.BaseTransport | None = None,
    non_idempotent: Callable[[httpx.Request], bool] = never,
) -> httpx.Client:
    """A client for one platform at ``base_url``.

    ``timeout`` bounds one answer, ``retry_timeout`` all tries of one request together, both in seconds.
    ``transport`` sends each try, plain HTTP unless given; ``non_idempotent`` says which requests must not be
    sent again when their answer is lost.
    Redirects are never followed: they would carry the key to wherever they point.
    """
    check_address(base_url)
    if is_private_network(base_url):
        headers = {"accept-encoding": "identity", **headers}
    retrying = RetryTransport(
        transport or httpx.HTTPTransport(),
        platform=platform,
        retry_timeout=retry_timeout,
        on_wait=on_wait,
        non_idempotent=non_idempotent,
    )
    return httpx.Client(
        base_url=base_url.rstrip("/"),
        headers=dict(headers),
        timeout=timeout,
        transport=retrying,
        follow_redirects=False,
    )


def json_of(response: httpx.Response, platform: str) -> Any:
    """The JSON of an answer; raises ``Unavailable`` where there is something else."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise Unavailable(
            f"{platform} answered {name_of(response.request)} with something that is not JSON "
            f"({excerpt(response)!r}). Is the address right, and is no proxy or login page "
            f"in between?",
            platform=platform,
            request=name_of(response.request),
            status=response.status_code,
        ) from error


def error_of(platform: str, response: httpx.Response) -> AdapterError:
    """An unwelcome answer as the error that says what to do."""
    status = response.status_code
    asked = name_of(response.request)
    said = f"{platform} answered {status} to {asked}: {excerpt(response)}"
    details: dict[str, Any] = {"platform": platform, "request": asked, "status": status}
    if response.is_redirect:
        target = response.headers.get("location", "")
        return Rejected(f"{said} Redirect to {target}: set the base URL to its end.", **details)
    if status in (401, 403):
        return Unauthorized(f"{said}. Check the API key and what it may do.", **details)
    if status == 404:
        return NotFound(said, **details)
    if status == 429:
        wish = seconds_of(response.headers.get("retry-after"))
        wait = "to slow down" if wish is None else f"to wait {wish:g} s"
        limited = RateLimited(f"{said}. The platform asks {wait}: try again then.", **details)
        limited.retry_after = wish
        return limited
    if status == 408 or status >= 500:
        return Unavailable(f"{said}. Try again later.", **details)
    return Rejected(said, **details)


def seconds_of(retry_after: str | None) -> float | None:
    """A ``Retry-After`` header in seconds; None where there is none, or it is a date."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else None


def name_of(request: httpx.Request) -> str:
    """Method and path, without the query: it may be long, and holds nothing a user can mend."""
    return f"{request.method} {request.url.path}"


def excerpt(response: httpx.Response) -> str:
    """The beginning of what the platform said."""
    text = " ".join(response.text.split())
    return text[:ERROR_TEXT_CHARS] or response.reason_phrase


def cause_of(error: httpx.HTTPError) -> str:
    """What went wrong with a connection, in words."""
    if isinstance(error, httpx.TimeoutException):
        return "time-out"
    return str(error) or type(error).__name__


def check_address(base_url: str) -> None:
    """Refuse an address that no platform lives at.

    Raises ``ConfigError`` for anything but http(s) with a host, and for link-local addresses, where
    clouds keep their credentials.
    """
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"{base_url!r} is not an address: write http(s)://host[:port].")
    if any(ip.is_link_local for ip in addresses_of(url.host)):
        raise ConfigError(f"{base_url!r} is a link-local address, which is never contacted.")


def addresses_of(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The IP addresses of ``host``; none where it cannot be resolved (the request will tell)."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def is_private_network(base_url: str) -> bool:
    """Whether the server is on this machine or in its own network.

    There, packing an answer costs the server more time than sending it unpacked.
    """
    found = addresses_of(httpx.URL(base_url).host)
    return bool(found) and all(ip.is_private for ip in found)


def is_plain_remote(base_url: str) -> bool:
    """Whether a key would travel unencrypted to another machine."""
    url = httpx.URL(base_url)
    return url.scheme == "http" and url.host not in LOCAL_HOSTS
