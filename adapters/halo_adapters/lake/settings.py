"""Settings of the adapter of lakes."""

from __future__ import annotations

from pydantic import Field

from halo_engine.schema import FrozenModel


class LakeSettings(FrozenModel):
    """Where a lake is, and how its bucket is reached."""

    path: str = Field(description="The folder of a lake, or s3://BUCKET/PREFIX.")
    endpoint_url: str | None = Field(
        default=None,
        description="URL of a server with the interface of S3, such as MinIO.",
        json_schema_extra={"env": ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]},
    )
    region: str | None = Field(
        default=None,
        description="Region of the bucket [asked for].",
        json_schema_extra={"env": ["AWS_REGION", "AWS_DEFAULT_REGION"]},
    )
