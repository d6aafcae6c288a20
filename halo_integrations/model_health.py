"""Health checks of what an analysis by a model needs, for ``doctor``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

from halo_adapters.base import HealthCheck, HealthStatus
from halo_engine.errors import ConfigError, SandboxLost
from halo_engine.rlm.brief import InvestigationBrief
from halo_integrations.model_setup import ModelSetup, chat_model, open_sandbox
from halo_integrations.options.model import ModelSettings

# 1.82.7, 1.82.8 and 1.107.0 were compromised releases; 1.106.0 to 1.106.2 crash.
BAD_LITELLM = re.compile(r"1\.82\.[78]|1\.106\.[0-2]|1\.107\..*")


def model_health(settings: ModelSettings) -> Iterator[HealthCheck]:
    """The checks for the model in ``settings``; none where there is no model."""
    if not settings.model:
        return
    yield litellm_check(version("litellm"))
    yield price_check(settings)
    yield sandbox_check(settings.sandbox)


def litellm_check(installed: str) -> HealthCheck:
    """Whether the installed litellm release is safe to use."""
    if BAD_LITELLM.fullmatch(installed):
        return HealthCheck(
            what="litellm",
            status=HealthStatus.FAILED,
            found=f"{installed} is a compromised or broken release",
            fix="pip install --upgrade litellm, and change the keys that it could read.",
        )
    return HealthCheck(what="litellm", status=HealthStatus.OK, found=installed)


def price_check(settings: ModelSettings) -> HealthCheck:
    """Whether the budget can be enforced."""
    assert settings.model
    model = chat_model(settings.model, settings)
    reader = chat_model(settings.sub_model, settings) if settings.sub_model else model
    setup = ModelSetup(model, reader, settings, InvestigationBrief())
    try:
        setup.require_price()
    except ConfigError as error:
        return HealthCheck(what="model", status=HealthStatus.FAILED, found=str(error))
    found = f"{model.name}, prompts go to {setup.destination}"
    return HealthCheck(what="model", status=HealthStatus.OK, found=found)


def sandbox_check(name: str) -> HealthCheck:
    """Whether the sandbox runs code."""
    try:
        sandbox = open_sandbox(name)
        result = sandbox.run("1 + 1", {})
        sandbox.close()
    except (ConfigError, SandboxLost) as error:
        return HealthCheck(what="sandbox", status=HealthStatus.FAILED, found=str(error))
    works = result.output.strip() == "2"
    status = HealthStatus.OK if works else HealthStatus.FAILED
    found = f"{name} runs code" if works else str(result.error)
    return HealthCheck(what="sandbox", status=status, found=found)
