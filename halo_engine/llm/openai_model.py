"""A chat model on a server with OpenAI's chat completions API (vLLM, Ollama, a proxy, ...)."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx
from pydantic import SecretStr

from halo_engine.errors import ConfigError, ModelFailed
from halo_engine.llm.call_failures import (
    CallFailure,
    FailedCall,
    failure_of_status,
    shown_message,
)
from halo_engine.llm.chat import AnswerForm, AnswerFormKind, ChatMessage, Completion, Price
from halo_engine.llm.negotiation import (
    EFFORT_ROOM,
    Negotiation,
    OnDropped,
    ignore_dropped,
    seconds_for,
)
from halo_engine.llm.openai_answers import mapping, parsed_completion
from halo_engine.llm.openai_requests import form_parameters, sent_messages
from halo_engine.llm.openai_streams import EVENT_STREAM, assembled_answer
from halo_engine.retry_after import retry_after_seconds

TIMEOUT_SECONDS = 300.0
CONNECT_SECONDS = 30.0
UNKNOWN_WINDOW = 32_000
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

# The parameter that limits an answer; models of OpenAI that reason take the second one only.
MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


class ServerResponse(NamedTuple):
    """A complete HTTP response."""

    status: int
    headers: httpx.Headers
    content: bytes


class OpenAIModel:
    """The model ``name`` on the server at ``base_url``.

    Only ``api_key`` is sent there, never a provider's key from the environment, and redirects are
    not followed. ``window`` is in tokens, ``transport`` makes the connections (plain HTTP unless
    given). ``timeout`` is in seconds, for answers of up to ``STREAMED_TOKENS``: longer ones, which
    are streamed, have as many times as long. What the server can do besides text is tried;
    ``on_dropped`` gets a sentence about what it cannot.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: SecretStr | None = None,
        price: Price | None = None,
        window: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
        reasoning_effort: str | None = None,
        on_dropped: OnDropped = ignore_dropped,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self.price = price
        self.window = window or UNKNOWN_WINDOW
        url = httpx.URL(base_url)
        self._url = url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions")
        self.destination = str(url.copy_with(username=None, password=None, query=None))
        self._timeout = timeout
        self._limit_parameter = MAX_TOKENS
        self._effort = {"reasoning_effort": reasoning_effort} if reasoning_effort else {}
        self.least_room = EFFORT_ROOM[reasoning_effort] if reasoning_effort else 0
        self._negotiation = Negotiation(
            f"{name} at {self.destination}", AnswerFormKind, on_trial=True, on_dropped=on_dropped
        )
        self._has_answered = False
        key = api_key.get_secret_value() if api_key else None
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=None),
            transport=transport or httpx.HTTPTransport(),
            follow_redirects=False,
        )

    @property
    def forms(self) -> Collection[AnswerFormKind]:
        """See ``FormedChatModel``."""
        return self._negotiation.forms

    @property
    def features(self) -> str:
        """What is requested of the server beside text, for people."""
        return ", ".join((self._negotiation.description, *map(effort_text, self._effort.values())))

    @property
    def takes_effort(self) -> bool:
        """Whether a reasoning effort has an effect, as far as is known."""
        return True

    def complete(
        self, messages: Sequence[ChatMessage], *, max_tokens: int, form: AnswerForm | None = None
    ) -> Completion:
        """See ``FormedChatModel``."""

        def send(form: AnswerForm | None, is_streamed: bool) -> Completion:
            return self._answer(request_body(messages, form, is_streamed), max_tokens)

        return self._negotiation.answer(send, form, max_tokens)

    def _answer(self, body: Mapping[str, Any], max_tokens: int) -> Completion:
        """The answer to a request, whose limit of tokens has the name that the server takes."""
        response = self._post(body, self._limit_parameter, max_tokens)
        if self._limit_parameter == MAX_TOKENS and asks_for(response, MAX_COMPLETION_TOKENS):
            response = self._post(body, MAX_COMPLETION_TOKENS, max_tokens)
            if response.status < 300:
                self._limit_parameter = MAX_COMPLETION_TOKENS
        answer = self._parsed(response)
        self._has_answered = True
        return answer

    def _post(self, body: Mapping[str, Any], limit: str, max_tokens: int) -> ServerResponse:
        """Send one request; raises ``ModelFailed`` if no complete response comes back."""
        sent = {
            "model": self.name.removeprefix("openai/"),
            **body,
            limit: max_tokens,
            **self._effort,
        }
        content = json.dumps(sent).encode()
        headers = {"content-type": "application/json"}
        deadline = time.monotonic() + seconds_for(self._timeout, max_tokens, "stream" in body)
        try:
            with self._http.stream("POST", self._url, content=content, headers=headers) as response:
                received = b"".join(bounded_chunks(response, deadline))
                return ServerResponse(response.status_code, response.headers, received)
        except ConfigError as error:  # the address of the host is one that is never contacted
            raise ModelFailed(str(error)) from error
        except UNSENT as error:
            kind = CallFailure.UNREACHABLE if self._has_answered else CallFailure.NO_SERVER
            raise self._failed(kind, f"Connection error: {error}").error() from error
        except httpx.TimeoutException as error:
            text = f"no complete answer within {self._timeout:g} seconds (HALO_CALL_TIMEOUT)"
            raise self._failed(CallFailure.LOST, text).error() from error
        except httpx.HTTPError as error:
            text = f"the connection broke: {error}"
            raise self._failed(CallFailure.LOST, text).error() from error

    def _parsed(self, response: ServerResponse) -> Completion:
        """The answer in ``response``; raises ``ModelFailed`` if there is none."""
        is_stream = response.headers.get("content-type", "").startswith(EVENT_STREAM)
        body = assembled_answer(response.content) if is_stream else parsed_body(response.content)
        if is_stream and body is None:
            raise self._failed(CallFailure.LOST, "the streamed answer did not end").error()
        problem = mapping(body).get("error")
        if response.status >= 300 or problem:
            raise self._refusal(response, body).error()
        if not isinstance(body, Mapping) or "choices" not in body:
            kind = CallFailure.UNUSABLE if self._has_answered else CallFailure.NO_API
            raise self._failed(kind, beginning(response.content)).error()
        return parsed_completion(body)

    def _refusal(self, response: ServerResponse, body: Any) -> FailedCall:
        """The failure that the server reports, by its status or in the body of a response of 200."""
        status = response.status if response.status >= 300 else status_in(body)
        message = reported_error(body) or f"HTTP {status}"
        if 300 <= status < 400:
            message = f"HTTP {status} to {shown_location(response.headers)}"
        wait = retry_after_seconds(response.headers.get("retry-after"))
        return self._failed(failure_of_status(status, message, error_code(body)), message, wait)

    def _failed(self, kind: CallFailure, message: str, wait: float | None = None) -> FailedCall:
        what = f"{self.name} at {self.destination}"
        return FailedCall(kind, what, self.destination, shown_message(message), wait)


