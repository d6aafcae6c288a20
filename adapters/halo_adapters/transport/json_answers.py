"""JSON in answers: parsed once, by the transport or by who asked, with what servers write in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import orjson

from halo_adapters.transport.errors import not_json, request_name, unknown_form

# Where a response keeps the value of its body, and where a request says how that is parsed.
PARSED = "halo_json"
PARSE = "halo_parse"
# An escape of JSON: of both halves of a character, of one half, or any other.
HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
ESCAPE = re.compile(rb"(?s)%b%b|(?P<half>%b|%b)|\\." % (HIGH, LOW, HIGH, LOW))


def json_body(platform: str, response: httpx.Response) -> Any:
    """The JSON value of an answer; raises ``Unavailable`` where its body is not JSON.

    It is parsed once: the transport has done so for an answer that says that it is JSON. Where the
    request says how, and that makes a type of it, ``Rejected`` is raised where it has another form.
    """
    if PARSED not in response.extensions:
        parse = response.request.extensions.get(PARSE, orjson.loads)
        name = request_name(response.request)
        try:
            response.extensions[PARSED] = parsed_by(parse, response.content)
        except msgspec.ValidationError as error:
            raise unknown_form(platform, name) from error
        except (ValueError, msgspec.DecodeError) as error:
            raise not_json(platform, name, response.text) from error
    return response.extensions[PARSED]


def parsed_by(parse: Callable[[bytes], Any], content: bytes) -> Any:
    """What ``parse`` makes of JSON; escapes of half a character, which it refuses, become U+FFFD.

    JavaScript cuts texts between the halves, and writes what is left as an escape.
    """
    try:
        return parse(content)
    except (ValueError, msgspec.DecodeError):
        whole = ESCAPE.sub(whole_escape, content)
        if whole == content:
            raise
        return parse(whole)


def whole_escape(escape: re.Match[bytes]) -> bytes:
    """An escape of JSON as it is, or that of U+FFFD for half a character."""
    return rb"\ufffd" if escape["half"] else escape[0]


def require_valid_json(platform: str, response: httpx.Response) -> None:
    """Raise ``Unavailable`` for an answer that says that it is JSON, and is not, or not whole."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/json") and response.content:
        json_body(platform, response)
