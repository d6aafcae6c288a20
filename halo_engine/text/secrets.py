"""Detection and redaction of secrets by high-precision patterns.

A secret is recognised by its format: a provider's key prefix, a signed token, a private key block.
A password in prose is not found, and a string that merely looks random is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Placeholders in documentation ("xxxxxxxx", "...") have fewer distinct characters than a secret.
MIN_DISTINCT = 8

# Where a secret may start: at a word boundary, or after a line break or tab escaped in JSON. Since
# a run of word characters has one start only, a pattern that fails takes linear time.
EDGE = r"(?:(?<![\w-])|(?<=\\[nrt]))"


@dataclass(frozen=True)
class SecretPattern:
    """The pattern of one kind of secret.

    ``prefilter`` is a cheap regular expression that matches within every match of ``pattern``. Group
    1 of ``pattern`` is the prefix, which is public, group 2 the secret itself.
    """

    kind: str
    prefilter: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Secret:
    """A secret in a text, by character offsets: its public prefix ends at ``prefix_end``."""

    kind: str
    start: int
    end: int
    prefix_end: int


def secret_pattern(
    kind: str, prefilter: str, prefix: str, body: str, suffix: str = ""
) -> SecretPattern:
    """The pattern of ``prefix``, ``body`` and ``suffix`` at an ``EDGE``."""
    return SecretPattern(kind, prefilter, re.compile(f"{EDGE}({prefix})({body}){suffix}"))


# A prefilter starts with literal characters, for which ``re`` searches fast.
SK = "sk-(?:ant-|proj-|svcacct-|admin-|or-v1-|lf-|[A-Za-z0-9]{20})"

PATTERNS = (
    secret_pattern(
        "private-key",
        "PRIVATE KEY-----",
        "-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----",
        "(?=(?:[^-]|-(?!----)){0,120}[A-Za-z0-9+/]{40})(?:[^-]++|-(?!----))+",
        "(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    ),
    secret_pattern("jwt", "eyJ", "eyJ", r"[\w-]{10,}+\.eyJ[\w-]{10,}+\.[\w-]{16,}+"),
    secret_pattern("anthropic-key", SK, "sk-ant-", r"[\w-]{24,}+"),
    secret_pattern("openai-key", SK, "sk-(?:proj|svcacct|admin)-", r"[\w-]{32,}+"),
    secret_pattern("openai-key", SK, "sk-", r"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b"),
    secret_pattern("openrouter-key", SK, "sk-or-v1-", r"[0-9a-f]{64}\b"),
    secret_pattern("langfuse-key", SK, "sk-lf-", r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"),
    secret_pattern("aws-access-key", "A[KS]IA", "AKIA|ASIA", r"(?!\w{9}EXAMPLE)[A-Z0-9]{16}\b"),
    secret_pattern("github-token", "gh[opsur]_", "gh[opsur]_", r"[A-Za-z0-9]{36,255}\b"),
    secret_pattern("github-token", "github_pat_", "github_pat_", r"\w{60,255}\b"),
    secret_pattern("gitlab-token", "glpat-", "glpat-", r"[\w-]{20,}+"),
    secret_pattern("slack-token", "xox[abeoprs]-", "xox[abeoprs]-", r"[0-9]{8,}+-[\w-]{16,}+"),
    secret_pattern("google-key", "AIza", "AIza", r"[\w-]{35}(?![\w-])"),
    secret_pattern("huggingface-token", "hf_", "hf_", r"[A-Za-z0-9]{34}\b"),
    secret_pattern("stripe-key", "k_live_", "[rs]k_live_", r"[A-Za-z0-9]{20,}+"),
    secret_pattern(
        "bearer-token", "earer ", "[Bb]earer ", r"(?=[\w.~+/-]{0,100}\d)[\w.~+/-]{24,}+=*"
    ),
)
PREFILTERS = {each.prefilter: re.compile(each.prefilter) for each in PATTERNS}


def find_secrets(text: str) -> list[Secret]:
    """The secrets in ``text`` by position; of two that overlap, the one that starts first."""
    passed = {source for source, pattern in PREFILTERS.items() if pattern.search(text)}
    found = [s for each in PATTERNS if each.prefilter in passed for s in matches_of(each, text)]
    found.sort(key=lambda secret: secret.start)
    apart: list[Secret] = []
    for secret in found:
        if not apart or secret.start >= apart[-1].end:
            apart.append(secret)
    return apart


def matches_of(each: SecretPattern, text: str) -> Iterator[Secret]:
    """The secrets of one kind in ``text``, placeholders left out."""
    for match in each.pattern.finditer(text):
        if len(set(match.group(2))) >= MIN_DISTINCT:
            yield Secret(each.kind, match.start(), match.end(), match.end(1))


def redact(text: str) -> str:
    """``text`` with each secret replaced by ``[redacted:<kind>]``."""
    pieces, end = [], 0
    for secret in find_secrets(text):
        pieces += [text[end : secret.start], f"[redacted:{secret.kind}]"]
        end = secret.end
    return "".join(pieces) + text[end:]
