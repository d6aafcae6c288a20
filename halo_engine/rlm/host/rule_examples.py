"""Where the rule of a check holds: how many traces, with examples, and where it nearly does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from halo_engine.checks import RuleMatch
from halo_engine.fields import field_text
from halo_engine.findings import FindingCheck
from halo_engine.rlm.host.store_context import StoreContext
from halo_engine.rlm.near_misses import near_misses
from halo_engine.statistics.sampling import sample_ids
from halo_engine.text.sanitize import strip_invisible

MAX_EXAMPLES = 40
SNIPPET_CHARS = 200
SEED = 0
# Where the text of a span that a rule selects is looked for.
SNIPPET_FIELDS = ("output", "input", "status.message", "output_messages.0.content", "name")


class RuleExamples:
    """What the rules of checks find in the store of ``context``."""

    def __init__(self, context: StoreContext) -> None:
        self._rules = context.rules
        self._short_ids = context.short_ids

    def of(self, check: FindingCheck, known: Collection[str], number: int) -> dict[str, Any]:
        """How many traces its rule holds in, and examples beyond those that are ``known``."""
        matches = self._rules.matches(check)
        beyond = sample_ids([t for t in matches if t not in known], number, SEED)
        near = near_misses(check, self._rules)
        nearest = [t for t in in_order_of_nearness(near) if t not in known][:number]
        return {
            "holds_in": len(matches),
            "share": round(len(matches) / max(1, len(self._short_ids.trace_ids)), 4),
            "beyond_evidence": [self._example(t, matches[t]) for t in beyond],
            "near_misses": [
                {**self._example(t, near[t].match), "because": f"it {near[t].nearness.value}"}
                for t in nearest
            ],
        }

    def _example(self, trace_id: str, match: RuleMatch) -> dict[str, Any]:
        """A trace, the span, and the words that match, or how the text of the span begins."""
        name = {"trace": self._short_ids.name(trace_id)}
        span = self._short_ids.span(match.span_id, trace_id) if match.span_id else None
        if span is None:
            return name
        named = self._short_ids.span_names([(trace_id, span.span_id)])
        texts = (field_text(span, field) for field in SNIPPET_FIELDS)
        words = match.evidence.quote if match.evidence else match.quote
        text = words or next((text for text in texts if text), "")
        snippet = strip_invisible(text)[:SNIPPET_CHARS]
        return {**name, "span": named[trace_id, span.span_id], "snippet": snippet}


def in_order_of_nearness(near: Mapping[str, Any]) -> Sequence[str]:
    """The ids of near misses at random, those of the nearest kind first."""
    kinds = list(dict.fromkeys(miss.nearness for miss in near.values()))
    return [
        trace_id
        for kind in kinds
        for trace_id in sample_ids(
            [t for t in near if near[t].nearness is kind], MAX_EXAMPLES, SEED
        )
    ]
