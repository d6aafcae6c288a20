"""What a failed model call means: its exception, whether it is retried, and whether it is charged.

``HANDLING`` is the table. A call is charged at the most that it asked for where a model may have
worked on it, and nothing where it was refused or never sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from halo_engine.errors import (
    AnswerWithheld,
    ModelBusy,
    ModelFailed,
    PromptTooLong,
    RequestRefused,
)
from halo_engine.text.redaction import redact

MESSAGE_CHARS = 300

# What providers and servers write where their error code does not say it.
CONTEXT_WINDOW = re.compile(
    r"context[ _](?:length|window|size)|prompt is too long|input is too long|too many (?:input )?"
    r"tokens|reduce the length",
    re.IGNORECASE,
)
CONTENT_POLICY = re.compile(
    r"content[ _](?:management )?policy|content[ _]filter|moderation|safety system",
    re.IGNORECASE,
)
# OpenRouter's 404 for a model that no provider serves in the requested form.
NO_ENDPOINT = re.compile(r"no endpoints? found that (?:can|support)", re.IGNORECASE)
NO_CREDIT = re.compile(
    r"insufficient[ _](?:quota|balance|credit|funds)|exceeded your current quota|credit balance",
    re.IGNORECASE,
)


class CallFailure(Enum):
    """The kinds of failed calls."""

    NO_SERVER = auto()
    UNREACHABLE = auto()
    LOST = auto()
    NO_API = auto()
    UNUSABLE = auto()
    UNEXPECTED = auto()
    REDIRECTED = auto()
    NO_KEY = auto()
    KEY_REFUSED = auto()
    NO_CREDIT = auto()
    NOT_FOUND = auto()
    TOO_LONG = auto()
    WITHHELD = auto()
    REFUSED = auto()
    BUSY = auto()


class Handling(NamedTuple):
    """The exception (``ModelBusy`` is retried), whether the call is charged, and the message."""

    error: type[ModelFailed]
    is_charged: bool
    text: str


HANDLING: Mapping[CallFailure, Handling] = {
    # No connection was made: to a server that never answered, or to one that did before.
    CallFailure.NO_SERVER: Handling(
        ModelFailed,
        False,
        "Nothing answers at {destination}: is the server running, and is this its address "
        "(--model-url)? ({message})",
    ),
    CallFailure.UNREACHABLE: Handling(ModelBusy, False, "{what} did not answer: {message}"),
    # The request was sent, but no complete answer of the model's server came back.
    CallFailure.LOST: Handling(ModelBusy, True, "{what} did not answer: {message}"),
    # A complete answer that is none of a model: of a server that never gave one, or that did before.
    CallFailure.NO_API: Handling(
        ModelFailed,
        True,
        "{what} answers, but not with a chat completion: check the address (--model-url), which "
        "often ends in /v1. ({message})",
    ),
    CallFailure.UNUSABLE: Handling(
        ModelBusy, True, "{what} did not answer with a chat completion: {message}"
    ),
    # An error of the library that calls the provider: what it is about is not known.
    CallFailure.UNEXPECTED: Handling(ModelFailed, True, "{what} cannot be called: {message}"),
    CallFailure.REDIRECTED: Handling(
        ModelFailed,
        False,
        "{what} redirects the request, and prompts are not sent to another address: set the "
        "final one with --model-url. ({message})",
    ),
    CallFailure.NO_KEY: Handling(ModelFailed, False, "There is no key for {what}: {message}"),
    CallFailure.KEY_REFUSED: Handling(
        ModelFailed,
        False,
        "{what} does not accept the key. Set the provider's own variable, or HALO_MODEL_API_KEY "
        "for --model-url. ({message})",
    ),
    CallFailure.NO_CREDIT: Handling(
        ModelFailed,
        False,
        "The account at {what} has no credit or quota left: add some there, and give the same "
        "command again. ({message})",
    ),
    CallFailure.NOT_FOUND: Handling(
        ModelFailed, False, "There is no model {what}: check --model and --model-url. ({message})"
    ),
    CallFailure.TOO_LONG: Handling(
        PromptTooLong, False, "The request is too long for {what}: {message}"
    ),
    CallFailure.WITHHELD: Handling(
        AnswerWithheld, False, "A content filter of {what} refuses the request: {message}"
    ),
    CallFailure.REFUSED: Handling(RequestRefused, False, "{what} refuses the request: {message}"),
    CallFailure.BUSY: Handling(ModelBusy, False, "{what} did not answer: {message}"),
}

# HTTP statuses; others are REDIRECTED below 400, REFUSED below 500, and BUSY from there.
OF_STATUS: Mapping[int, CallFailure] = {
    401: CallFailure.KEY_REFUSED,
    402: CallFailure.NO_CREDIT,
    403: CallFailure.KEY_REFUSED,
    404: CallFailure.NOT_FOUND,
    405: CallFailure.NOT_FOUND,
    410: CallFailure.NOT_FOUND,
    413: CallFailure.TOO_LONG,
    **dict.fromkeys((409, 425, 429), CallFailure.BUSY),
    **dict.fromkeys((501, 505), CallFailure.REFUSED),
    # A gateway stopped waiting for the model's server, or lost its answer.
    **dict.fromkeys((408, 502, 504, 520, 524), CallFailure.LOST),
}


@dataclass(frozen=True)
class FailedCall:
    """A call without a usable answer.

    ``what`` names the model and where it is, ``message`` is the provider's, ``retry_after`` the
    seconds that it asks to wait, None where it names none.
    """

    kind: CallFailure
    what: str
    destination: str
    message: str
    retry_after: float | None = None

    def error(self) -> ModelFailed:
        """The exception for it, by ``HANDLING``."""
        handling = HANDLING[self.kind]
        message = self.message
        if self.retry_after:
            message = f"{message} (it asks to wait {self.retry_after:,.0f} seconds)"
        text = handling.text.format(what=self.what, destination=self.destination, message=message)
        if handling.error is ModelBusy:
            billed = handling.is_charged
            return ModelBusy(text, retry_after=self.retry_after, maybe_billed=billed)
        return handling.error(text, maybe_billed=handling.is_charged)


def failure_of_status(status: int, message: str, code: str = "") -> CallFailure:
    """What an HTTP status with the provider's ``message`` and error ``code`` means."""
    told = f"{code} {message}"
    if 400 <= status < 500 and status not in (401, 404, 408):
        if NO_CREDIT.search(told):
            return CallFailure.NO_CREDIT
        if status != 429 and CONTEXT_WINDOW.search(told):
            return CallFailure.TOO_LONG
        if status != 429 and CONTENT_POLICY.search(told):
            return CallFailure.WITHHELD
    if status < 400:
        return CallFailure.REDIRECTED
    if status == 404 and NO_ENDPOINT.search(told):
        return CallFailure.REFUSED
    default = CallFailure.REFUSED if status < 500 else CallFailure.BUSY
    return OF_STATUS.get(status, default)


def shown_message(text: str) -> str:
    """The first line of a provider's message, without secrets."""
    lines = redact(text).strip().splitlines()
    return lines[0][:MESSAGE_CHARS] if lines else ""
