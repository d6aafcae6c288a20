"""A chat model over litellm, which knows the APIs of many providers.

litellm is imported at the first call, because the import takes seconds. ``import_litellm`` keeps it
from downloading its price list and from sending telemetry.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from halo_engine.errors import ModelFailed
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
from halo_engine.llm.openai_answers import parsed_completion
from halo_engine.llm.openai_model import STREAMED, TIMEOUT_SECONDS, UNKNOWN_WINDOW, effort_text
from halo_engine.llm.openai_requests import form_parameters, sent_messages, with_cache_marks
from halo_engine.retry_after import retry_after_seconds

# Names of exception classes that litellm puts before the provider's message.
CLASS_NAMES = re.compile(
    r"^(?:(?:litellm\.)?(?:\w+(?:Error|Exception)|Timeout(?: Error)?)\s*(?:: |- ))+"
)

# Names of the exceptions of HTTP libraries where no connection was made, or no answer came back.
UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "EndpointConnectionError"})
BROKEN_OFF = frozenset(
    {"APIConnectionError", "APITimeoutError", "TimeoutException", "ReadTimeout", "WriteTimeout"}
    | {"NetworkError", "ReadError", "WriteError", "RemoteProtocolError", "ConnectionError"}
    | {"TimeoutError"}
)
# What litellm and the libraries of providers say where they find no credentials, or no package.
NO_KEY = re.compile(
    r"missing credentials|missing \S+ api key|api[_ ]key is not set|unable to locate credentials|"
    r"not set\. set|\bpip install\b|library must be installed|provider not provided",
    re.IGNORECASE,
)
# Variables without which their provider cannot be called, unless one of a similar name is set.
KEY_VARIABLES = frozenset(
    f"{provider}_API_KEY"
    for provider in ("ANTHROPIC", "DEEPSEEK", "GEMINI", "GOOGLE", "GROQ", "MISTRAL", "OPENAI")
)
KEY_WORDS = ("KEY", "TOKEN")
# litellm's own errors, whose status does not come from the provider.
CATCH_ALL = frozenset({"APIConnectionError", "APIError", "InternalServerError"})
# Providers that are a server of the user's: what its models can do is in no list.
OWN_SERVERS = frozenset({"hosted_vllm", "llamafile", "lm_studio", "ollama", "ollama_chat"})
# Ollama cuts prompts that exceed the context that it was told of, without a word. To its older API
# litellm describes tools in a prompt of its own.
OPENAI, RESPONSES = "openai", "responses"
OLLAMA = frozenset({"ollama", "ollama_chat"})
WITHOUT_CALLS = frozenset({"ollama"})
# Models whose providers cache what is marked, with a charge for writing. Others cache by themselves.
MARKED_MODELS = re.compile(r"claude|\bnova-")
# litellm gives every part of their streams an ending, so that one that broke off looks whole.
ENDLESS_STREAMS = re.compile("gemini")
# What pydantic prints about litellm's own types.
READ_ONLY = r"(?s).*on TypedDict class .* using the `ReadOnly` qualifier"
PROXY_VARIABLE = "USE_LITELLM_PROXY"


class LitellmModel:
    """The model ``name``, written as litellm does: ``provider/model``.

    ``price`` and ``window`` (tokens) override litellm's own list. ``timeout`` is in seconds, for
    answers of up to ``STREAMED_TOKENS``: longer ones, which are streamed, have as many times as long.
    The forms that litellm lists for the model are used, and tried where it serves a server of the
    user's; ``on_dropped`` gets a sentence about each that is refused.
    """

    def __init__(
        self,
        name: str,
        *,
        price: Price | None = None,
        window: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
        reasoning_effort: str | None = None,
        on_dropped: OnDropped = ignore_dropped,
    ) -> None:
        self.name = name
        self.destination = f"the provider of {name}"
        self._timeout = timeout
        self._has_answered = False
        listed = self._model_info()
        self.price = price or listed_price(listed)
        self.window = window or int(listed.get("max_input_tokens") or UNKNOWN_WINDOW)
        self.max_output_tokens: int | None = listed.get("max_output_tokens")
        _, self._provider = name_and_provider(name)
        self._mode = listed.get("mode")
        is_marked = MARKED_MODELS.search(name) is not None
        self._marks_cache = is_marked and bool(listed.get("supports_prompt_caching"))
        self._effort = {"reasoning_effort": reasoning_effort} if reasoning_effort else {}
        self.least_room = EFFORT_ROOM[reasoning_effort] if reasoning_effort else 0
        self._negotiation = Negotiation(
            name,
            self._listed_forms(),
            on_trial=self._is_own_server,
            streams=False if ENDLESS_STREAMS.search(name) else None,
            on_dropped=on_dropped,
        )

    @property
    def forms(self) -> Collection[AnswerFormKind]:
        """See ``FormedChatModel``."""
        return self._negotiation.forms

    @property
    def features(self) -> str:
        """What is requested of the provider beside text, for people."""
        marks = ["prompts marked for the provider's cache"] if self._marks_cache else []
        efforts = map(effort_text, self._effort.values()) if self.takes_effort else ()
        return ", ".join((self._negotiation.description, *marks, *efforts))

    @property
    def takes_effort(self) -> bool:
        """Whether a reasoning effort has an effect, by litellm's list."""
        bare_name, provider = name_and_provider(self.name)
        taken = import_litellm().get_supported_openai_params(bare_name, provider)
        return "reasoning_effort" in (taken or ())

    @property
    def missing_key(self) -> str | None:
        """The environment variable that the provider's key is missing from; None if it may be set.

        Providers that find credentials in other ways as well are not judged.
        """
        if os.environ.get(PROXY_VARIABLE):
            return None
        missing = import_litellm().validate_environment(self.name)["missing_keys"]
        if not all(is_unset_key(variable, os.environ) for variable in missing):
            return None
        return " or ".join(missing) or None

    def complete(
        self, messages: Sequence[ChatMessage], *, max_tokens: int, form: AnswerForm | None = None
    ) -> Completion:
        """See ``FormedChatModel``."""

        def send(form: AnswerForm | None, is_streamed: bool) -> Completion:
            return self._answer(messages, max_tokens, form, is_streamed)

        return self._negotiation.answer(send, form, max_tokens)

    def _answer(
        self,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        form: AnswerForm | None,
        is_streamed: bool,
    ) -> Completion:
        sent = sent_messages(messages, form)
        timeout = seconds_for(self._timeout, max_tokens, is_streamed)
        try:
            answer = import_litellm().completion(
                model=self.name,
                messages=with_cache_marks(sent) if self._marks_cache else sent,
                max_tokens=max_tokens,
                timeout=timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                **self._effort,
                **self._extras(form),
                **form_parameters(form),
                **(STREAMED if is_streamed else {}),
            )
        except Exception as error:
            raise self._translated(error) from error
        whole = self._whole(answer, timeout) if is_streamed else answer.model_dump(warnings=False)
        self._has_answered = True
        return parsed_completion(whole)

    def _extras(self, form: AnswerForm | None) -> dict[str, Any]:
        """The parameters that are for one provider alone."""
        if self._provider in OLLAMA:
            return {"num_ctx": self.window}
        # litellm calls the responses API here, which stores what it is sent unless told otherwise.
        has_responses = self._mode == RESPONSES or (form is not None and bool(self._effort))
        return {"store": False} if self._provider == OPENAI and has_responses else {}

    def _whole(self, stream: Any, timeout: float) -> Mapping[str, Any]:
        """The whole answer of a stream, for which some providers are first asked here."""
        try:
            return assembled(stream, timeout)
        except Exception as error:
            raise self._translated(error, in_stream=True) from error

    @property
    def _is_own_server(self) -> bool:
        return self._provider in OWN_SERVERS

    def _listed_forms(self) -> Iterator[AnswerFormKind]:
        """The forms that litellm lists for the model; on a server of the user's all."""
        litellm = import_litellm()
        if self._is_own_server or litellm.supports_response_schema(self.name):
            yield AnswerFormKind.STRUCTURED
        if self._provider in WITHOUT_CALLS:
            return
        if self._is_own_server or litellm.supports_function_calling(self.name):
            yield AnswerFormKind.CALL

    def _model_info(self) -> Mapping[str, Any]:
        """The model's entry in litellm's list; empty if it has none."""
        try:
            info: Mapping[str, Any] = import_litellm().get_model_info(self.name)
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a name not on its list
            return {}
        return info

    def _translated(self, error: Exception, *, in_stream: bool = False) -> ModelFailed:
        """``error`` as an exception of this package that names the model and what to do."""
        message = provider_message(error)
        kind = self._kind(error, message, in_stream)
        if kind is CallFailure.NO_KEY and (missing := self.missing_key):
            message = f"set {missing}. ({message})"
        what = f"{self.name} at {self.destination}"
        wait = requested_wait(error)
        return FailedCall(kind, what, self.destination, message, wait).error()

    def _kind(self, error: Exception, message: str, in_stream: bool) -> CallFailure:
        """The kind of failure that ``error`` stands for."""
        status = http_status(error)
        names = {type(cause).__name__ for cause in provider_causes(error)}
        if status is not None:
            return failure_of_status(status, message, error_codes(error))
        if names & UNSENT:
            return CallFailure.UNREACHABLE
        if names & BROKEN_OFF or in_stream:
            return CallFailure.LOST
        if NO_KEY.search(message):
            return CallFailure.NO_KEY
        stated = getattr(error, "status_code", None)
        if isinstance(stated, int) and type(error).__name__ not in CATCH_ALL:
            return failure_of_status(stated, message, type(error).__name__)
        return CallFailure.UNUSABLE if self._has_answered else CallFailure.UNEXPECTED


