"""JSON files of a run, as values."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from halo_engine.errors import ConfigError
from halo_engine.schema import FrozenModel

M = TypeVar("M", bound=FrozenModel)


def read_model(path: Path, model: type[M]) -> M:
    """A JSON file as a value; ``ConfigError`` where it does not hold one."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path} cannot be read as a {model.__name__}; was it written by another version?"
        ) from error
