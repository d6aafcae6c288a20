"""Spans of which nothing was understood: told by what their attributes are named after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from halo_engine.findings import UnreadSpans

# First steps in the names of OpenTelemetry's attributes -> what a span with them is about. The order
# is that of precedence: a query over HTTP is about the database.
INFRASTRUCTURE = {
    "db": "databases",
    "messaging": "message queues",
    "mcp": "MCP connections",
    "rpc": "remote procedure calls",
    "jsonrpc": "remote procedure calls",
    "graphql": "GraphQL",
    "faas": "cloud functions",
    "aws": "cloud services",
    "http": "HTTP",
    "url": "HTTP",
    "asgi": "HTTP",
    "dns": "networks",
    "net": "networks",
    "network": "networks",
    "peer": "networks",
}
# First steps that say where a span comes from, not what it is about.
CONTEXT = frozenset(
    {
        *("otel", "telemetry", "service", "code", "thread", "process", "host", "server", "client"),
        *("session", "user", "error", "exception", "span", "scope", "user_agent"),
    }
)
# How many prefixes of one group are kept.
MAX_PREFIXES = 4

# A span by the names of its attributes and its own name, with the number of such spans.
Named = tuple[Iterable[str], str | None, int]


def unread_groups(spans: Iterable[Named]) -> tuple[UnreadSpans, ...]:
    """``spans``, those together whose attributes begin alike, the commonest first."""
    counts: Counter[tuple[str | None, tuple[str, ...]]] = Counter()
    examples: dict[tuple[str | None, tuple[str, ...]], Counter[str]] = {}
    for names, name, number in spans:
        kind = group_key(names)
        counts[kind] += number
        examples.setdefault(kind, Counter()).update({name: number} if name else {})
    return tuple(
        UnreadSpans(
            prefixes=prefixes,
            infrastructure=about,
            example=next(iter(dict(examples[about, prefixes].most_common(1))), None),
            spans=number,
        )
        for (about, prefixes), number in counts.most_common()
    )


def group_key(names: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """What a span is about that has attributes of these names, and how these begin."""
    first_steps = {name.partition(".")[0]: "." in name for name in names}
    about = next((INFRASTRUCTURE[step] for step in INFRASTRUCTURE if step in first_steps), None)
    if about:
        return about, ()
    telling = sorted(first_steps.keys() - CONTEXT) or sorted(first_steps)
    return None, tuple(f"{s}.*" if first_steps[s] else s for s in telling[:MAX_PREFIXES])