def name_and_provider(name: str) -> tuple[str, str]:
    """The model ``name`` without its provider, and that, empty if litellm knows none."""
    try:
        bare_name, provider, *_ = import_litellm().get_llm_provider(name)
    except Exception:  # noqa: BLE001 - the call will say what is wrong with the name
        return name, ""
    return str(bare_name), str(provider)


def assembled(stream: Any, seconds: float) -> Mapping[str, Any]:
    """The whole answer of a stream of litellm's, read for at most so many ``seconds``.

    Raises ``ConnectionError`` for one that broke off. litellm makes up an ending, and token counts,
    where the provider sent none: neither is taken.
    """
    deadline = time.monotonic() + seconds
    for _ in stream:
        if time.monotonic() > deadline:
            raise TimeoutError("the streamed answer did not end in time")
    if not stream.received_finish_reason:
        raise ConnectionError("the streamed answer did not end")
    answer = import_litellm().stream_chunk_builder(stream.chunks)
    is_counted = any(getattr(chunk, "usage", None) for chunk in stream.chunks)
    whole: Mapping[str, Any] = answer.model_dump(warnings=False)
    return whole if is_counted else {**whole, "usage": None}


def http_status(error: BaseException) -> int | None:
    """The HTTP status of the provider's refusal; None if there was no complete response.

    litellm sets a status on errors of its own as well: one counts only if it came over HTTP.
    """
    status = getattr(error, "status_code", None)
    over_http = any(type(e).__name__ == "HTTPStatusError" for e in causes(error))
    return status if isinstance(status, int) and over_http else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and its chain of causes or contexts."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def provider_causes(error: BaseException) -> Iterator[BaseException]:
    """The causes of ``error`` but for litellm's own, some of which are named like those of HTTP."""
    for cause in causes(error):
        if not type(cause).__module__.startswith("litellm."):
            yield cause


