"""Sides of a comparison, as a user names them: a run, or those traces of a run that have something.

``last``, ``20260301-120000-ab12``, ``release=1.4``, ``last:environment=prod,since=2d``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from halo_adapters.attribute_filter import spellings
from halo_adapters.attributes import attribute
from halo_engine.errors import ConfigError
from halo_engine.fields import as_text
from halo_engine.schema import Span, Trace, datetime_of
from halo_engine.store import TraceStore
from halo_integrations.options.selection import moment
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run

LAST = "last"
# Where instrumentations and platforms record what a side is named by.
ATTRIBUTES: Mapping[str, Sequence[str]] = {
    "release": ("langfuse.trace.release", "langfuse.release", "service.version", "release"),
    "version": ("langfuse.trace.version", "langfuse.version", "app.version", "service.version"),
    "environment": (
        *("langfuse.trace.environment", "langfuse.environment"),
        *("deployment.environment.name", "deployment.environment"),
    ),
    "tag": ("langfuse.trace.tags", "tag.tags"),
    "experiment": ("langfuse.experiment.name", "langfuse.experiment.id"),
}
TIMES = ("since", "until")
METADATA = "metadata."
# What the names of metadata begin with: nothing for an attribute of any name.
METADATA_PLACES = ("", METADATA, f"langfuse.trace.{METADATA}")
HOW = (
    "A side is a run (`last`, or an id of `halo-integrations runs`), or traces of one: "
    "`release=1.4`, `version=`, `environment=`, `tag=`, `experiment=`, `since=7d`, `until=1d`, "
    "`metadata.NAME=`, several with commas, after `RUN:` for another run than the newest."
)

Condition = Callable[[Trace], bool]


@dataclass(frozen=True)
class Side:
    """The traces of ``run`` that meet all ``conditions``; ``name`` is what the user wrote.

    ``is_by_time``: the conditions ask for nothing but when a trace began.
    """

    name: str
    run: Run
    conditions: Sequence[Condition] = ()
    is_by_time: bool = False

    def trace_ids(self) -> Iterator[str]:
        """The ids of its traces."""
        if self.conditions:
            yield from (trace.trace_id for trace in self.traces())
            return
        with TraceStore(self.run.store_path, read_only=True) as store:
            yield from store.trace_ids()

    def traces(self) -> Iterator[Trace]:
        """Its traces, by start time."""
        with TraceStore(self.run.store_path, read_only=True) as store:
            for trace in store.traces():
                if all(holds(trace) for holds in self.conditions):
                    yield trace


def side_of(text: str, runs: Runs, now: datetime | None = None) -> Side:
    """The side that ``text`` names; ages are counted from ``now`` (None: the time it is).

    Raises ``ConfigError`` for a run that there is not, and for what cannot be understood.
    """
    named, separator, filters = text.partition(":") if is_run_first(text) else (LAST, "", text)
    if not separator and "=" not in filters:
        return Side(text, run_named(text, runs))
    moment_now = now or datetime.now(UTC)
    parts = filters.split(",")
    conditions = [side_condition(part, moment_now) for part in parts]
    is_by_time = all(part.partition("=")[0].strip() in TIMES for part in parts)
    return Side(text, run_named(named.strip(), runs), conditions, is_by_time)


def run_named(name: str, runs: Runs) -> Run:
    """The run of this name; ``ConfigError`` says how else a side is named."""
    try:
        return runs.get(name)
    except ConfigError as error:
        raise ConfigError(f"{error} {HOW}") from error


def is_run_first(text: str) -> bool:
    """Whether a run is named before the filters: values can hold colons, too."""
    return ":" in text.partition("=")[0]


def side_condition(part: str, now: datetime) -> Condition:
    """What ``part`` of a side, ``key=value``, asks of a trace; ``ConfigError`` for anything else."""
    key, separator, value = (piece.strip() for piece in part.partition("="))
    if not separator or not value:
        raise ConfigError(f"{part!r} names no traces. {HOW}")
    if key in TIMES:
        return time_condition(key, value, now)
    names = attributes_named(key)
    if not names:
        close = difflib.get_close_matches(key, [*ATTRIBUTES, *TIMES], n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{key!r} is nothing that traces can be named by.{meant} {HOW}")
    return lambda trace: any(has(span, names, value) for span in trace.spans)


def attributes_named(key: str) -> Sequence[str]:
    """The attributes in which what ``key`` means is recorded; none for a key that means nothing."""
    if key in ATTRIBUTES:
        return ATTRIBUTES[key]
    name = key.removeprefix(METADATA)
    return [f"{place}{name}" for place in METADATA_PLACES] if name not in ("", key) else ()


def time_condition(key: str, value: str, now: datetime) -> Condition:
    """Whether a trace began since a time, or before it."""
    limit = moment(key, value, now)
    assert limit is not None

    def holds(trace: Trace) -> bool:
        starts = (span.start_time_unix_nano for span in trace.spans)
        start = datetime_of(min(filter(None, starts), default=None))
        return start is not None and (start >= limit if key == "since" else start < limit)

    return holds


def has(span: Span, names: Sequence[str], value: str) -> bool:
    """Whether ``span`` or its resource has ``value`` under one of ``names``."""
    wanted = spellings(value)
    return any(
        text in wanted
        for attributes in (span.attributes, span.resource)
        for name in names
        for text in texts_in(attribute(attributes, name))
    )


def texts_in(value: Any) -> Iterator[str]:
    """The text of a value, and of each member of a list."""
    for each in value if isinstance(value, (list, tuple)) else (value,):
        if (text := as_text(each)) is not None:
            yield text
