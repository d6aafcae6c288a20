"""Models, limits and questions of one analysis by a model, made from the options of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halo_adapters.base import SpanExporterProvider
from halo_adapters.registry import adapter_class
from halo_adapters.transport.addresses import CheckedTransport, check_address
from halo_adapters.transport.client import http_transport
from halo_adapters.transport.encryption import is_plain_remote
from halo_engine.errors import ConfigError
from halo_engine.llm import ChatModel, Limits, Price
from halo_engine.llm.litellm_model import LitellmModel
from halo_engine.llm.negotiation import OnDropped, ignore_dropped
from halo_engine.llm.openai_model import OpenAIModel
from halo_engine.rlm.brief import InvestigationBrief
from halo_engine.rlm.events import OnEvent, ignore_event
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.text.redaction import redact
from halo_integrations.context import Context
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.model import (
    DEFAULT_USD,
    InvestigationOptions,
    ModelSettings,
    code_folder,
    token_prices,
)
from halo_integrations.options.run import AnalyzeOptions

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


@dataclass(frozen=True)
class ModelSetup:
    """One analysis by ``model`` (the root) and ``sub_model`` (everything that reads traces).

    ``on_event`` is called with every step; the spans of the analysis itself go to ``exporter``.
    """

    model: ChatModel
    sub_model: ChatModel
    settings: ModelSettings
    brief: InvestigationBrief
    on_event: OnEvent = ignore_event
    exporter: SpanExporter | None = None

    @property
    def limits(self) -> Limits:
        """What the analysis may use."""
        return limits_of(self.settings)

    @property
    def destination(self) -> str:
        """Where prompts are sent, for display."""
        models = dict.fromkeys((self.model, self.sub_model))
        return " and ".join(getattr(m, "destination", m.name) for m in models)

    def require_price(self) -> None:
        """Raise ``ConfigError`` where a limit in USD cannot be enforced."""
        for model in (self.model, self.sub_model):
            if self.limits.usd is not None and model.price is None:
                raise ConfigError(
                    f"The price of {model.name} is not known, so a budget in USD cannot be "
                    f"enforced. Give --price PROMPT,COMPLETION in USD for a million tokens, or "
                    f"limit it with --token-budget."
                )

    def require_key(self) -> None:
        """Raise ``ConfigError`` where a provider's key is known to be missing."""
        for model in (self.model, self.sub_model):
            require_key_of(model)

    def resume_key(self) -> dict[str, Any]:
        """What an interrupted analysis is recognised by.

        Root causes are the last stage, so they can be requested later.
        """
        brief = {name: value for name, value in vars(self.brief).items() if name != "root_causes"}
        return {"model": self.model.name, "sub_model": self.sub_model.name, **brief}

    def notices(self) -> Iterator[Notice]:
        """What the user should know before the first prompt: the destination and the limits."""
        url = self.settings.model_url
        if url and is_plain_remote(url):
            text = f"{url} is not encrypted: the traces can be read in transit."
            yield Notice(text=text, is_warning=True)
        for model in dict.fromkeys((self.model, self.sub_model)):
            if self.settings.reasoning_effort and not getattr(model, "takes_effort", False):
                text = f"{model.name} takes no reasoning effort: the option has no effect on it."
                yield Notice(text=text, is_warning=True)
        limits = self.limits
        caps = {"USD": limits.usd, "tokens": limits.tokens, "calls": limits.calls}
        most = ", ".join(f"{most:,} {name}" for name, most in caps.items() if most is not None)
        yield Notice(text=f"Traces go to {self.destination}; at most {most}.")

    def feature_notices(self) -> Iterator[Notice]:
        """What is used of each model beside plain text."""
        for model in dict.fromkeys((self.model, self.sub_model)):
            yield Notice(text=f"{model.name}: {used_features(model)}.")


def require_key_of(model: ChatModel) -> None:
    """Raise ``ConfigError`` where the key of the provider of ``model`` is known to be missing."""
    if isinstance(model, LitellmModel) and (variable := model.missing_key):
        raise ConfigError(
            f"There is no key for {model.name}: set the environment variable {variable}. "
            f"Alternatives are --model-url for a server of your own, and --no-llm for the "
            f"detectors alone."
        )


