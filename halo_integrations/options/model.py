"""Options of an analysis by a model: the models, their limits, and what to look for."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, SkipValidation, field_validator

from halo_adapters.registry import names_with_span_exporter, unusable_platforms
from halo_engine.errors import ConfigError
from halo_engine.schema import FrozenModel
from halo_integrations.options.declaration import option

if TYPE_CHECKING:
    from halo_engine.llm import ChatModel
else:
    # Importing the engine's client for a type would slow down ``--help``.
    ChatModel = Any

DEFAULT_USD = 5.0
DAILY_USD = 1.0

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class ModelAccess(FrozenModel):
    """The models, and how they are reached.

    ``model`` and ``sub_model`` are names as litellm writes them; Python callers can give objects
    with ``complete(messages, max_tokens=...)`` instead.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Annotated[str | ChatModel | None, SkipValidation] = Field(
        default=None,
        description="Also analyse with this model: provider/name, as litellm writes it.",
        json_schema_extra=option("--model", env=["HALO_MODEL"], metavar="NAME"),
    )
    sub_model: Annotated[str | ChatModel | None, SkipValidation] = Field(
        default=None,
        description="A cheaper model to read traces [--model].",
        json_schema_extra=option("--sub-model", env=["HALO_SUB_MODEL"], metavar="NAME"),
    )
    model_url: str | None = Field(
        default=None,
        description="Base URL of a server with OpenAI's chat completions API.",
        json_schema_extra=option("--model-url", env=["HALO_MODEL_URL"], metavar="URL"),
    )
    model_api_key: SecretStr | None = Field(
        default=None,
        description="API key for model_url; other providers read their own variable.",
        json_schema_extra=option(env=["HALO_MODEL_API_KEY"]),
    )
    price: str | None = Field(
        default=None,
        description="USD per million prompt, completion and cached tokens, if litellm has no price.",
        json_schema_extra=option("--price", env=["HALO_PRICE"], metavar="IN,OUT[,CACHED]"),
    )
    window: int | None = Field(
        default=None,
        gt=1000,
        description="Context window in tokens, where litellm does not know it.",
        json_schema_extra=option(env=["HALO_WINDOW"]),
    )
    reasoning_effort: ReasoningEffort | None = Field(
        default=None,
        description="How much the models reason before they answer, where they do.",
        json_schema_extra=option(
            "--reasoning-effort", env=["HALO_REASONING_EFFORT"], metavar="EFFORT"
        ),
    )
    parallel: int = Field(
        default=16,
        gt=0,
        description="Concurrent calls per model.",
        json_schema_extra=option(env=["HALO_PARALLEL"]),
    )
    retry_timeout: float = Field(
        default=120.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds to retry a provider that is overloaded.",
        json_schema_extra=option(env=["HALO_RETRY_TIMEOUT", "HALO_PATIENCE"]),
    )
    call_timeout: float = Field(
        default=300.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that one model call may take.",
        json_schema_extra=option(env=["HALO_CALL_TIMEOUT"]),
    )

    @field_validator("model", "sub_model")
    @classmethod
    def _is_model(cls, model: Any) -> Any:
        missing = [n for n in ("name", "window", "price", "complete") if not hasattr(model, n)]
        if model is not None and not isinstance(model, str) and missing:
            raise ValueError(
                f"it is a name, or an object with name, window, price and complete(); a "
                f"{type(model).__name__} has no {missing[0]}"
            )
        return model

    @field_validator("price")
    @classmethod
    def _is_price(cls, text: str | None) -> str | None:
        if text is not None:
            token_prices(text)
        return text


