"""One failing behaviour, one finding: which signals become part of another one.

Several rules can see one failure. A tool that the agent was not given, for instance, is called
(``unknown_tool``), fails, is called again unchanged (``unchanged_retry``), and the answer does not
mention it (``swallowed_error``). The first rule of each row below names the behaviour. The signals of
the others about the same tool or span in the same trace become part of its signal, which adds their
reasons and quotes to its own; they make no finding of their own.

A loop (``identical_call_loop``) is another behaviour than a mishandled error, and stays beside it:
that the calls fail is no reason to make them again, and that they are repeated hides no error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from halo_engine.detectors.base import Signal
from halo_engine.detectors.grouping import VerifiedSignal, with_proofs

MAX_REASONS = 3  # of parts, in the reason of the signal that they became part of


def same_tool(signal: Signal) -> Hashable:
    """Equal for signals about one tool in one trace; None for one about no tool."""
    return (signal.trace_id, signal.tool) if signal.tool else None


def same_span(signal: Signal) -> Hashable:
    """Equal for signals at one span; None for one about the whole trace."""
    return (signal.trace_id, signal.span_id) if signal.span_id else None


def same_trace(signal: Signal) -> Hashable:
    """Equal for signals in one trace."""
    return signal.trace_id


@dataclass(frozen=True)
class Precedence:
    """Signals of the detectors ``parts`` become part of the ``whole`` detector's for the same key."""

    whole: str
    parts: tuple[str, ...]
    key: Callable[[Signal], Hashable]


OUTLIERS = ("step_outlier", "cost_outlier")
# What makes a run long.
CAUSES_OF_OUTLIERS = ("identical_call_loop", "oscillation", "missing_final_answer")

# From the inner to the outer: what became a part takes its own parts along.
PRECEDENCE = (
    Precedence("swallowed_error", ("unchanged_retry",), same_tool),
    Precedence("unknown_tool", ("swallowed_error", "unchanged_retry", "crashed_run"), same_tool),
    Precedence("arguments_not_json", ("swallowed_error", "unchanged_retry"), same_tool),
    Precedence(
        "schema_violation", ("swallowed_error", "unchanged_retry", "crashed_run"), same_tool
    ),
    Precedence("rate_limit_storm", ("swallowed_error",), same_span),
    Precedence("rate_limit_storm", ("environment_error",), same_span),
    Precedence("environment_error", ("swallowed_error",), same_span),
    Precedence("duplicate_side_effect", ("identical_call_loop",), same_tool),
    Precedence("step_outlier", ("cost_outlier",), same_trace),
    *(Precedence(cause, OUTLIERS, same_trace) for cause in CAUSES_OF_OUTLIERS),
)


def merge_parts(signals: Iterable[VerifiedSignal]) -> list[VerifiedSignal]:
    """``signals`` of all detectors, those left out that became part of another."""
    of_detector: dict[str, list[VerifiedSignal]] = defaultdict(list)
    for verified in signals:
        of_detector[verified.signal.detector].append(verified)
    for rule in PRECEDENCE:
        apply_precedence(rule, of_detector)
    return [verified for alike in of_detector.values() for verified in alike]


def apply_precedence(rule: Precedence, of_detector: dict[str, list[VerifiedSignal]]) -> None:
    """Move what is part of a signal of ``rule.whole`` there."""
    wholes = first_by_key(of_detector[rule.whole], rule.key)
    parts: dict[Hashable, list[VerifiedSignal]] = defaultdict(list)
    for name in rule.parts:
        for verified in of_detector[name]:
            parts[rule.key(verified.signal)].append(verified)
        alone = [v for v in of_detector[name] if rule.key(v.signal) not in wholes]
        of_detector[name] = alone
    of_detector[rule.whole] = [
        with_parts(verified, parts[key] if wholes.get(key) is verified else ())
        for verified in of_detector[rule.whole]
        for key in [rule.key(verified.signal)]
    ]


def first_by_key(
    signals: Iterable[VerifiedSignal], key: Callable[[Signal], Hashable]
) -> Mapping[Hashable, VerifiedSignal]:
    """The first of ``signals`` with each key."""
    first: dict[Hashable, VerifiedSignal] = {}
    for verified in signals:
        found = key(verified.signal)
        if found is not None:
            first.setdefault(found, verified)
    return first


def with_parts(whole: VerifiedSignal, parts: Sequence[VerifiedSignal]) -> VerifiedSignal:
    """``whole`` with the reasons and the quotes of its ``parts``, and the worst severity of all."""
    if not parts:
        return whole
    reasons = list(dict.fromkeys(part.signal.reason for part in parts))[:MAX_REASONS]
    reason = "; ".join([whole.signal.reason, *reasons])
    severity = min((v.signal.severity for v in (whole, *parts)), key=lambda each: each.rank)
    signal = structs.replace(whole.signal, reason=reason, severity=severity)
    return with_proofs(signal, dict.fromkeys(p for v in (whole, *parts) for p in v.proofs))
