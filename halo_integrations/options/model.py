"""The model's part of a run: which model, within which limits, asked what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field, SecretStr, field_validator

from halo_adapters.base import HealthCheck, HealthStatus
from halo_adapters.transport.http import check_address, is_plain_remote
from halo_engine.errors import ConfigError, SandboxLost
from halo_engine.llm import ChatModel, Limits, Price
from halo_engine.llm.litellm_model import LitellmModel
from halo_engine.rlm.events import OnEvent, ignore_event
from halo_engine.rlm.investigation import InvestigationBrief
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.schema import FrozenModel

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

DEFAULT_USD = 5.0


class ModelSettings(FrozenModel):
    """The model and its limits, in the table ``model`` of the configuration file."""

    model: str | None = Field(
        None,
        description="Model that leads the analysis, as litellm names it: provider/name.",
        json_schema_extra={"env": ["HALO_MODEL"]},
    )
    sub_model: str | None = Field(
        None,
        description="Model that reads traces; a cheaper one will do [the same].",
        json_schema_extra={"env": ["HALO_SUB_MODEL"]},
    )
    model_url: str | None = Field(
        None,
        description="Address of a server of your own that speaks OpenAI's chat completions.",
        json_schema_extra={"env": ["HALO_MODEL_URL"]},
    )
    model_api_key: SecretStr | None = Field(
        None,
        description="Key for model_url; other providers take theirs from their own variable.",
        json_schema_extra={"env": ["HALO_MODEL_API_KEY"]},
    )
    price: str | None = Field(
        None,
        description="USD for a million tokens, PROMPT,COMPLETION, of a model that litellm "
        "does not know.",
        json_schema_extra={"env": ["HALO_PRICE"]},
    )
    window: int | None = Field(
        None,
        gt=1000,
        description="Tokens that the model takes, where litellm does not know it.",
        json_schema_extra={"env": ["HALO_WINDOW"]},
    )
    budget: float | None = Field(
        None,
        gt=0,
        description=f"USD that a run may cost [{DEFAULT_USD:g}, unless token_budget is given].",
        json_schema_extra={"env": ["HALO_BUDGET"]},
    )
    token_budget: int | None = Field(
        None,
        gt=0,
        description="Tokens that a run may use.",
        json_schema_extra={"env": ["HALO_TOKEN_BUDGET"]},
    )
    max_calls: int | None = Field(
        None,
        gt=0,
        description="Calls of models that a run may make.",
        json_schema_extra={"env": ["HALO_MAX_CALLS"]},
    )
    trace_to: Literal["phoenix"] | None = Field(
        None,
        description="Send the spans of the analysis itself to this platform.",
        json_schema_extra={"env": ["HALO_TRACE_TO"]},
    )
    sandbox: Literal["monty", "bubblewrap"] = Field(
        "monty",
        description="Where the model's code runs; bubblewrap (Linux) has all of Python.",
        json_schema_extra={"env": ["HALO_SANDBOX"]},
    )
    max_turns: int = Field(
        40,
        gt=0,
        description="Turns of the leading model.",
        json_schema_extra={"env": ["HALO_MAX_TURNS"]},
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="Seconds after which no further call is made.",
        json_schema_extra={"env": ["HALO_MAX_SECONDS"]},
    )
    parallel: int = Field(
        16,
        gt=0,
        description="Calls of one model at once.",
        json_schema_extra={"env": ["HALO_PARALLEL"]},
    )
    retry_timeout: float = Field(
        120.0,
        ge=0,
        description="Seconds to go on asking a provider that is busy.",
        json_schema_extra={"env": ["HALO_RETRY_TIMEOUT", "HALO_PATIENCE"]},
    )
    call_timeout: float = Field(
        300.0,
        gt=0,
        description="Seconds that one answer of a model may take.",
        json_schema_extra={"env": ["HALO_CALL_TIMEOUT"]},
    )

    @field_validator("price")
    @classmethod
    def _is_price(cls, text: str | None) -> str | None:
        if text is not None:
            price_of(text)
        return text

    @property
    def limits(self) -> Limits:
        """What a run may use; some limit on what it costs there always is."""
        usd = self.budget if self.budget or self.token_budget else DEFAULT_USD
        return Limits(
            usd=usd,
            tokens=self.token_budget,
            calls=self.max_calls,
            turns=self.max_turns,
            seconds=self.max_seconds,
        )


# A cheap model of each provider, by the variable that holds its key.
MODELS_BY_KEY = {
    "OPENAI_API_KEY": "openai/gpt-5-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-chat",
}


def model_by_key(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable with a provider's key that is set, and a cheap model of that provider."""
    found = (item for item in MODELS_BY_KEY.items() if environment.get(item[0]))
    return next(found, None)


class Estimate(FrozenModel):
    """About what an analysis takes: ``usd`` is None without a known price.

    ``reached`` of ``traces`` traces can be read one by one within the limits.
    """

    traces: int
    reached: int
    calls: int
    tokens: int
    usd: float | None
    explore_tokens: int
    limits: Limits