class ModelSettings(ModelAccess):
    """The models and the limits of an analysis: the table ``model`` of the configuration file."""

    budget: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description=f"Most that the models may cost [{DEFAULT_USD:g}, unless --token-budget].",
        json_schema_extra=option("--budget", env=["HALO_BUDGET"], metavar="USD"),
    )
    token_budget: int | None = Field(
        default=None,
        gt=0,
        description="Most tokens that the models may use.",
        json_schema_extra=option("--token-budget", env=["HALO_TOKEN_BUDGET"], metavar="N"),
    )
    max_calls: int | None = Field(
        default=None,
        gt=0,
        description="Most model calls in a run.",
        json_schema_extra=option(env=["HALO_MAX_CALLS"]),
    )
    max_turns: int = Field(
        default=40,
        gt=0,
        description="Most turns of the model [40].",
        json_schema_extra=option("--max-turns", env=["HALO_MAX_TURNS"], metavar="N"),
    )
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Seconds after which no further call is made.",
        json_schema_extra=option(env=["HALO_MAX_SECONDS"]),
    )
    sandbox: Literal["monty", "bubblewrap"] = Field(
        default="monty",
        description="Sandbox for the model's code; bubblewrap (Linux) has all of Python [monty].",
        json_schema_extra=option("--sandbox", env=["HALO_SANDBOX"]),
    )
    trace_to: str | None = Field(
        default=None,
        description="Export the spans of this analysis to this platform, to a project of their own.",
        json_schema_extra=option("--trace-to", env=["HALO_TRACE_TO"], metavar="PLATFORM"),
    )

    @field_validator("trace_to")
    @classmethod
    def _takes_spans(cls, platform: str | None) -> str | None:
        if platform is not None and platform not in (known := names_with_span_exporter()):
            why = " ".join(["", *unusable_platforms()])
            raise ValueError(f"spans can be exported to {', '.join(known)}.{why}".removesuffix("."))
        return platform


class CodeOptions(FrozenModel):
    """Where the agent's source code is."""

    code: Path | None = Field(
        default=None,
        description="The agent's source code, to look up places and causes in (read-only).",
        json_schema_extra=option("--code", metavar="FOLDER"),
    )


class WatchSettings(FrozenModel):
    """What the questions of known issues may take: the table ``watch`` of the configuration file."""

    daily_budget: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Most that questions of all watches of a day (UTC) may cost "
        f"[{DAILY_USD:g}, unless --daily-token-budget].",
        json_schema_extra=option("--daily-budget", env=["HALO_DAILY_BUDGET"], metavar="USD"),
    )
    daily_token_budget: int | None = Field(
        default=None,
        gt=0,
        description="Most tokens that questions of all watches of a day (UTC) may use.",
        json_schema_extra=option(
            "--daily-token-budget", env=["HALO_DAILY_TOKEN_BUDGET"], metavar="N"
        ),
    )
    judge_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of the new traces, at random, that questions are put about [0.1].",
        json_schema_extra=option("--judge-share", env=["HALO_JUDGE_SHARE"], metavar="SHARE"),
    )


class InvestigationOptions(CodeOptions):
    """What a model is asked to look for; part of a request, not of the settings.

    ``background`` is a text, or the ``Path`` of a file with it.
    """

    question: str | None = Field(
        default=None,
        description="What you want to know most.",
        json_schema_extra=option("--question", metavar="TEXT"),
    )
    background: str | Path | None = Field(
        default=None,
        description="File that describes what the agent is for, and what counts as success.",
        json_schema_extra=option("--context", metavar="FILE", reads_file=True),
    )
    root_causes: bool = Field(
        default=False,
        description="Also mark the step at which each failed trace went wrong.",
        json_schema_extra=option("--root-causes"),
    )


def token_prices(text: str) -> tuple[float, float, float | None]:
    """``PROMPT,COMPLETION`` or ``PROMPT,COMPLETION,CACHED`` as USD per million tokens.

    The last one is for tokens of the prompt from the provider's cache, None where it is not given.
    Raises ``ValueError``.
    """
    wanted = (
        "write two numbers, USD for a million tokens of prompt and of completion, and a third for "
        "cached ones where they are cheaper: 3,15 or 3,15,0.3"
    )
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(wanted) from error
    if len(numbers) not in (2, 3) or not all(0 <= number < inf for number in numbers):
        raise ValueError(wanted)
    prompt, completion, *cached = numbers
    return prompt, completion, cached[0] if cached else None


def code_folder(options: CodeOptions) -> Path | None:
    """The folder with the agent's code, if it is given; ``ConfigError`` where it is not there."""
    if options.code and not options.code.is_dir():
        raise ConfigError(f"The folder {options.code} of the agent's code (code) is not there.")
    return options.code.resolve() if options.code else None
