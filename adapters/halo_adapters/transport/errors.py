"""HTTP error responses and connection failures as the exceptions of ``halo_engine.errors``."""

from __future__ import annotations

from typing import Any

import httpx

from halo_engine.errors import (
    AdapterError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from halo_engine.retry_after import retry_after_seconds
from halo_engine.text.redaction import redact

EXCERPT_CHARS = 300
# So much more, that no secret is cut before it can be recognised.
REDACTED_CHARS = 10 * EXCERPT_CHARS
# There was no connection to send the request on.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def error_from_response(
    platform: str, response: httpx.Response, key_settings: str = ""
) -> AdapterError:
    """The error for a redirect or an error status; its message names the fix.

    ``key_settings`` are the variables that hold the key.
    """
    status = response.status_code
    request = request_name(response.request)
    answer = f"{platform} answered {status} to {request}: {excerpt_of_response(response)}"
    details: dict[str, Any] = {"platform": platform, "request": request, "status": status}
    if response.is_redirect:
        message = (
            f"{platform} answered {status} to {request}: a redirect to {redirect_target(response)}, "
            f"which is not followed. Set the base URL to where the server really is."
        )
        return Rejected(message, **details)
    if status in (401, 403):
        settings = f" ({key_settings})" if key_settings else ""
        fix = f"Check the API key{settings}, and what it may do."
        return Unauthorized(f"{answer}. {fix}", **details)
    if status == 404:
        is_page = "html" in response.headers.get("content-type", "")
        fix = (
            f". Is the address that of a {platform} server? It answers with JSON."
            if is_page
            else ""
        )
        return NotFound(f"{answer}{fix}", **details)
    if status == 429:
        seconds = retry_after_seconds(response.headers.get("retry-after"))
        wait = f"to wait {round(seconds, 1):g} s: try again then" if seconds else "to slow down"
        message = f"{answer}. The platform asks {wait}."
        return RateLimited(message, retry_after=seconds, **details)
    if status == 408 or status >= 500:
        maybe_done = is_change(request)
        return Unavailable(f"{answer}. Try again later.", maybe_done=maybe_done, **details)
    return Rejected(answer, **details)


def no_answer(platform: str, request: httpx.Request, error: httpx.HTTPError) -> Unavailable:
    """The error for a request that got no answer, or only a part of one."""
    host = request.url.copy_with(path="/", query=None, userinfo=b"")
    is_slow = isinstance(error, httpx.ReadTimeout)
    longer = " If it is only slow, set timeout in its table of halo.toml." if is_slow else ""
    return Unavailable(
        f"{platform} at {host} did not answer ({cause_of(error)}). Check that the server "
        f"is running there and that this machine can reach it.{longer}",
        platform=platform,
        request=request_name(request),
        maybe_done=is_change(request_name(request)) and not isinstance(error, NEVER_SENT),
    )


def is_change(request: str) -> bool:
    """Whether a request, by its method and path, can ask the platform to change something."""
    return not request.startswith("GET ")


def not_json(platform: str, request: str, text: str) -> Unavailable:
    """The error for an answer of success whose body ``text`` is not JSON."""
    return Unavailable(
        f"{platform} answered {request} with something that is not JSON ({excerpt(text)!r}). Is "
        f"the address right, and is no proxy or login page in between?",
        platform=platform,
        request=request,
        maybe_done=is_change(request),
    )


def unknown_form(platform: str, request: str) -> Rejected:
    """The error for an answer that is JSON, but not of the form that the platform documents."""
    return Rejected(
        f"{platform} answered {request} in a form that this version does not know. Is the address "
        f"that of a {platform} server? If so, upgrade halo-integrations, or the server.",
        platform=platform,
        request=request,
        maybe_done=is_change(request),
    )


def redirect_target(response: httpx.Response) -> str:
    """Where a redirect leads, without what may be secret in it: user, password and query."""
    try:
        target = response.request.url.join(response.headers.get("location", ""))
    except httpx.InvalidURL:
        return "an invalid address"
    return str(target.copy_with(userinfo=b"", query=None, fragment=None))


def request_name(request: httpx.Request) -> str:
    """Method and path for messages, without the query: it may be long and cannot be acted on."""
    return f"{request.method} {request.url.path}"


def excerpt_of_response(response: httpx.Response) -> str:
    """The beginning of the body, or the reason phrase where there is no body."""
    return excerpt(response.text) or response.reason_phrase


def excerpt(text: str) -> str:
    """The beginning of ``text``, without secrets, white space collapsed."""
    return redact(" ".join(text[:REDACTED_CHARS].split()))[:EXCERPT_CHARS]


def cause_of(error: httpx.HTTPError) -> str:
    """Why a connection failed, for messages."""
    if isinstance(error, httpx.TimeoutException):
        return "time-out"
    return str(error).rstrip(".") or type(error).__name__
