"""Names of attributes that are looked for in any span, so that they can be selected by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from halo_adapters.dialects.registry import installed_dialects
from halo_adapters.phoenix.mapping import EMBEDDING, EMBEDDING_MODEL, ColumnRow

# Branches that detectors read beside those of the dialects, in any span.
ALSO_READ = ("http", "error", "exception", "rpc", "metadata")
# The branch of the span kind, which has a column of its own.
KIND_BRANCH = "openinference"


def known_branches() -> set[str]:
    """The branches in which dialects and detectors look for anything."""
    fields = (field for dialect in installed_dialects() for field in dialect.fields)
    names = (name for field in fields for name in field.attributes)
    return {name.partition(".")[0] for name in names}.union(ALSO_READ) - {KIND_BRANCH}


def column_of(branch: str) -> str:
    """The expression for the attributes below ``branch``, but for embedding vectors."""
    path = [EMBEDDING, EMBEDDING_MODEL] if branch == EMBEDDING else [branch]
    return f"attributes[{path!r}]"


def has_any(branches: Sequence[str]) -> str:
    """The condition for spans with an attribute in one of ``branches``."""
    return " or ".join(f"attributes[{branch!r}] is not None" for branch in branches)


def branches_with_values(branches: Sequence[str], rows: Iterable[ColumnRow]) -> Iterator[str]:
    """Those of ``branches``, the columns of ``rows``, that some row has a value of."""
    found = {at for row in rows for at, value in enumerate(row) if value is not None}
    return (branch for at, branch in enumerate(branches, start=1) if at in found)
