"""The catalogue of failure modes, and its coverage of published taxonomies."""

from __future__ import annotations

import re

import pytest

from halo_engine.failure_modes import (
    CATALOGUE,
    INSTRUMENTATION,
    OTHER,
    RESERVED,
    FailureMode,
    meaning_of,
)

# The leaves of the taxonomy in "TRAIL: Trace Reasoning and Agentic Issue Localization",
# arXiv 2505.08638.
TRAIL_LEAVES = frozenset(
    {
        "Language-only",
        "Tool-related",
        "Poor Information Retrieval",
        "Tool Output Misinterpretation",
        "Incorrect Problem Identification",
        "Tool Selection Errors",
        "Formatting Errors",
        "Instruction Non-compliance",
        "Tool Definition Issues",
        "Environment Setup Errors",
        "Rate Limiting",
        "Authentication Errors",
        "Service Errors",
        "Resource Not Found",
        "Resource Exhaustion",
        "Timeout Issues",
        "Context Handling Failures",
        "Resource Abuse",
        "Goal Deviation",
        "Task Orchestration",
    }
)

# The modes of "Why Do Multi-Agent LLM Systems Fail?", arXiv 2503.13657.
MAST_MODES = frozenset(
    {
        "FM-1.1",
        "FM-1.2",
        "FM-1.3",
        "FM-1.4",
        "FM-1.5",
        "FM-2.1",
        "FM-2.2",
        "FM-2.3",
        "FM-2.4",
        "FM-2.5",
        "FM-2.6",
        "FM-3.1",
        "FM-3.2",
        "FM-3.3",
    }
)

every_mode = pytest.mark.parametrize("mode", CATALOGUE, ids=lambda mode: mode.slug)


def test_the_catalogue_has_24_different_slugs() -> None:
    assert len(CATALOGUE) == 24
    assert len({mode.slug for mode in CATALOGUE}) == 24


def test_reserved_names_are_not_failure_modes() -> None:
    assert set(RESERVED) == {OTHER, INSTRUMENTATION}
    assert not set(RESERVED) & {mode.slug for mode in CATALOGUE}


@every_mode
def test_a_slug_is_lower_snake_case(mode: FailureMode) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", mode.slug)


@every_mode
def test_a_meaning_is_one_clause(mode: FailureMode) -> None:
    assert mode.meaning[0].islower()
    assert not re.search(r"[.\n]", mode.meaning)


@every_mode
def test_definition_and_examples_are_one_sentence_each(mode: FailureMode) -> None:
    for text in (mode.definition, mode.positive, mode.negative):
        assert text[0].isupper() or text[0] == "`"
        assert text.endswith(".")
        assert ". " not in text


@every_mode
def test_what_a_fix_changes_and_what_it_keeps_are_a_sentence_each(mode: FailureMode) -> None:
    for text in (mode.mend, mode.keep):
        assert re.fullmatch(r"[A-Z`][^.\n]{20,}\.", text)


def test_all_20_trail_leaves_are_covered_and_no_other_is_named() -> None:
    assert len(TRAIL_LEAVES) == 20
    assert {leaf for mode in CATALOGUE for leaf in mode.trail} == TRAIL_LEAVES


def test_all_14_mast_modes_are_covered_and_no_other_is_named() -> None:
    assert len(MAST_MODES) == 14
    assert {name for mode in CATALOGUE for name in mode.mast} == MAST_MODES


@pytest.mark.parametrize("slug", [*(mode.slug for mode in CATALOGUE), *RESERVED])
def test_every_known_name_has_a_meaning_in_a_capitalised_line(slug: str) -> None:
    meaning = meaning_of(slug)
    assert meaning[0].isupper()
    assert not meaning.endswith(".")
    assert meaning.lower() != slug.replace("_", " ")


def test_the_meaning_of_a_name_outside_the_taxonomy_is_the_name_with_spaces() -> None:
    assert meaning_of("cart_emptied_twice") == "Cart emptied twice"