class Analyst:
    """Models, limits and question of one analysis.

    ``model`` leads, ``sub_model`` reads traces. ``on_event`` is told of every step; the spans of
    the analysis itself go to ``exporter``.
    """

    def __init__(
        self,
        model: ChatModel,
        sub_model: ChatModel | None = None,
        *,
        settings: ModelSettings | None = None,
        brief: InvestigationBrief | None = None,
        on_event: OnEvent = ignore_event,
        exporter: SpanExporter | None = None,
    ) -> None:
        self.exporter = exporter
        self.model = model
        self.sub_model = sub_model or model
        self.settings = settings or ModelSettings()
        self.brief = brief or InvestigationBrief()
        self.on_event = on_event

    @property
    def destination(self) -> str:
        """Where prompts go, in words."""
        models = dict.fromkeys((self.model, self.sub_model))
        return " and ".join(getattr(m, "destination", m.name) for m in models)

    def require_price(self) -> None:
        """Refuse a limit in USD that could not be kept."""
        for model in (self.model, self.sub_model):
            if self.settings.limits.usd is not None and model.price is None:
                raise ConfigError(
                    f"The price of {model.name} is not known, so a budget in USD cannot be kept. "
                    f"Give --price PROMPT,COMPLETION in USD for a million tokens, or limit it with "
                    f"--token-budget."
                )

    def asked(self) -> dict[str, Any]:
        """What an analysis that was cut off is recognised by.

        Root causes are looked for behind it, so they can be asked for later.
        """
        brief = {name: said for name, said in self.brief.__dict__.items() if name != "root_causes"}
        return {"model": self.model.name, "sub_model": self.sub_model.name, **brief}


def analyst_of(
    settings: ModelSettings,
    brief: InvestigationBrief,
    on_event: OnEvent = ignore_event,
    *,
    model: ChatModel | None = None,
    sub_model: ChatModel | None = None,
    exporter: SpanExporter | None = None,
) -> Analyst | None:
    """The analyst that ``settings`` name, with models of the caller's own where given.

    None where there is no model.
    """
    if settings.model_url:
        check_address(settings.model_url)
    lead = model or (chat_model(settings.model, settings) if settings.model else None)
    if lead is None:
        return None
    reader = sub_model or (chat_model(settings.sub_model, settings) if settings.sub_model else None)
    return Analyst(
        lead, reader, settings=settings, brief=brief, on_event=on_event, exporter=exporter
    )


def chat_model(name: str, settings: ModelSettings) -> LitellmModel:
    """The model ``name``."""
    return LitellmModel(
        name,
        base_url=settings.model_url,
        api_key=settings.model_api_key,
        price=price_of(settings.price) if settings.price else None,
        window=settings.window,
        timeout=settings.call_timeout,
    )


def price_of(text: str) -> Price:
    """``PROMPT,COMPLETION`` as a price."""
    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(
            "write two numbers, USD for a million tokens of prompt and of completion: 3,15"
        ) from error
    return Price(prompt=prompt, completion=completion)


def warnings_of(settings: ModelSettings) -> list[str]:
    """What the user should know before the first prompt."""
    if settings.model_url and is_plain_remote(settings.model_url):
        return [f"{settings.model_url} is not encrypted: the traces can be read on the way."]
    return []


def sandbox(name: str) -> Sandbox:
    """Where the model's code runs; imported here, since it is not there on every machine."""
    if name == "bubblewrap":
        from halo_engine.rlm.sandbox.bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox()
    try:
        from halo_engine.rlm.sandbox.monty import MontySandbox
    except ImportError as error:
        raise ConfigError(
            "There is no sandbox for this machine, and a model's code never runs outside of one: "
            "pydantic-monty has wheels for Linux (glibc), macOS and Windows. Without it there is "
            f"--sandbox bubblewrap (Linux), and --no-llm for the detectors alone. ({error})"
        ) from error
    return MontySandbox()


def as_json(value: Any) -> str:
    """``value`` as JSON with its keys in order, to compare."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


# 1.82.7, 1.82.8 and 1.107.0 were compromised releases; 1.106.0 to 1.106.2 crash.
BAD_LITELLM = re.compile(r"1\.82\.[78]|1\.106\.[0-2]|1\.107\..*")


def checks(settings: ModelSettings) -> Iterator[HealthCheck]:
    """What an analysis by the model in ``settings`` needs; nothing where there is no model."""
    if not settings.model:
        return
    yield check_litellm(version("litellm"))
    yield check_price(settings)
    yield check_sandbox(settings.sandbox)


def check_litellm(installed: str) -> HealthCheck:
    """Whether the installed litellm is one to be used."""
    if BAD_LITELLM.fullmatch(installed):
        return HealthCheck(
            what="litellm",
            status=HealthStatus.FAILED,
            found=f"{installed} is a compromised or broken release",
            fix="pip install --upgrade litellm, and change the keys that it could read.",
        )
    return HealthCheck(what="litellm", status=HealthStatus.OK, found=installed)


def check_price(settings: ModelSettings) -> HealthCheck:
    """Whether the budget can be kept."""
    try:
        analyst = analyst_of(settings, InvestigationBrief())
        assert analyst is not None
        analyst.require_price()
    except ConfigError as error:
        return HealthCheck(what="model", status=HealthStatus.FAILED, found=str(error))
    found = f"{settings.model}, prompts go to {analyst.destination}"
    return HealthCheck(what="model", status=HealthStatus.OK, found=found)


def check_sandbox(name: str) -> HealthCheck:
    """Whether code can run."""
    try:
        box = sandbox(name)
        step = box.run("1 + 1", {})
        box.close()
    except (ConfigError, SandboxLost) as error:
        return HealthCheck(what="sandbox", status=HealthStatus.FAILED, found=str(error))
    works = step.output.strip() == "2"
    status = HealthStatus.OK if works else HealthStatus.FAILED
    found = f"{name} runs code" if works else str(step.error)
    return HealthCheck(what="sandbox", status=status, found=found)
