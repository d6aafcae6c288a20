"""The tools of the assistant, as they are declared to the model and as they are run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backend import Orders, Payments, ToolError
from .search import HelpCentre

IN_WORDS = 'in the words of the customer, such as "one" or "all of it"'

TEXT = {"type": "string"}
AMOUNT = {"type": "number", "description": f"Euros, {IN_WORDS}"}
QUANTITY = {"type": "integer", "minimum": 1, "description": f"Pieces, {IN_WORDS}"}
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

    def __init__(self, orders: Orders, payments: Payments, help_centre: HelpCentre) -> None:
        self.orders = orders
        self.payments = payments
        self.help_centre = help_centre

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The function of each tool."""
        return {
            "find_customer": self.orders.customer,
            "get_order": self.get_order,
            "track_parcel": self.orders.scan,
            "search_help_centre": self.help_centre.search,
            "check_stock": self.orders.stock,
            "create_return": self.create_return,
            "refund_order": self.refund_order,
            "update_address": self.orders.update_address,
            "cancel_order": self.orders.cancel,
            "hand_over": self.orders.hand_over,
        }

    def get_order(self, order_id: str) -> dict[str, Any]:
        """The record of an order, with its payment where that was made through a provider."""
        record = self.orders.record(order_id)
        if record.pop("paid_online", False):
            record["payment"] = self.payments.account(record["order_id"])
        return record

    def create_return(self, order_id: str, sku: str, quantity: Any, reason: str) -> dict[str, Any]:
        """Register a return; a quantity that is none is refused."""
        if not isinstance(quantity, int):
            return refused("quantity", quantity)
        return self.orders.create_return(order_id, sku, quantity, reason)

    def refund_order(self, order_id: str, amount_eur: Any, reason: str) -> dict[str, Any]:
        """Pay money back; an amount that is none is refused."""
        if not isinstance(amount_eur, int | float):
            return refused("amount_eur", amount_eur)
        if not self.orders.is_settled(order_id):
            raise ToolError("ServiceError: order service did not commit the transaction")
        return self.payments.refund(order_id, amount_eur, reason)


def refused(field: str, value: Any) -> dict[str, Any]:
    """The result of a call with a value that is no number."""
    return {"accepted": False, "message": f"{field} must be a number, got {value!r}"}
