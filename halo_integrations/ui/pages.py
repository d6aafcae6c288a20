"""The pages, from templates; whatever comes from traces, models and people is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web

from halo_engine.text.sanitize import safe_line, visible_line
from halo_integrations.ui.guard import PAGE_POLICY

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

CODE = re.compile(r"`([^`]+)`")
TEXT_CHARS = 2000


@cache
def environment() -> Environment:
    """The templates, compiled at first use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("halo_integrations", "ui/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["line"] = lambda text: safe_line(str(text), TEXT_CHARS)
    found.filters["place"] = lambda text: visible_line(str(text), TEXT_CHARS)
    found.filters["told"] = told_html
    return found


def told_html(text: str) -> Markup:
    """A sentence of ours, with what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 (it is escaped)


def page(
    template: str, values: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK
) -> web.Response:
    """The page of ``template`` with ``values``."""
    text = environment().get_template(f"{template}.html.j2").render(values)
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        headers={"Content-Security-Policy": PAGE_POLICY},
    )


def style_sheet() -> web.Response:
    """The style of all pages."""
    text = files("halo_integrations.ui").joinpath("ui.css").read_text("utf-8")
    return web.Response(text=text, content_type="text/css")
