"""The tools of the assistant, as they are declared to the model and as they are run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from .search import HelpCentre
from .settings import TOOL_ATTEMPTS
from .shop import OrderLocked, Shop, payment_of
from .tracing import Tracing

log = logging.getLogger(__name__)

TEXT = {"type": "string"}
AMOUNT = {"type": "number", "description": "Euros, in the words of the customer"}
QUANTITY = {"type": "integer", "minimum": 1, "description": "Pieces, in the words of the customer"}
ORDER_ID = {"type": "string", "pattern": "^LO-[0-9]{5}$"}


def tool(description: str, **parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool whose parameters are all required."""
    return {
        "description": description,
        "parameters": {
            "type": "object",
            "properties": parameters,
            "required": list(parameters),
            "additionalProperties": False,
        },
    }


TOOLS = {
    "find_customer": tool("Find a customer by e-mail address.", email=TEXT),
    "get_order": tool("Read one order.", order_id=ORDER_ID),
    "track_parcel": tool("Ask the carrier where a parcel is.", tracking_number=TEXT),
    "search_help_centre": tool("Search the help centre.", query=TEXT),
    "check_stock": tool("How many pieces are in the warehouse.", sku=TEXT),
    "create_return": tool(
        "Register a return and send the label.",
        order_id=ORDER_ID,
        sku=TEXT,
        quantity=QUANTITY,
        reason=TEXT,
    ),
    "refund_order": tool("Pay money back.", order_id=ORDER_ID, amount_eur=AMOUNT, reason=TEXT),
    "update_address": tool(
        "Change where an order is sent.",
        order_id=ORDER_ID,
        street=TEXT,
        postcode=TEXT,
        city=TEXT,
    ),
    "cancel_order": tool("Cancel an order.", order_id=ORDER_ID, reason=TEXT),
    "hand_over": tool("Hand the case to a colleague.", department=TEXT, summary=TEXT),
}


class Toolbox:
    """Runs the tools."""

    def __init__(self, shop: Shop, tracing: Tracing) -> None:
        self.shop = shop
        self.tracing = tracing
        help_centre = HelpCentre(shop, tracing)
        self.functions: dict[str, Callable[..., Any]] = {
            "find_customer": shop.customer,
            "get_order": self.get_order,
            "track_parcel": shop.scan,
            "search_help_centre": help_centre.search,
            "check_stock": shop.stock,
            "create_return": self.create_return,
            "refund_order": self.refund_order,
            "update_address": shop.update_address,
            "cancel_order": shop.cancel,
            "hand_over": shop.hand_over,
        }

    def run(self, name: str, call_id: str, arguments: dict[str, Any]) -> Any:
        """The result of a tool; an order that is in use is tried again."""
        for _ in range(TOOL_ATTEMPTS - 1):
            try:
                return self.run_once(name, call_id, arguments)
            except OrderLocked as error:
                log.info("%s: %s", name, error)
        return self.run_once(name, call_id, arguments)

    def run_once(self, name: str, call_id: str, arguments: dict[str, Any]) -> Any:
        """One run of a tool, as a span."""
        with self.tracing.tool(name, TOOLS[name], call_id, json.dumps(arguments)) as span:
            result = self.functions[name](**arguments)
            self.tracing.returned(span, result)
        return result

    def get_order(self, order_id: str) -> dict[str, Any]:
        """The record of an order, with its payment where that was made through a provider."""
        record = self.shop.order(order_id)
        account = self.shop.account(order_id)
        if account:
            record["payment"] = payment_of(account)
        return record

    def create_return(self, order_id: str, sku: str, quantity: Any, reason: str) -> dict[str, Any]:
        """Register a return; a quantity that is none is refused."""
        if not isinstance(quantity, int):
            return refused("quantity", quantity)
        return self.shop.create_return(order_id, sku, quantity, reason)

    def refund_order(self, order_id: str, amount_eur: Any, reason: str) -> dict[str, Any]:
        """Pay money back; an amount that is none is refused."""
        if not isinstance(amount_eur, int | float):
            return refused("amount_eur", amount_eur)
        return self.shop.refund(order_id, amount_eur, reason)


def refused(field: str, value: Any) -> dict[str, Any]:
    """The result of a call with a value that is no number."""
    return {"accepted": False, "message": f"{field} must be a number, got {value!r}"}
