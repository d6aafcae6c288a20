"""The fictional shop: products, orders, help texts, and the tools of its agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from halo_integrations.demo.conversation import Passage

SHOP = "Larkfield Outdoor"
FIRST_DAY = date(2026, 1, 5)
SYSTEM_PROMPT = (
    f"You are the service assistant of {SHOP}, a shop for hiking and camping gear. Look up the "
    "order before you promise anything. Change an order only through the tools, and tell the "
    "customer exactly what was done. When a tool fails, say so and hand over to a colleague."
)


@dataclass(frozen=True)
class Product:
    """A product of the shop; ``price`` in euros."""

    sku: str
    name: str
    price: float
    topic: str


@dataclass(frozen=True)
class Order:
    """An order of one product, with its address and its parcel."""

    id: str
    customer: str
    email: str
    product: Product
    street: str
    city: str
    postcode: str
    carrier: str
    tracking: str
    placed: date

    @property
    def arrival(self) -> date:
        """The day the carrier promised."""
        return self.placed + timedelta(days=5)

    def record(self, status: str) -> dict[str, Any]:
        """The order as the tools return it."""
        return {
            "order_id": self.id,
            "status": status,
            "customer": self.customer,
            "placed_on": self.placed.isoformat(),
            "items": [
                {
                    "sku": self.product.sku,
                    "name": self.product.name,
                    "quantity": 1,
                    "price_eur": self.product.price,
                }
            ],
            "ship_to": f"{self.street}, {self.postcode} {self.city}",
            "carrier": self.carrier,
            "tracking_number": self.tracking,
        }


PRODUCTS = (
    Product("TNT-204", "Moorland 2 tent", 289.0, "tents"),
    Product("TNT-311", "Ridgeline 3 tent", 419.5, "tents"),
    Product("BAG-118", "Alder down sleeping bag", 236.0, "sleeping bags"),
    Product("BAG-140", "Juniper summer sleeping bag", 94.9, "sleeping bags"),
    Product("BOT-430", "Scree GTX hiking boots", 189.95, "boots"),
    Product("BOT-455", "Tarn approach shoes", 134.0, "boots"),
    Product("JKT-072", "Petrel rain jacket", 174.0, "jackets"),
    Product("JKT-081", "Fulmar insulated jacket", 219.0, "jackets"),
    Product("PCK-516", "Cairn 45 backpack", 158.5, "backpacks"),
    Product("STV-009", "Ember gas stove", 62.0, "stoves"),
    Product("MAT-233", "Heather sleeping mat", 79.0, "mats"),
    Product("LMP-027", "Glow-worm headlamp", 44.5, "lamps"),
)
FIRST_NAMES = ("Amara", "Bogdan", "Chiara", "Esther", "Greta", "Hamid", "Ines", "Jonas", "Tilda")
LAST_NAMES = ("Berger", "Dvorak", "Eriksen", "Hussein", "Moreau", "Novak", "Okafor", "Silva")
PLACES = (
    ("Lyon", "69003"),
    ("Gdansk", "80-244"),
    ("Utrecht", "3511 AB"),
    ("Leipzig", "04109"),
    ("Porto", "4050-290"),
    ("Bergen", "5003"),
    ("Graz", "8010"),
    ("Ghent", "9000"),
)
STREETS = ("Mill Lane", "Station Road", "Orchard Street", "Harbour Walk", "Chapel Row", "Elm Court")
CARRIERS = (("Nordpost", "NP"), ("ParcelGo", "PG"), ("TransAlp", "TA"))

HELP_TEXTS = {
    "return": "Unused items go back within 30 days of delivery. The label is free within the EU; "
    "the refund is made within 5 working days after the parcel has reached our warehouse.",
    "warranty": "Seams, zips and poles carry a warranty of 3 years. Send two photos of the damage; "
    "repairs take about 12 working days, and a replacement is sent when a repair is not possible.",
    "care": "Wash down and membranes with a special detergent at 30 degrees, without softener, and "
    "dry them slowly. Renew the water repellent finish after every fifth wash.",
    "sizes": "Boots run half a size small. Measure your foot in the evening, add 1 cm, and compare "
    "the length with the table on the product page.",
    "delivery": "Orders placed before 14:00 leave on the same day. Delivery takes 2 to 5 working "
    "days within the EU. A parcel counts as lost after 10 working days without a scan.",
}


def order_of(random: Random) -> Order:
    """A random order."""
    first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
    city, postcode = random.choice(PLACES)
    carrier, prefix = random.choice(CARRIERS)
    return Order(
        id=f"LO-{random.randrange(10_000, 99_999)}",
        customer=f"{first} {last}",
        email=f"{first}.{last}@example.com".lower(),
        product=random.choice(PRODUCTS),
        street=f"{random.randrange(1, 120)} {random.choice(STREETS)}",
        city=city,
        postcode=postcode,
        carrier=carrier,
        tracking=f"{prefix}{random.randrange(10**9, 10**10)}",
        placed=FIRST_DAY + timedelta(days=random.randrange(300)),
    )


def passages(topic: str, random: Random) -> tuple[Passage, ...]:
    """The result of a search for ``topic``: its passage, and another with a lower score."""
    other = random.choice([name for name in HELP_TEXTS if name != topic])
    close, far = random.uniform(0.78, 0.93), random.uniform(0.52, 0.68)
    return (
        Passage(f"help/{topic}", HELP_TEXTS[topic], round(close, 3)),
        Passage(f"help/{other}", HELP_TEXTS[other], round(far, 3)),
    )


def tool(description: str, **parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool as it is declared to the model: every parameter is required, no other is allowed."""
    return {
        "description": description,
        "parameters": {
            "type": "object",
            "properties": parameters,
            "required": list(parameters),
            "additionalProperties": False,
        },
    }


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
COUNT = {"type": "integer", "minimum": 1}
ORDER_ID = {"type": "string", "pattern": "^LO-[0-9]{5}$"}

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
        quantity=COUNT,
        reason=TEXT,
    ),
    "refund_order": tool("Pay money back.", order_id=ORDER_ID, amount_eur=NUMBER, reason=TEXT),
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
