"""The services of the shop that the tools call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol


class ToolError(Exception):
    """A tool of the shop failed."""


class Orders(Protocol):
    """The order service."""

    def customer(self, email: str) -> dict[str, Any]: ...

    def record(self, order_id: str) -> dict[str, Any]: ...

    def is_settled(self, order_id: str) -> bool: ...

    def scan(self, tracking_number: str) -> dict[str, Any]: ...

    def stock(self, sku: str) -> dict[str, Any]: ...

    def create_return(
        self, order_id: str, sku: str, quantity: int, reason: str
    ) -> dict[str, Any]: ...

    def update_address(
        self, order_id: str, street: str, postcode: str, city: str
    ) -> dict[str, Any]: ...

    def cancel(self, order_id: str, reason: str) -> dict[str, Any]: ...

    def hand_over(self, department: str, summary: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Account:
    """The shop's account at a payment provider."""

    provider: str
    api_key: str


class Payments:
    """The payment provider, of which each order has an account."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self.accounts = accounts

    def account(self, order_id: str) -> dict[str, Any]:
        """Where an order was paid."""
        account = self.accounts[order_id]
        return asdict(account)

    def refund(self, order_id: str, amount: float, reason: str) -> dict[str, Any]:
        """Pay back through the account of the order."""
        if order_id not in self.accounts:
            raise ToolError("ValidationError: order is locked by audit")
        return {"refunded_eur": amount, "to": "original payment"}
