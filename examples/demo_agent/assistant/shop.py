"""The services of the shop that the tools call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol


class OrderLocked(Exception):
    """Somebody else works on the order."""


class ServiceError(Exception):
    """A service did not do what was asked."""


@dataclass(frozen=True)
class Account:
    """The shop's account at a payment provider."""

    provider: str
    reference: str
    api_key: str


class Shop(Protocol):
    """The services; each method returns what the service answers, or raises one of the errors."""

    def customer(self, email: str) -> dict[str, Any]: ...

    def order(self, order_id: str) -> dict[str, Any]: ...

    def account(self, order_id: str) -> Account | None: ...

    def scan(self, tracking_number: str) -> dict[str, Any] | None: ...

    def passages(self, query: str) -> list[dict[str, Any]]: ...

    def stock(self, sku: str) -> dict[str, Any]: ...

    def create_return(
        self, order_id: str, sku: str, quantity: int, reason: str
    ) -> dict[str, Any]: ...

    def refund(self, order_id: str, amount_eur: float, reason: str) -> dict[str, Any]: ...

    def update_address(
        self, order_id: str, street: str, postcode: str, city: str
    ) -> dict[str, Any]: ...

    def cancel(self, order_id: str, reason: str) -> dict[str, Any]: ...

    def hand_over(self, department: str, summary: str) -> dict[str, Any]: ...


def payment_of(account: Account) -> dict[str, Any]:
    """Where an order was paid, for its record."""
    return asdict(account)