def error_codes(error: BaseException) -> str:
    """The class of litellm's exception, and the provider's error codes."""
    codes = (getattr(cause, "code", None) for cause in causes(error))
    return " ".join([type(error).__name__, *(code for code in codes if isinstance(code, str))])


def is_unset_key(variable: str, environment: Mapping[str, str]) -> bool:
    """Whether ``variable`` is for a provider's key, and none of the provider's keys is set."""
    provider = variable.removesuffix("API_KEY")
    return variable in KEY_VARIABLES and not any(
        value and name.startswith(provider) and any(word in name for word in KEY_WORDS)
        for name, value in environment.items()
    )


def import_litellm() -> ModuleType:
    """litellm, with its downloads of lists, its telemetry and its printing switched off."""
    for variable in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
        os.environ.setdefault(variable, "True")
    import litellm

    warnings.filterwarnings("ignore", message=READ_ONLY, category=UserWarning)
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    module: ModuleType = litellm
    return module


def listed_price(info: Mapping[str, Any]) -> Price | None:
    """The price in a model's entry of litellm's list; None if unknown, which is written as 0."""
    prompt, completion = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if not prompt or completion is None:
        return None
    cached, written = (info.get(f"cache_{verb}_input_token_cost") for verb in ("read", "creation"))
    return Price(
        prompt=prompt * 1e6,
        completion=completion * 1e6,
        cached=cached * 1e6 if cached else None,
        written=written * 1e6 if written else None,
    )


def requested_wait(error: Exception) -> float | None:
    """Seconds to wait by the response's ``Retry-After``; None without a usable one."""
    for cause in causes(error):
        headers = getattr(getattr(cause, "response", None), "headers", None) or {}
        seconds = retry_after_seconds(headers.get("retry-after"))
        if seconds is not None:
            return seconds
    return None


def provider_message(error: Exception) -> str:
    """The first line of ``error`` without secrets and without the class names before it."""
    text = str(error).partition("Traceback (most recent")[0]
    first = shown_message(text.partition(" Original exception:")[0])
    return CLASS_NAMES.sub("", first).strip() or type(error).__name__
