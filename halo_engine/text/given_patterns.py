"""Regular expressions that somebody else gives: a user, a model, a known issue."""

from __future__ import annotations

import re2


def given_pattern(expression: str) -> re2._Regexp:
    """``expression`` as RE2 reads it: linear time, no look-around and no back-references.

    Raises ``ValueError`` with the reason where RE2 does not accept it.
    """
    options = re2.Options()
    options.log_errors = False  # it would write to standard error beside the exception
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0]  # google-re2 1.1 gives it as bytes
        raise ValueError(reason.decode(errors="replace")) from error