def effort_text(effort: str) -> str:
    """A reasoning effort, for people."""
    return f"reasoning effort {effort}"


def request_body(
    messages: Sequence[ChatMessage], form: AnswerForm | None, is_streamed: bool
) -> dict[str, Any]:
    """What a request says beside the model and its limits."""
    body = {"messages": sent_messages(messages, form), **form_parameters(form)}
    return {**body, **STREAMED} if is_streamed else body


def bounded_chunks(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    """The body of ``response``; raises ``httpx.HTTPError`` if it takes too long or is too large."""
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise httpx.ReadError(f"the answer is longer than {MAX_RESPONSE_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer did not end in time")
        yield chunk


def parsed_body(content: bytes) -> Any:
    """``content`` parsed as JSON; None if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def asks_for(response: ServerResponse, parameter: str) -> bool:
    """Whether the server rejects the request, and names ``parameter`` in its message."""
    is_refused = response.status in (400, 422)
    return is_refused and parameter in reported_error(parsed_body(response.content))


def reported_error(body: Any) -> str:
    """The message of an error response, in the forms that servers use; empty if there is none."""
    error = mapping(body).get("error")
    fields = mapping(error) or mapping(body)
    found = (fields.get(name) for name in ("message", "detail", "error"))
    return next((text for text in (error, *found) if isinstance(text, str) and text), "")


def error_code(body: Any) -> str:
    """The error code and type of an error response."""
    error = mapping(mapping(body).get("error")) or mapping(body)
    return " ".join(str(error[name]) for name in ("code", "type") if error.get(name))


def status_in(body: Any) -> int:
    """The HTTP status that a response of 200 with an error names in its body; 500 without one."""
    code = mapping(mapping(body).get("error")).get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def shown_location(headers: httpx.Headers) -> str:
    """Where a response redirects to, without the query."""
    try:
        url = httpx.URL(headers.get("location", ""))
        return str(url.copy_with(username=None, password=None, query=None, fragment=None))
    except httpx.InvalidURL:
        return "an address that is none"


def beginning(content: bytes) -> str:
    """The first line of a response that cannot be used."""
    text = content[:100].decode("utf-8", "replace").strip()
    return f"it begins with {text.splitlines()[0]!r}" if text else "it is empty"
