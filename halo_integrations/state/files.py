"""Files beside the SQLite files: private to their owner, and replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from pydantic import ValidationError

from halo_engine.errors import ConfigError
from halo_engine.private_files import PRIVATE_FILE, file_errors, touch_private
from halo_engine.schema import FrozenModel

M = TypeVar("M", bound=FrozenModel)

PRIVATE_FOLDER = 0o700


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its parents for their owner only; raises ``StorageError``."""
    with file_errors(folder):
        for each in reversed((folder, *folder.parents)):
            if not each.exists():
                each.mkdir(PRIVATE_FOLDER, exist_ok=True)


def private_lock(path: Path) -> FileLock:
    """A lock of the operating system: it is free again when its process ends, however that ends.

    It belongs to no thread: the thread that gives it up may be another than took it.
    """
    return FileLock(path, mode=PRIVATE_FILE, thread_local=False)


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: it holds either the old content or the new one.

    One process at a time may replace it. Raises ``StorageError``.
    """
    part = path.with_name(path.name + ".part")
    with file_errors(path):
        part.unlink(missing_ok=True)
        touch_private(part)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def read_model(path: Path, model: type[M]) -> M:
    """A JSON file as a value; ``ConfigError`` where it does not hold one."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path} cannot be read as a {model.__name__}; was it written by another version?"
        ) from error
