"""The consent of the person: asked by the client itself, past the model, before a write.

A model that obeys a trace can make a preview and use its token. What it cannot do is to answer for
its user: where the client can ask one (elicitation), it does, with the sentence of the preview.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

from mcp.server.mcpserver import Context, Elicit, Resolve
from pydantic import BaseModel, Field

from halo_engine.errors import ConfigError
from halo_engine.text.sanitize import safe_line
from halo_integrations.mcp.previews import Previews

QUESTION_CHARS = 1000


class Consent(BaseModel):
    """The answer of the person."""

    confirmed: bool = Field(title="Do this", description="Write what the preview showed.")


GIVEN = Consent(confirmed=True)


def with_consent(tool: Callable[..., str], previews: Previews) -> Callable[..., str]:
    """``tool``, which asks the person before it redeems a token, where the client can ask one.

    It raises ``ConfigError`` where the person says no.
    """

    def ask(context: Context[Any, Any], token: str | None = None) -> Consent | Elicit[Consent]:
        shown = previews.shown(token) if token else None
        capabilities = context.client_capabilities
        if shown is None or capabilities is None or capabilities.elicitation is None:
            return GIVEN  # for a preview, and where the token decides alone
        return Elicit(safe_line(f"halo-integrations: {shown}", QUESTION_CHARS), Consent)

    @wraps(tool)
    def call(*, consent: Consent, **arguments: object) -> str:
        if not consent.confirmed:
            raise ConfigError("Your user does not want this. Nothing was done.")
        return tool(**arguments)

    # The SDK learns from the signature what to tell the model, and what to fill in by itself.
    signature = inspect.signature(tool, eval_str=True)
    filled = inspect.Parameter(
        "consent", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Consent, Resolve(ask)]
    )
    parameters = [*signature.parameters.values(), filled]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    hints = get_type_hints(tool, include_extras=True)
    call.__annotations__ = {**hints, "consent": filled.annotation}
    return call
