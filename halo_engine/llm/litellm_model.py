"""Any model that litellm knows, and any server that speaks OpenAI's chat completions.

litellm is imported at the first call: that takes seconds, and by itself it would fetch a list of
prices from the network.
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
from halo_engine.text.secrets import redact

TIMEOUT_SECONDS = 300.0
UNKNOWN_WINDOW = 32_000
NO_KEY = "none"

# What litellm puts before the words of a provider.
CLASS_NAMES = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)\s*(?:: |- ))+")

# Statuses that say: not now. Others of 400 and more say: never.
BUSY = frozenset({408, 409, 425, 429})
FORBIDDEN = frozenset({401, 403})
NOT_FOUND = 404
TOO_LARGE = 413


class LitellmModel:
    """``name`` as litellm writes it, ``provider/model``.

    With ``base_url`` it is the name of a model on a server that speaks OpenAI's protocol, and only
    ``api_key`` is sent there, never a provider's key out of the environment. ``price`` and
    ``window`` stand in for what litellm does not know.
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
        known = {} if price and window else self._known()
        self.price = price or price_of(known)
        self.window = window or int(known.get("max_input_tokens") or UNKNOWN_WINDOW)

    @property
    def destination(self) -> str:
        """Where the prompts go, for people to see before the first one does."""
        return self._base_url or f"the provider of {self.name}"

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        """See ``ChatModel``."""
        litellm = self._imported()
        try:
            answer = litellm.completion(
                model=self._routed(),
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
            raise self._named(error) from error
        self._has_answered = True
        return completion_of(answer.model_dump(warnings=False))

    @cached_property
    def _client(self) -> Any:
        """For a server of one's own: it may not send prompts and key on to somewhere else."""
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

    def _routed(self) -> str:
        """The name with which litellm finds the way; an own server is spoken to as OpenAI's."""
        return f"openai/{self.name.removeprefix('openai/')}" if self._base_url else self.name

    def _key(self) -> str | None:
        if self._api_key:
            return self._api_key.get_secret_value()
        return NO_KEY if self._base_url else None

    def _imported(self) -> ModuleType:
        if self._litellm is None:
            self._litellm = import_litellm()
        return self._litellm

    def _known(self) -> Mapping[str, Any]:
        """What litellm's own list says of the model; nothing where it does not know it."""
        if self._base_url:
            return {}
        try:
            known: Mapping[str, Any] = self._imported().get_model_info(self.name)
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a name not on its list
            return {}
        return known

    def _named(self, error: Exception) -> ModelFailed:
        """``error`` as one of ours: what, where, and what to do."""
        status = refused_with(error)
        what = f"{self.name} at {self.destination}"
        said = first_line(error)
        if self._base_url and not self._has_answered and is_unsent(error):
            return ModelFailed(
                f"Nothing answers at {self._base_url}: is the server running, and is this its "
                f"address (--model-url)? ({said})"
            )
        if status is None or status in BUSY or status >= 500:
            busy = f"{what} did not answer: {said}"
            return ModelBusy(busy, retry_after=retry_after(error), maybe_billed=was_sent(error))
        if status == TOO_LARGE or type(error).__name__ == "ContextWindowExceededError":
            return PromptTooLong(f"The request is too long for {what}: {said}")
        if status in FORBIDDEN:
            return ModelFailed(
                f"{what} does not accept the key. Set the provider's own variable, or "
                f"HALO_MODEL_API_KEY for --model-url. ({said})"
            )
        if status == NOT_FOUND:
            return ModelFailed(f"There is no model {what}: check --model and --model-url. ({said})")
        return ModelFailed(f"{what} refuses the request: {said}")


def refused_with(error: BaseException) -> int | None:
    """The HTTP status of the provider's refusal; None where no answer, or half of one, came.

    litellm names a status of 500 for all sorts of errors: only one that came over HTTP counts.
    """
    status = getattr(error, "status_code", None)
    answered = any(type(e).__name__ == "HTTPStatusError" for e in chain(error))
    return status if isinstance(status, int) and (answered or status < 500) else None


def was_sent(error: BaseException) -> bool:
    """Whether somebody may have worked on the request although no answer came."""
    return refused_with(error) is None and not is_unsent(error)


def is_unsent(error: BaseException) -> bool:
    """Whether there was nobody to send the request to."""
    return any(type(e).__name__ in ("ConnectError", "ConnectTimeout") for e in chain(error))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what it was made from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def import_litellm() -> ModuleType:
    """litellm with its network price list, its telemetry and its printing off."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    module: ModuleType = litellm
    return module


def price_of(known: Mapping[str, Any]) -> Price | None:
    """The price in litellm's list; it writes 0 where it does not know."""
    prompt, completion = known.get("input_cost_per_token"), known.get("output_cost_per_token")
    if not prompt or completion is None:
        return None
    return Price(prompt=prompt * 1e6, completion=completion * 1e6)


def completion_of(answer: Mapping[str, Any]) -> Completion:
    """The answer's text and usage; an answer without choices is empty text."""
    choice: Mapping[str, Any] = next(iter(answer.get("choices") or ()), {})
    message = choice.get("message") or {}
    return Completion(
        text=message.get("content") or "",
        usage=usage_of(answer.get("usage") or {}),
        finish_reason=choice.get("finish_reason"),
    )


def usage_of(usage: Mapping[str, Any]) -> TokenUsage | None:
    """Token counts, None where they are not numbers."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return TokenUsage(prompt=prompt, completion=completion, cached=cached)


def retry_after(error: Exception) -> float | None:
    """The ``Retry-After`` of the answer in seconds, where it gives a number."""
    for each in chain(error):
        headers = getattr(getattr(each, "response", None), "headers", None) or {}
        value = str(headers.get("retry-after", ""))
        if value.replace(".", "", 1).isdecimal():
            return float(value)
    return None


def first_line(error: Exception) -> str:
    """The first line of an error, without the names of classes before it."""
    lines = redact(str(error)).splitlines() or [type(error).__name__]
    return CLASS_NAMES.sub("", lines[0])[:300] or type(error).__name__
