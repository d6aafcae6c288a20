"""The shop for which every agent works: its tools, and who asks. Agents import it."""

from __future__ import annotations

INSTRUCTIONS = "You are the support agent of a web shop. Use the tools to help the customer."
MODEL = "gpt-4o-mini"
STEPS = 6
SESSION = "s-1"
USER = "u-1"


def get_order(order_id: str) -> dict[str, str]:
    """Look up an order.

    Args:
        order_id: The number of the order.
    """
    if order_id.startswith("BAD"):
        raise ValueError(f"order {order_id} not found")
    return {"order_id": order_id, "status": "shipped", "day": "Monday"}


def cancel_order(order_id: str) -> dict[str, str]:
    """Cancel an order.

    Args:
        order_id: The number of the order.
    """
    return {"order_id": order_id, "status": "cancelled"}


def refund_order(order_id: str, amount: float) -> dict[str, str]:
    """Refund an order.

    Args:
        order_id: The number of the order.
        amount: How much to pay back, in EUR.
    """
    raise RuntimeError("payment service did not commit")


TOOLS = (get_order, cancel_order, refund_order)
