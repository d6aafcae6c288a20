"""Whether a model analyses too. What that takes is imported where one does: it takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halo_engine.errors import ConfigError
from halo_integrations.context import Context
from halo_integrations.options.declaration import flag_of
from halo_integrations.options.model import InvestigationOptions, ModelSettings
from halo_integrations.options.run import AnalyzeOptions

if TYPE_CHECKING:
    from halo_integrations.model_setup import ModelSetup


def chosen_setup(context: Context, options: AnalyzeOptions, source: str) -> ModelSetup | None:
    """The models that the settings name; None where there is none, or with ``no_llm``.

    Raises ``ConfigError`` for options about a model where there is none, and as ``model_setup``.
    """
    if options.no_llm:
        return None
    if context.model_settings.settings.model is None:
        require_no_model_options(options)
        return None
    from halo_integrations.model_setup import model_setup

    return model_setup(context, options, source)


def require_no_model_options(options: AnalyzeOptions) -> None:
    """Raise ``ConfigError`` for an option about a model that the caller gave."""
    about_models = {*ModelSettings.model_fields, *InvestigationOptions.model_fields} - {"code"}
    for name in sorted(about_models & options.model_fields_set):
        if getattr(options, name):
            flag = flag_of(AnalyzeOptions, name)
            raise ConfigError(
                f"{flag} is about the analysis by a model, and none is set: name one with --model, "
                f"or leave {flag} out."
            )
