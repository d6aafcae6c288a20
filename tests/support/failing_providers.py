"""Everything that a provider or a server can answer in place of a chat completion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from loopback import Answer
from model_endpoint import refusal

# A server that hangs waits for this, which is never set, so that a test does not wait for it.
HANGING_SECONDS = 3.0


def coded(status: int, message: str, code: str) -> Answer:
    return Answer(status=status, body={"error": {"message": message, "code": code}})


def hanging() -> Answer:
    threading.Event().wait(HANGING_SECONDS)
    return Answer(body={})


WINDOW = "This model's maximum context length is 100 tokens."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
POLICY = "The prompt triggered the content management policy."
LIMIT = "max_tokens is too large: 8000. This model supports at most 4096 completion tokens."
HTML = b"<html><title>Sign in</title></html>"
ELSEWHERE = {"location": "http://other.invalid/v1?token=hush"}

FAILURES: Mapping[str, Callable[[], Answer]] = {
    "400": lambda: refusal(400, "temperature"),
    "400 window": lambda: coded(400, WINDOW, "context_length_exceeded"),
    "400 policy": lambda: coded(400, POLICY, "content_filter"),
    "400 limit": lambda: coded(400, LIMIT, "invalid_value"),
    "400 credit": lambda: refusal(400, "Your credit balance is too low to access the API."),
    "401": lambda: refusal(401, "bad key"),
    "402": lambda: refusal(402, "Payment required"),
    "403": lambda: refusal(403, "forbidden"),
    "404": lambda: refusal(404, "which model?"),
    "404 HTML": lambda: Answer(status=404, body=HTML),
    "405": lambda: refusal(405, "method"),
    "408": lambda: refusal(408, "too slow"),
    "409": lambda: refusal(409, "conflict"),
    "413": lambda: refusal(413, "too large"),
    "422": lambda: refusal(422, "unprocessable"),
    "425": lambda: refusal(425, "too early"),
    "429": lambda: refusal(429, "slow down"),
    "429 seconds": lambda: refusal(429, "slow down", **{"retry-after": "7"}),
    "429 fraction": lambda: refusal(429, "slow down", **{"retry-after": "1.5"}),
    "429 past date": lambda: refusal(
        429, "slow down", **{"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}
    ),
    "429 quota": lambda: coded(429, QUOTA, "insufficient_quota"),
    "500": lambda: refusal(500, "oops"),
    "501": lambda: refusal(501, "not implemented"),
    "502 HTML": lambda: Answer(status=502, body=b"<html>bad gateway</html>"),
    "503": lambda: refusal(503, "overloaded", **{"retry-after": "2"}),
    "504": lambda: refusal(504, "gateway time-out"),
    "524": lambda: refusal(524, "a time-out occurred"),
    "529": lambda: refusal(529, "overloaded"),
    "302": lambda: Answer(status=302, headers=ELSEWHERE),
    "307": lambda: Answer(status=307, headers=ELSEWHERE),
    "cut": lambda: Answer(body={"choices": "x" * 999}, cut=True),
    "half of the JSON": lambda: Answer(body=b'{"choices": [{"mess'),
    "HTML": lambda: Answer(body=HTML),
    "wrong JSON": lambda: Answer(body={"hello": "world"}),
    "a list": lambda: Answer(body=[1]),
    "nothing": lambda: Answer(body=b""),
    "an error in a 200": lambda: coded_200("upstream failed", 502),
    "time-out": hanging,
}


def coded_200(message: str, code: Any) -> Answer:
    return Answer(body={"error": {"message": message, "code": code}})
