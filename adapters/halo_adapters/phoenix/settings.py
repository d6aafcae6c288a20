"""Settings of the Phoenix adapter."""

from __future__ import annotations

from pydantic import Field, SecretStr

from halo_engine.schema import FrozenModel

DEFAULT_BASE_URL = "http://localhost:6006"
DEFAULT_PROJECT = "default"


class PhoenixSettings(FrozenModel):
    """Address, credentials, project and time-outs (in seconds) of a Phoenix server."""

    base_url: str = Field(
        DEFAULT_BASE_URL,
        description="Address of the Phoenix server.",
        json_schema_extra={"env": ["PHOENIX_BASE_URL", "PHOENIX_COLLECTOR_ENDPOINT"]},
    )
    api_key: SecretStr | None = Field(
        None,
        description="API key, where the server asks for one.",
        json_schema_extra={"env": ["PHOENIX_API_KEY"]},
    )
    client_headers: SecretStr | None = Field(
        None,
        description="More headers for every request: name=value,name=value.",
        json_schema_extra={"env": ["PHOENIX_CLIENT_HEADERS"]},
    )
    project: str = Field(
        DEFAULT_PROJECT,
        description="Project to read, by name or id.",
        json_schema_extra={"env": ["PHOENIX_PROJECT_NAME", "PHOENIX_PROJECT"]},
    )
    timeout: float = Field(60.0, gt=0, description="How long one answer may take.")
    retry_timeout: float = Field(120.0, gt=0, description="How long one request is tried in all.")
