"""What third-party dialects raise while spans are read: a failure of the pull, not its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from halo_adapters.dialects.base import Dialect
from halo_engine.schema import Failure


class DialectError(NamedTuple):
    """What a dialect raised, or returned in a wrong type, as a sentence part."""

    dialect: Dialect
    what: str

    def raise_as_type_error(self) -> None:
        """Raise a ``TypeError`` that names the dialect: for authors of dialects in their tests."""
        raise TypeError(f"the dialect {self.dialect.name!r} {self.what}")


def raised(dialect: Dialect, error: Exception) -> DialectError:
    """The error of a dialect whose method raised ``error``."""
    return DialectError(dialect, f"raised {type(error).__name__}: {error}")


class DialectErrors:
    """Collects the first error of each dialect in one reader. Its methods may run in any thread."""

    def __init__(self) -> None:
        self._new: dict[str, Failure] = {}
        self._seen: set[str] = set()

    def add(self, errors: Iterable[DialectError]) -> None:
        """Note ``errors``."""
        for dialect, what in errors:
            if dialect.name not in self._seen:
                self._seen.add(dialect.name)
                self._new[dialect.name] = failure_of(dialect, what)

    def take(self) -> tuple[Failure, ...]:
        """The failures since the last call, for the page that is read."""
        new, self._new = self._new, {}
        return tuple(new.values())


def failure_of(dialect: Dialect, what: str) -> Failure:
    """The failure for the first error of ``dialect``."""
    kind = type(dialect)
    return Failure(
        stage="pull",
        where=f"dialect {dialect.name}",
        what=f"The dialect {dialect.name!r} ({kind.__module__}:{kind.__qualname__}) {what}. What it "
        f"did not read is missing in its spans: repair or uninstall the package that provides it.",
    )
