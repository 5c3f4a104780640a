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
