"""Say where an order is."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose, rules


@dataclass(frozen=True)
class TrackOrder(Tool):
    """Say whether an order was shipped, and under which tracking numbers its items travel."""

    crm: Crm

    level = "claimed"
    examples = (
        "Where is my order #W4410923?",
        "wheres my parcel",
        "has #W7720145 shipped yet",
        "Could you give me the tracking number for order #W3358810?",
        "track W9017734",
        "My package still has not arrived, can you see where it is?",
        "when will order #W5562018 get here",
        "I'd like to know if my parcel has left your warehouse, order #W1284470.",
        "tracking for #W6693307 pls",
        "it's been ages since i ordered, where is it??",
        "Is my delivery on its way?",
        "has the second box of #W8841256 been sent",
        "Please tell me how far the shipment of W2047719 has come.",
        "need trackin id for my order",
        "Did you dispatch the boots I bought last week?",
        "what's the delivery status of #W7150062",
        "where is my stuff",
        "I ordered boots ten days ago and nothing has come. Where are they?",
        "When can I expect #W5093321?",
        "tracking number #W2918410",
        "I'm a nervous person, so please tell me where my package is right now.",
        "has my order been shipped or not",
        "Hi, Alma Ruiz, zip 92101. When will the tent I ordered be delivered?",
        "#W7741033 where is it",
        "Which tracking numbers do the items in #W6120587 travel under?",
        "my delivry is late, any news on it?",
        "what is the ETA for order W3849016",
        "Did #W8406198 leave the warehouse yet?",
        "I need to be home for the delivery, so on which day does #W5518204 arrive?",
        "can i get the tracking link for the lamp",
        "Is #W1730947 out for delivery?",
        "Track my package, please.",
        "track all my orders",
        "It should have been here on Friday. Where is my parcel?",
        "Do you know whether the courier has picked up #W9264072?",
        "Have you shipped #W4420919 already?",
        "did my order go out",
        "Has my package with the boots been dispatched, and is there a tracking link?",
        "my order is late, where is it",
    )

    async def __call__(self, order_id: OrderId, run: Run) -> Result:
        order = await self.crm.order(run, order_id)
        if order is None:
            raise Refused(rules.unknown_order(order_id))
        return Result(
            f"Order {order.id} is {order.status}. {prose.shipping(order)}",
            {
                "order_id": order.id,
                "status": order.status,
                "tracking_ids": [each for sent in order.fulfilments for each in sent.tracking_ids],
            },
        )
