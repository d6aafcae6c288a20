"""Health checks of what an analysis by a model needs, for ``doctor``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

from halo_adapters.base import HealthCheck, HealthStatus
from halo_engine.errors import ConfigError, SandboxLost
from halo_engine.llm import ChatModel
from halo_engine.rlm.brief import InvestigationBrief
from halo_integrations.model_setup import ModelSetup, chat_model, open_sandbox, used_features
from halo_integrations.options.model import ModelSettings

# 1.82.7, 1.82.8 and 1.107.0 were compromised releases; 1.106.0 to 1.106.2 crash.
BAD_LITELLM = re.compile(r"1\.82\.[78]|1\.106\.[0-2]|1\.107\..*")


def model_health(settings: ModelSettings) -> Iterator[HealthCheck]:
    """The checks for the model in ``settings``; none where there is no model."""
    if not settings.model:
        return
    yield litellm_check(version("litellm"))
    setup = configured_setup(settings.model, settings)
    yield price_check(setup)
    yield from feature_checks(setup)
    yield key_check(setup)
    yield sandbox_check(settings.sandbox)


def configured_setup(name: str | ChatModel, settings: ModelSettings) -> ModelSetup:
    """The models of ``settings``; nothing is sent to them."""
    model = chat_model(name, settings)
    reader = chat_model(settings.sub_model, settings) if settings.sub_model else model
    return ModelSetup(model, reader, settings, InvestigationBrief())


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


def price_check(setup: ModelSetup) -> HealthCheck:
    """Whether the budget can be enforced."""
    try:
        setup.require_price()
    except ConfigError as error:
        return HealthCheck(what="model", status=HealthStatus.FAILED, found=str(error))
    found = f"{setup.model.name}, prompts go to {setup.destination}"
    return HealthCheck(what="model", status=HealthStatus.OK, found=found)


def feature_checks(setup: ModelSetup) -> Iterator[HealthCheck]:
    """What is used of each model beside plain text."""
    for model in dict.fromkeys((setup.model, setup.sub_model)):
        found = f"{model.name}: {used_features(model)}"
        yield HealthCheck(what="model features", status=HealthStatus.OK, found=found)


def key_check(setup: ModelSetup) -> HealthCheck:
    """Whether the providers' keys are set, as far as that can be known."""
    try:
        setup.require_key()
    except ConfigError as error:
        return HealthCheck(what="model key", status=HealthStatus.FAILED, found=str(error))
    return HealthCheck(
        what="model key", status=HealthStatus.OK, found="none is known to be missing"
    )


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
