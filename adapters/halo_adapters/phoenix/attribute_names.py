"""Which attributes the spans of a project have, so that they can be selected by name.

Phoenix lists no names of attributes, and whole spans are slow to read. So a few are: some of each
kind, of each name that spans have, and at random. Names that this package reads are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from halo_adapters.dialects.registry import installed_dialects
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.mapping import SPAN_ID, ColumnRow

# Of each name of spans so many are read whole; so many at random; in all not more.
OF_A_NAME = 2
AT_RANDOM = 200
MOST_EXAMPLES = 1_000
SEED = 1

# Parts of a name that differ from span to span: ids and numbers.
VARIABLE = re.compile(r"[0-9a-f-]{8,}|\d+")
# Branches that detectors read beside those of the dialects, in any span.
ALSO_READ = ("http", "error", "exception", "rpc", "metadata")

# The branch of the span kind, which has a column of its own.
KIND_BRANCH = "openinference"

# The columns of ``examples``, after which comes the span id.
NAME_COLUMNS = ("name", "span_kind")


def examples(rows: Iterable[ColumnRow]) -> list[str]:
    """The ids of spans to be read whole, from rows of ``NAME_COLUMNS`` of all spans."""
    of_name: dict[tuple[str, str], list[str]] = {}
    ids: list[str] = []
    for row in rows:
        ids.append(row[SPAN_ID])
        same = of_name.setdefault((masked_name(row[0]), row[1] or ""), [])
        if len(same) < OF_A_NAME:
            same.append(row[SPAN_ID])
    drawn = Random(SEED).sample(ids, min(AT_RANDOM, len(ids)))  # noqa: S311 - no secret
    chosen = dict.fromkeys([span_id for same in of_name.values() for span_id in same] + drawn)
    return list(chosen)[:MOST_EXAMPLES]


def masked_name(name: str | None) -> str:
    """A name of spans without the parts that differ from one to the next."""
    return VARIABLE.sub("*", name or "")


def branches_in(spans: Iterable[JsonObject]) -> set[str]:
    """The first parts of the names of the attributes of whole spans."""
    return {name.partition(".")[0] for span in spans for name in span["attributes"]}


def known_branches() -> set[str]:
    """The branches in which dialects and detectors look for anything."""
    fields = (field for dialect in installed_dialects() for field in dialect.fields)
    names = (name for field in fields for name in field.attributes)
    return {name.partition(".")[0] for name in names}.union(ALSO_READ) - {KIND_BRANCH}


def has_any(branches: Sequence[str]) -> str:
    """The condition for spans with an attribute in one of ``branches``."""
    return " or ".join(f"attributes[{branch!r}] is not None" for branch in branches)


def branches_with_values(branches: Sequence[str], rows: Iterable[ColumnRow]) -> Iterator[str]:
    """Those of ``branches``, the columns of ``rows``, that some row has a value of."""
    found = {at for row in rows for at, value in row.items() if at >= 0 and value is not None}
    return (branch for at, branch in enumerate(branches) if at in found)
