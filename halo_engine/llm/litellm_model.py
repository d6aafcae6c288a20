"""A chat model over litellm: its providers, and servers with OpenAI's chat completions API.

litellm is imported at the first call, because the import takes seconds. ``import_litellm`` keeps it
from downloading its price list and from sending telemetry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any

from pydantic import SecretStr

from halo_engine.errors import ModelBusy, ModelFailed, PromptTooLong
from halo_engine.llm.chat import ChatMessage, Completion, Price, TokenUsage
from halo_engine.retry_after import retry_after_seconds
from halo_engine.text.secrets import redact

TIMEOUT_SECONDS = 300.0
UNKNOWN_WINDOW = 32_000
NO_KEY = "none"

# Names of exception classes that litellm puts before the provider's message.
CLASS_NAMES = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)\s*(?:: |- ))+")

# Transient statuses below 500; the other statuses from 400 to 499 are final.
BUSY = frozenset({408, 409, 425, 429})
FORBIDDEN = frozenset({401, 403})
NOT_FOUND = 404
TOO_LARGE = 413


class LitellmModel:
    """The model ``name``, written as litellm does: ``provider/model``.

    With ``base_url`` it is a model on a server with OpenAI's API; only ``api_key`` is sent there,
    never a provider's key from the environment. ``price`` and ``window`` (tokens) override
    litellm's own list. ``timeout`` is in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        price: Price | None = None,
        window: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._litellm: ModuleType | None = None
        self._has_answered = False
        listed = {} if price and window else self._model_info()
        self.price = price or listed_price(listed)
        self.window = window or int(listed.get("max_input_tokens") or UNKNOWN_WINDOW)

    @property
    def destination(self) -> str:
        """Where prompts are sent, to be shown before the first one is."""
        return self._base_url or f"the provider of {self.name}"

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        """See ``ChatModel``."""
        litellm = self._module()
        try:
            answer = litellm.completion(
                model=self._litellm_name(),
                messages=[m.model_dump() for m in messages],
                max_tokens=max_tokens,
                timeout=self._timeout,
                base_url=self._base_url,
                api_key=self._key(),
                client=self._client,
                num_retries=0,
                max_retries=0,
                drop_params=True,
            )
        except Exception as error:
            raise self._translated(error) from error
        self._has_answered = True
        return parsed_completion(answer.model_dump(warnings=False))

    @cached_property
    def _client(self) -> Any:
        """An OpenAI client for ``base_url`` that follows no redirect with the prompts and the key."""
        if self._base_url is None:
            return None
        import openai

        return openai.OpenAI(
            base_url=self._base_url,
            api_key=self._key(),
            timeout=self._timeout,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        )

    def _litellm_name(self) -> str:
        """The name that makes litellm use the right API; a server at ``base_url`` has OpenAI's."""
        return f"openai/{self.name.removeprefix('openai/')}" if self._base_url else self.name

    def _key(self) -> str | None:
        if self._api_key:
            return self._api_key.get_secret_value()
        return NO_KEY if self._base_url else None

    def _module(self) -> ModuleType:
        if self._litellm is None:
            self._litellm = import_litellm()
        return self._litellm

    def _model_info(self) -> Mapping[str, Any]:
        """The model's entry in litellm's list; empty if it has none."""
        if self._base_url:
            return {}
        try:
            info: Mapping[str, Any] = self._module().get_model_info(self.name)
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a name not on its list
            return {}
        return info

    def _translated(self, error: Exception) -> ModelFailed:
        """``error`` as an exception of this package that names the model and what to do."""
        status = refusal_status(error)
        what = f"{self.name} at {self.destination}"
        message = provider_message(error)
        if self._base_url and not self._has_answered and is_unsent(error):
            return ModelFailed(
                f"Nothing answers at {self._base_url}: is the server running, and is this its "
                f"address (--model-url)? ({message})"
            )
        if status is None or status in BUSY or status >= 500:
            busy = f"{what} did not answer: {message}"
            return ModelBusy(
                busy, retry_after=requested_wait(error), maybe_billed=may_be_billed(error)
            )
        if status == TOO_LARGE or type(error).__name__ == "ContextWindowExceededError":
            return PromptTooLong(f"The request is too long for {what}: {message}")
        if status in FORBIDDEN:
            return ModelFailed(
                f"{what} does not accept the key. Set the provider's own variable, or "
                f"HALO_MODEL_API_KEY for --model-url. ({message})"
            )
        if status == NOT_FOUND:
            return ModelFailed(
                f"There is no model {what}: check --model and --model-url. ({message})"
            )
        return ModelFailed(f"{what} refuses the request: {message}")


def refusal_status(error: BaseException) -> int | None:
    """The HTTP status of the provider's refusal; None if there was no complete response.

    litellm sets a status of 500 on errors of its own as well: one counts only if it came over HTTP.
    """
    status = getattr(error, "status_code", None)
    over_http = any(type(e).__name__ == "HTTPStatusError" for e in causes(error))
    return status if isinstance(status, int) and (over_http or status < 500) else None


def may_be_billed(error: BaseException) -> bool:
    """Whether the request was sent, and may have been processed, but got no complete response."""
    return refusal_status(error) is None and not is_unsent(error)


def is_unsent(error: BaseException) -> bool:
    """Whether no connection to the server was made."""
    return any(type(e).__name__ in ("ConnectError", "ConnectTimeout") for e in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and its chain of causes or contexts."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def import_litellm() -> ModuleType:
    """litellm, with the download of its price list, its telemetry and its printing switched off."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    module: ModuleType = litellm
    return module


def listed_price(info: Mapping[str, Any]) -> Price | None:
    """The price in a model's entry of litellm's list; None if unknown, which is written as 0."""
    prompt, completion = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if not prompt or completion is None:
        return None
    return Price(prompt=prompt * 1e6, completion=completion * 1e6)


def parsed_completion(answer: Mapping[str, Any]) -> Completion:
    """A response of the chat completions API; one without choices has an empty text."""
    choice: Mapping[str, Any] = next(iter(answer.get("choices") or ()), {})
    message = choice.get("message") or {}
    return Completion(
        text=message.get("content") or "",
        usage=parsed_usage(answer.get("usage") or {}),
        finish_reason=choice.get("finish_reason"),
    )


def parsed_usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    """The token counts of a response; None if they are not integers."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return TokenUsage(prompt=prompt, completion=completion, cached=cached)


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
    lines = redact(str(error)).splitlines() or [type(error).__name__]
    return CLASS_NAMES.sub("", lines[0])[:300] or type(error).__name__
