"""Read one order."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose, rules


@dataclass(frozen=True)
class GetOrder(Tool):
    """Read an order of the customer: status, items with prices, payments, shipment and requests."""

    crm: Crm

    level = "claimed"
    provides = ("line", "payment_method")
    mentions = r"(?<!\w)(?P<order_id>#?[Ww]\d{7})(?!\w)"
    examples = (
        "What is in order #W4410923?",
        "#W7720145 details",
        "Could you tell me the status of my order #W3358810, please?",
        "how much did i pay for W9017734",
        "show order #W5562018",
        "Which items did I buy with order #W1284470 and what did each of them cost?",
        "status #W6693307",
        "was order #W8841256 paid by card or with paypal?",
        "I need the full details of W2047719 for my expenses.",
        "which address does #W4410923 go to",
        "Please check whether my order #W7150062 has been processed already.",
        "did the cancelation of #W3906681 go through",
        "What colour was the jacket I ordered in #W5278834?",
        "is #W1199045 still pending or what",
        "can u pull up my order W6624391",
        "I would like to see the total of order number #W8030527.",
    )

    async def __call__(self, order_id: OrderId, run: Run) -> Result:
        order = await self.crm.order(run, order_id)
        if order is None:
            raise Refused(rules.unknown_order(order_id))
        # The shipping address often holds the postcode that proves who somebody is.
        verified = run.level == "verified"
        data = prose.plain(order)
        if not verified:
            del data["address"], data["methods"]
        choices = {
            "line": prose.line_choices(order.lines),
            "payment_method": prose.method_choices(prose.order_methods(order), details=verified),
        }
        return Result(prose.order(order, address=verified), data, choices)
