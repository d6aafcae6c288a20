"""What a tool gives back: sentences of our own, then data between the delimiters of the session.

Texts of traces, and what servers and queries said of them, are only ever within the delimiters. They
are redacted as prompts are, sanitised as everything is that is shown, and bounded; what was cut is
said in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from halo_engine.errors import AdapterError, EngineError
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.text.redaction import Redactor, redact_visible
from halo_engine.text.sanitize import defang, safe_text, strip_invisible

# About 5,000 tokens. Clients warn of longer results, or cut them.
RESULT_CHARS = 20_000
ERROR_CHARS = 2000
# Errors that may hold what somebody else wrote.
FOREIGN = (AdapterError, EngineError)


class Answers:
    """Makes the texts that tools give back, with the delimiters of one session."""

    def __init__(self) -> None:
        self._delimiter = DataDelimiter(new_nonce())

    @property
    def instruction(self) -> str:
        """The sentences that explain the delimiters."""
        return self._delimiter.instruction

    def text(self, sentences: Iterable[str], data: str, redactor: Redactor) -> str:
        """``sentences``, then ``data`` as it can be shown."""
        shown = defang(strip_invisible(redactor.text(data)))
        return "\n".join([*sentences, self.instruction, self._delimiter(shown, RESULT_CHARS)])

    def rows(
        self, sentences: Iterable[str], rows: Sequence[Mapping[str, Any]], redactor: Redactor
    ) -> str:
        """``sentences``, then the first ``rows`` that fit, a line of JSON each."""
        lines = json_lines(rows)
        shown = lines_that_fit(lines, RESULT_CHARS)
        said = list(sentences)
        if len(shown) < len(lines):
            said.append(
                f"Only {len(shown):,} of these {len(lines):,} rows fit into {RESULT_CHARS:,} "
                "characters: ask for fewer or shorter columns, or for others."
            )
        return self.text(said, "\n".join(shown) or "(nothing)", redactor)

    def error(self, error: Exception) -> str:
        """What an agent is told of an error: framed where it can hold what somebody else wrote."""
        if isinstance(error.__cause__ or error, FOREIGN):
            return self._failed("It failed:", error)
        return safe_text(redact_visible(str(error)), ERROR_CHARS)

    def fault(self, error: Exception) -> str:
        """What an agent is told of an error that is not meant to happen."""
        kind = type(error).__name__
        return self._failed(f"A fault of halo-integrations; other tools may work. {kind}:", error)

    def _failed(self, sentence: str, error: Exception) -> str:
        message = defang(redact_visible(str(error)))
        return f"{sentence}\n{self._delimiter(message, ERROR_CHARS)}"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Each of ``rows`` as a line of JSON."""
    return [orjson.dumps(row, default=str).decode() for row in rows]


def lines_that_fit(lines: Sequence[str], limit: int) -> list[str]:
    """The first of ``lines`` that are ``limit`` characters together; the first in any case."""
    shown: list[str] = []
    room = limit
    for line in lines:
        room -= len(line) + 1
        if room < 0 and shown:
            break
        shown.append(line)
    return shown