def model_setup(context: Context, options: AnalyzeOptions, source: str) -> ModelSetup:
    """The models that the settings name, which is one at least.

    ``source`` is the adapter that the traces come from. Raises ``ConfigError`` before anything is
    sent: for an address that is refused, and for a price that is not known under a limit in USD.
    """
    settings = context.model_settings.settings
    assert settings.model is not None
    if settings.model_url:
        check_address(settings.model_url)

    def on_dropped(text: str) -> None:
        context.on_notice(Notice(text=text))

    model = chat_model(settings.model, settings, on_dropped)
    sub_model = settings.sub_model and chat_model(settings.sub_model, settings, on_dropped)
    setup = ModelSetup(
        model=model,
        sub_model=sub_model or model,
        settings=settings,
        brief=brief_of(options),
        on_event=options.on_event or ignore_event,
        exporter=span_exporter(context, settings.trace_to, source) if settings.trace_to else None,
    )
    setup.require_price()
    return setup


def chat_model(
    model: str | ChatModel, settings: ModelSettings, on_dropped: OnDropped = ignore_dropped
) -> ChatModel:
    """The model called ``model``; one that is a ``ChatModel`` already is returned as it is.

    ``on_dropped`` gets a sentence about what its provider turns out not to have.
    """
    if not isinstance(model, str):
        return model
    options: dict[str, Any] = {
        "price": configured_price(settings),
        "window": settings.window,
        "timeout": settings.call_timeout,
        "reasoning_effort": settings.reasoning_effort,
        "on_dropped": on_dropped,
    }
    if settings.model_url is None:
        return LitellmModel(model, **options)
    return OpenAIModel(
        model,
        base_url=settings.model_url,
        api_key=settings.model_api_key,
        transport=CheckedTransport(http_transport()),
        **options,
    )


def brief_of(options: InvestigationOptions) -> InvestigationBrief:
    """What the model is asked to look for; ``ConfigError`` for files that cannot be read."""
    code = code_folder(options)
    return InvestigationBrief(
        question=options.question and redact(options.question),
        background=background_text(options.background),
        root_causes=options.root_causes,
        code=str(code) if code else None,
    )


def background_text(background: str | Path | None) -> str | None:
    """The text, or that of the file; ``ConfigError`` where the file cannot be read."""
    if not isinstance(background, Path):
        return background and redact(background)
    try:
        return redact(background.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The background {background} cannot be read as text: {error}."
        ) from error


def configured_price(settings: ModelSettings) -> Price | None:
    """The price in ``settings``, None where litellm's own is to be used."""
    if settings.price is None:
        return None
    prompt, completion, cached = token_prices(settings.price)
    return Price(prompt=prompt, completion=completion, cached=cached)


def limits_of(settings: ModelSettings) -> Limits:
    """What a run may use; cost is always limited, in USD or in tokens."""
    return Limits(
        usd=settings.budget if settings.budget or settings.token_budget else DEFAULT_USD,
        tokens=settings.token_budget,
        calls=settings.max_calls,
        turns=settings.max_turns,
        seconds=settings.max_seconds,
    )


def span_exporter(context: Context, platform: str, source: str) -> SpanExporter:
    """The exporter that sends spans to ``platform``, which ``ModelSettings`` has checked.

    Settings that the caller gave are those of the adapter ``source``, where that has them: the
    address and key of one platform are never used for another.
    """
    settings = context.exporter_settings(platform, source).settings
    adapter = adapter_class(platform)(settings)
    assert isinstance(adapter, SpanExporterProvider)
    return adapter.span_exporter()


def used_features(model: ChatModel) -> str:
    """What is used of ``model`` beside plain text."""
    return str(getattr(model, "features", "plain text"))


def open_sandbox(name: str) -> Sandbox:
    """The sandbox called ``name``, imported here since not every machine has each.

    Raises ``ConfigError`` where it cannot run on this machine.
    """
    if name == "bubblewrap":
        from halo_engine.rlm.sandbox.bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox()
    try:
        from halo_engine.rlm.sandbox.monty import MontySandbox
    except ImportError as error:
        raise ConfigError(
            "There is no sandbox for this machine, and a model's code never runs outside of one: "
            "pydantic-monty has wheels for Linux (glibc), macOS and Windows. Alternatives are "
            f"--sandbox bubblewrap (Linux), and --no-llm for the detectors alone. ({error})"
        ) from error
    return MontySandbox()
