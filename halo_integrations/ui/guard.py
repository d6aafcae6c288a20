"""Who may use the pages: whoever has the link that was printed, from this machine.

A page of another site could send requests to a server on this machine, or have its own name resolved
to it. So every request needs the name that the server listens under, a cookie that comes with the
printed link and goes with no request of another site, and every form a token of this server.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Middleware

LOCAL_NAMES = ("127.0.0.1", "localhost")
TOKEN_BYTES = 32
FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "Cache-Control": "no-store",
    # With no-referrer a browser would not say of which site a form is.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Of the pages themselves.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# A report is a file of a run folder, which may have been copied from somebody else: its scripts are
# of no site, and so can neither read the pages nor send their forms.
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Lets requests through to pages on ``port`` that have the token of this server."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._port = port
        # Cookies of one host are shared by all of its ports.
        self._cookie = f"halo-{port}"

    @property
    def form_token(self) -> str:
        """What a form of this server holds: no page of another site can know it."""
        return hmac.new(self.token.encode(), b"form", sha256).hexdigest()

    @property
    def middleware(self) -> Middleware:
        """The check of each request."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._require_host(request)
            if self._is_same(request.query.get("token")):
                raise self._admitted(request)
            if not self._is_same(request.cookies.get(self._cookie)):
                raise refused("Open the link that `halo-integrations ui` printed.")
            if request.method == "POST":
                await self._require_form_token(request)
            response = await handler(request)
            response.headers.update(HEADERS)
            return response

        return check

    def _require_host(self, request: web.Request) -> None:
        allowed = {f"{name}:{self._port}" for name in LOCAL_NAMES}
        if request.host not in allowed:
            raise refused("This server answers under 127.0.0.1 and localhost only.")

    def _admitted(self, request: web.Request) -> web.HTTPException:
        """To the page without the token in its address, with the cookie in its place."""
        response = web.HTTPSeeOther(request.path)
        response.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict", path="/")
        response.headers.update(HEADERS)
        return response

    async def _require_form_token(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        given = await given_token(request)
        if origin not in (None, f"http://{request.host}"):
            raise refused("This form was sent by another site.")
        if not is_equal(given, self.form_token):
            raise refused("This form is of a server that has ended: open the page again.")

    def _is_same(self, given: str | None) -> bool:
        return given is not None and is_equal(given, self.token)


async def given_token(request: web.Request) -> str:
    """The token in the form that was sent; refuses what no page of this server sends."""
    try:
        if request.content_type == FORM:
            return str((await request.post()).get("form_token", ""))
    except (LookupError, ValueError):  # of an unknown encoding, or not in the one that it names
        pass
    raise refused("This is no form of these pages.")


def is_equal(given: str, token: str) -> bool:
    """Whether ``given`` is ``token``, in a time that does not tell; headers can hold any bytes."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def refused(reason: str) -> web.HTTPException:
    """The answer to a request that may not be made."""
    return web.HTTPForbidden(
        text=f"{HTTPStatus.FORBIDDEN.phrase}. {reason}\n", headers=dict(HEADERS)
    )
