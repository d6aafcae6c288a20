"""Answers of readers about the claims that are asked about each trace of a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ASKED = re.compile(r"^## Trace (T\d+)\nClaims: (.+)$", re.MULTILINE)
CLAIM = re.compile(r"\bF\d+\b")


def is_review(instruction: str) -> bool:
    """Whether a prompt with this instruction asks about claims."""
    return instruction.startswith("You check claims")


def asked_claims(page: str) -> dict[str, list[str]]:
    """The claims that are asked about each trace of ``page``, by name."""
    return {name: CLAIM.findall(claims) for name, claims in ASKED.findall(page)}


def claim_rows(page: str, answer: Callable[[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of an answer about ``page``; ``answer`` gives that about a trace and a claim."""
    return [
        {"trace": name, "claims": [claim_answer(claim, **answer(name, claim)) for claim in claims]}
        for name, claims in asked_claims(page).items()
    ]


def claim_answer(claim: str, **answer: Any) -> dict[str, Any]:
    """An answer about ``claim``; what ``answer`` does not say is unremarkable."""
    fine = {"harm": None, "put_right": False, "earlier_cause": None, "why": "so it is"}
    return {"claim": claim, **fine, **answer}
