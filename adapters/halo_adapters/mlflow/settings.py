"""Settings of the MLflow adapter."""

from __future__ import annotations

from pydantic import Field, SecretStr

from halo_engine.schema import FrozenModel

DEFAULT_PROJECT = "Default"


class MLflowSettings(FrozenModel):
    """Address, credentials, experiment and time-outs (in seconds) of an MLflow server."""

    base_url: str | None = Field(
        None,
        description="Address of the MLflow server.",
        json_schema_extra={"env": ["MLFLOW_TRACKING_URI"]},
    )
    username: str | None = Field(
        None,
        description="User name, where the server asks for one.",
        json_schema_extra={"env": ["MLFLOW_TRACKING_USERNAME"]},
    )
    password: SecretStr | None = Field(
        None,
        description="Password of the user.",
        json_schema_extra={"env": ["MLFLOW_TRACKING_PASSWORD"]},
    )
    token: SecretStr | None = Field(
        None,
        description="Access token, where the server asks for one.",
        json_schema_extra={"env": ["MLFLOW_TRACKING_TOKEN"]},
    )
    workspace: str | None = Field(
        None,
        description="Workspace, on a server that has them.",
        json_schema_extra={"env": ["MLFLOW_WORKSPACE"]},
    )
    project: str = Field(
        DEFAULT_PROJECT,
        description="Experiment to read, by name or id.",
        json_schema_extra={"env": ["MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"]},
    )
    timeout: float = Field(60.0, gt=0, description="How long one answer may take.")
    retry_timeout: float = Field(120.0, gt=0, description="How long one request is tried in all.")
