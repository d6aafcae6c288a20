"""Deletions that are sent one by one, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from halo_adapters.base import Annotation, WriteResult
from halo_engine.errors import AdapterError, NotFound, Rejected

DELETE_THREADS = 4


def delete_each(
    delete: Callable[[Annotation], None], annotations: Sequence[Annotation]
) -> list[WriteResult]:
    """Delete each; one that is refused, with an ``error``, does not prevent the others.

    After any other error of the platform no more are sent, and those that are left have it as their
    ``error``: what was deleted has to be known, since a deletion must not be asked for twice. It is
    raised where none was deleted.
    """
    fatal: list[AdapterError] = []

    def error_of(annotation: Annotation) -> AdapterError | None:
        if fatal:
            return fatal[0]
        try:
            delete(annotation)
        except (NotFound, Rejected) as error:
            return error
        except AdapterError as error:
            fatal.append(error)
            return error
        return None

    with ThreadPoolExecutor(DELETE_THREADS) as pool:
        errors = list(pool.map(error_of, annotations))
    if fatal and all(errors):
        raise fatal[0]
    return [
        WriteResult(annotation=annotation, error=str(error) if error else None)
        for annotation, error in zip(annotations, errors, strict=True)
    ]
