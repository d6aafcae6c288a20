"""What of the texts of traces may be kept and leave."""

from __future__ import annotations

from pydantic import Field

from halo_engine.schema import FrozenModel
from halo_engine.text.levels import Level
from halo_integrations.options.declaration import option


class PrivacySettings(FrozenModel):
    """What is masked or withheld: the table ``privacy`` of the configuration file."""

    redact: Level = Field(
        default=Level.DEFAULT,
        description="Mask credentials and card numbers, in strict also personal data [default].",
        json_schema_extra=option("--redact", env=["HALO_REDACT"]),
    )
    metadata_only: bool = Field(
        default=False,
        description="Keep no text of a trace: names, kinds, status, times and counts only.",
        json_schema_extra=option("--metadata-only", env=["HALO_METADATA_ONLY"]),
    )
