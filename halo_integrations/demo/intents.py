"""The intents of customers, each with the script of a conversation without failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from halo_integrations.demo.conversation import Conversation, Reply, call, calling
from halo_integrations.demo.shop import Order, order_of, passages

Script = tuple[str, tuple[Reply, ...]]
Intent = Callable[[Order, Random], Script]

CHANNELS = ("web chat", "app", "e-mail")


def ask_about_delivery(order: Order, random: Random) -> Script:
    """A question about a delivery."""
    request = random.choice(
        (
            f"Hi, where is my {order.product.name}? Order {order.id}, I wanted to take it along "
            "this weekend.",
            f"My order {order.id} should have been here by now. Can you see where it is?",
            f"Good morning, could you check the delivery of {order.id}? {order.carrier} shows "
            "nothing new since yesterday.",
        )
    )
    hub = random.choice(("sorting centre Kassel", "depot Metz", "sorting centre Linz"))
    scan = {"carrier": order.carrier, "last_scan": hub, "expected_on": order.arrival.isoformat()}
    return request, (
        calling(call("get_order", order.record("shipped"), order_id=order.id)),
        calling(call("track_parcel", scan, tracking_number=order.tracking)),
        Reply(
            f"Your {order.product.name} is with {order.carrier} and was last scanned at the "
            f"{hub}. It should reach you on {order.arrival:%d %B}; the tracking number is "
            f"{order.tracking}."
        ),
    )


def return_item(order: Order, random: Random) -> Script:
    """A return of an unused item."""
    reason = random.choice(("too small", "too large", "not as pictured", "bought twice"))
    request = random.choice(
        (
            f"I would like to return the {order.product.name} from {order.id}, it is {reason}.",
            f"Hello, order {order.id}: the {order.product.name} turned out to be {reason}. How do "
            "I send it back?",
            f"{order.product.name} is {reason}, unfortunately. It is unused. I need a return "
            f"label for {order.id} please.",
        )
    )
    number = f"RT-{random.randrange(1000, 9999)}"
    answer = {"return_id": number, "label": "sent by e-mail", "free": True}
    found = passages("return", random)
    search = replace(call("search_help_centre", query="return unused item"), passages=found)
    back = call(
        "create_return", answer, order_id=order.id, sku=order.product.sku, quantity=1, reason=reason
    )
    return request, (
        calling(call("get_order", order.record("delivered"), order_id=order.id)),
        calling(search),
        calling(back),
        Reply(
            f"Your return of the {order.product.name} is registered. The label is on its way to "
            f"{order.email}; drop the parcel at any {order.carrier} shop within 30 days, and "
            "the money is back within 5 working days after it has reached us."
        ),
    )


def request_refund(order: Order, random: Random) -> Script:
    """A refund for an item that arrived damaged."""
    damage = random.choice(("a broken zip", "a torn seam", "a cracked buckle", "a dented frame"))
    request = random.choice(
        (
            f"The {order.product.name} came with {damage}. I want my money back. I ordered as "
            f"{order.email}.",
            f"Very disappointed: {damage} on a brand-new {order.product.name}. Please refund "
            f"{order.id}.",
            f"Hi, {order.customer} here. {order.id} arrived with {damage}, photos are attached. "
            "Refund, please.",
        )
    )
    customer = {"email": order.email, "name": order.customer, "orders": [order.id]}
    refund = call(
        "refund_order",
        {"refunded_eur": order.product.price, "to": "original payment"},
        order_id=order.id,
        amount_eur=order.product.price,
        reason=damage,
    )
    return request, (
        calling(call("find_customer", customer, email=order.email)),
        calling(call("get_order", order.record("delivered"), order_id=order.id)),
        calling(refund),
        Reply(
            f"I am sorry about {damage}. {order.product.price:.2f} euros have been paid back for "
            f"{order.id}; your bank shows it in 2 to 4 days. You can keep or recycle the item."
        ),
    )


def change_address(order: Order, random: Random) -> Script:
    """A change of the delivery address."""
    street = f"{random.randrange(1, 90)} Weaver's Yard"
    request = random.choice(
        (
            f"I have moved! Can {order.id} go to {street}, {order.postcode} {order.city}?",
            f"Please change the address of order {order.id} to {street} in {order.city}, same "
            "postcode.",
            f"Wrong street on {order.id}, sorry. It should be {street}, {order.city}.",
        )
    )
    new = {"street": street, "postcode": order.postcode, "city": order.city}
    return request, (
        calling(call("get_order", order.record("packing"), order_id=order.id)),
        calling(call("update_address", {"updated": True} | new, order_id=order.id, **new)),
        Reply(
            f"Done: {order.id} now goes to {street}, {order.postcode} {order.city}. It leaves "
            f"with {order.carrier} and should arrive on {order.arrival:%d %B}."
        ),
    )


def ask_before_buying(order: Order, random: Random) -> Script:
    """A question about a product before an order."""
    topic, question = random.choice(
        (
            ("sizes", "runs true to size"),
            ("care", "can go into the washing machine"),
            ("delivery", "would be here by Friday"),
        )
    )
    request = random.choice(
        (
            f"Quick question before I buy: do you know if the {order.product.name} {question}?",
            f"I am looking at the {order.product.name}. Can you tell me if it {question}, and is "
            "it in stock?",
        )
    )
    pieces = random.randrange(3, 60)
    found = passages(topic, random)
    query = f"{order.product.name} {topic}"
    return request, (
        calling(replace(call("search_help_centre", query=query), passages=found)),
        calling(
            call("check_stock", {"sku": order.product.sku, "pieces": pieces}, sku=order.product.sku)
        ),
        Reply(f"{found[0].text} We have {pieces} pieces of the {order.product.name} in stock."),
    )


def cancel_order(order: Order, random: Random) -> Script:
    """A cancellation of an order."""
    reason = random.choice(("found it cheaper", "trip cancelled", "ordered by mistake"))
    request = random.choice(
        (
            f"Please cancel {order.id}: {reason}.",
            f"Can I still cancel my order {order.id} for the {order.product.name}? ({reason})",
            f"Hello, {order.customer}, {order.id}. I do not need it any more, {reason}.",
        )
    )
    answer = {"cancelled": True, "order_id": order.id}
    return request, (
        calling(call("get_order", order.record("packing"), order_id=order.id)),
        calling(call("cancel_order", answer, order_id=order.id, reason=reason)),
        Reply(
            f"{order.id} is cancelled. Nothing will be sent, and the {order.product.price:.2f} "
            "euros you paid return to your account within 3 days."
        ),
    )


def claim_warranty(order: Order, random: Random) -> Script:
    """A warranty claim."""
    damage = random.choice(("the zip is stuck", "a seam opened", "a pole snapped", "it leaks"))
    request = random.choice(
        (
            f"After one season {damage} on my {order.product.name} ({order.id}). Is that covered?",
            f"Warranty case: {order.product.name}, order {order.id}, {damage}.",
        )
    )
    case = f"WA-{random.randrange(1000, 9999)}"
    found = passages("warranty", random)
    query = f"warranty {order.product.topic}"
    return request, (
        calling(call("get_order", order.record("delivered"), order_id=order.id)),
        calling(replace(call("search_help_centre", query=query), passages=found)),
        calling(
            call(
                "hand_over",
                {"case": case, "department": "workshop"},
                department="workshop",
                summary=f"{order.product.name}: {damage}, bought {order.placed.isoformat()}",
            )
        ),
        Reply(
            f"That is covered for 3 years. I have opened case {case} with our workshop; please "
            "send two photos of the damage, and a colleague answers within two days."
        ),
    )


# The keys are in the traces, as the output of the agent's router.
INTENTS: dict[str, Intent] = {
    "where_is_it": ask_about_delivery,
    "send_it_back": return_item,
    "pay_it_back": request_refund,
    "move_it": change_address,
    "is_it_right": ask_before_buying,
    "call_it_off": cancel_order,
    "mend_it": claim_warranty,
}


def conversation_about(intent: str, age: float, random: Random) -> Conversation:
    """A conversation about ``intent`` without failures; ``age`` in seconds."""
    order = order_of(random)
    request, replies = INTENTS[intent](order, random)
    return Conversation(
        intent=intent,
        customer=order.customer,
        email=order.email,
        channel=random.choice(CHANNELS),
        request=request,
        replies=replies,
        age=age,
    )
