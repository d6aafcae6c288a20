"""Settings of the Langfuse adapter."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, SecretStr

from halo_engine.schema import FrozenModel

DEFAULT_BASE_URL = "https://cloud.langfuse.com"


class ReadApi(StrEnum):
    """The endpoints to read through."""

    AUTO = "auto"
    V2 = "v2"
    LEGACY = "legacy"


class Plan(StrEnum):
    """The plans of Langfuse Cloud, which have different rate limits."""

    HOBBY = "hobby"
    CORE = "core"
    PRO = "pro"
    TEAM = "team"
    ENTERPRISE = "enterprise"


class LangfuseSettings(FrozenModel):
    """Address, keys, project and limits of a Langfuse server. Times in seconds."""

    base_url: str = Field(
        DEFAULT_BASE_URL,
        description="Address of the Langfuse server, as you open it in the browser.",
        json_schema_extra={"env": ["LANGFUSE_BASE_URL", "LANGFUSE_HOST"]},
    )
    public_key: str | None = Field(
        None,
        description="Public key of the project (pk-lf-...).",
        json_schema_extra={"env": ["LANGFUSE_PUBLIC_KEY"]},
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Secret key of the project (sk-lf-...).",
        json_schema_extra={"env": ["LANGFUSE_SECRET_KEY"]},
    )
    project: str | None = Field(
        None,
        description="Refuse to work on any other project than this one, by name or id.",
        json_schema_extra={"env": ["LANGFUSE_PROJECT"]},
    )
    api: ReadApi = Field(
        ReadApi.AUTO,
        description="How to read: v2 (Cloud, self-hosted v4), legacy (self-hosted v3), or auto.",
        json_schema_extra={"env": ["LANGFUSE_API"]},
    )
    plan: Plan | None = Field(
        None,
        description="Plan on Langfuse Cloud: requests are kept below its limits from the start.",
        json_schema_extra={"env": ["LANGFUSE_PLAN"]},
    )
    timeout: float = Field(60.0, gt=0, description="How long one answer may take.")
    retry_timeout: float = Field(300.0, gt=0, description="How long one request is tried in all.")
