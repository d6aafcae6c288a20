"""Secrets of every kind go through the whole product, and none comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from canaries import (
    WORDS,
    canary_texts,
    leaks,
    outputs_of_failures,
    outputs_of_files,
    outputs_of_platform,
    outputs_with_model,
)

Outputs = Callable[..., dict[str, str]]

TEXTS = canary_texts()
REFUSED = 2  # so many texts are in the answers of servers


def with_dataset(folder: Path, *arguments: object) -> dict[str, str]:
    """The outputs of a platform with dataset items."""
    return outputs_of_platform(folder, *arguments, "--dataset", "regressions")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs of a run with a model."""
    return outputs_with_model(tmp_path_factory.mktemp("model") / "here", TEXTS)


@pytest.mark.parametrize("outputs", [outputs_of_files, with_dataset])
def test_no_canary_is_in_any_output(outputs: Outputs, tmp_path: Path) -> None:
    found = outputs(tmp_path / "here", TEXTS)
    assert leaks(TEXTS, found) == []
    assert sum("[redacted:" in text for text in found.values()) >= 5


def test_no_canary_is_in_any_output_of_a_model(with_model: dict[str, str]) -> None:
    assert leaks(TEXTS, with_model) == []
    assert all("[redacted:" in with_model[name] for name in ("stdout", "prompts", "exported trace"))


def test_a_quote_with_a_placeholder_is_verified(with_model: dict[str, str]) -> None:
    findings = json.loads(with_model["stdout"])["report"]["findings"]
    quotes = [
        evidence["quote"]
        for finding in findings
        if finding["title"] == "A key is looked up"
        for affected in finding["affected"]
        for evidence in affected["evidence"]
    ]
    assert quotes
    assert all("[redacted:github-token#" in quote for quote in quotes)


def test_no_canary_is_in_the_error_of_a_server(tmp_path: Path) -> None:
    texts = TEXTS[:REFUSED]
    assert leaks(texts, outputs_of_failures(tmp_path / "here", texts)) == []


def test_the_search_finds_canaries_that_are_not_masked(tmp_path: Path) -> None:
    found = leaks(TEXTS, outputs_of_files(tmp_path / "here", TEXTS, "--redact", "off"))
    assert {leak.kind for leak in found} == {text.kind for text in TEXTS}


@pytest.mark.parametrize("outputs", [outputs_of_files, outputs_of_platform])
def test_with_metadata_only_no_text_is_in_any_output(outputs: Outputs, tmp_path: Path) -> None:
    found = outputs(tmp_path / "here", TEXTS, "--metadata-only")
    assert leaks(TEXTS, found) == []
    assert [name for name, text in found.items() if any(word in text for word in WORDS)] == []
    assert sum("[withheld:" in text for text in found.values()) >= 3
