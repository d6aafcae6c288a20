"""Deterministic detectors: what the shape of a trace shows without a model.

``DETECTORS`` are the built-in ones in the order of their ids. The other names are what the author
of a further detector needs.
"""

from __future__ import annotations

from halo_engine.detectors.base import (
    Corpus,
    Detector,
    NotApplicable,
    Outcome,
    Signal,
    cite,
    detector,
)
from halo_engine.detectors.completions import (
    broken_structured_output,
    content_filter,
    empty_completion,
    refusal_phrase,
    truncated_output,
)
from halo_engine.detectors.endings import missing_final_answer
from halo_engine.detectors.environment import environment_error, rate_limit_storm
from halo_engine.detectors.leaked_secrets import secret_in_trace
from halo_engine.detectors.loops import identical_call_loop, oscillation, redundant_call
from halo_engine.detectors.recording_gaps import (
    duplicated_span,
    incomplete_trace,
    missing_content,
    orphan_span,
)
from halo_engine.detectors.retrieval import empty_retrieval
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.detectors.tool_calls import arguments_not_json, schema_violation, unknown_tool
from halo_engine.detectors.tool_errors import abandoned_call, unchanged_retry

__all__ = [
    "DETECTORS",
    "Corpus",
    "Detector",
    "NotApplicable",
    "Outcome",
    "Signal",
    "cite",
    "detector",
]

DETECTORS: tuple[Detector, ...] = (
    identical_call_loop,
    oscillation,
    redundant_call,
    unchanged_retry,
    swallowed_error,
    abandoned_call,
    unknown_tool,
    arguments_not_json,
    schema_violation,
    empty_retrieval,
    truncated_output,
    content_filter,
    refusal_phrase,
    empty_completion,
    broken_structured_output,
    missing_final_answer,
    rate_limit_storm,
    environment_error,
    orphan_span,
    incomplete_trace,
    duplicated_span,
    missing_content,
    secret_in_trace,
)
