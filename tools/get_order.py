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
        "What's the total of my order #W5093320, including shipping?",
        "look up order #W2918409",
        "I'd like to know what I paid for the lamp in order #W7741032.",
        "order number is #W6120586",
        "Tell me the size of the boots in #W3849015, I forgot what I chose.",
        "How many items are in order #W8406197?",
        "I'm a curious person. Which items are in #W5518203, and is it pending or delivered?",
        "check order W1730946",
        "what did i order in #W9264071",
        "Was the return for #W4086613 accepted?",
        "Has order #W7392058 been cancelled or is it still active?",
        "whats the status on #W2650917 pls",
        "which payment method did I use for order #W5837140",
        "When I look at #W6049382 there are two mugs, is that right?",
        "Give me a summary of #W3175529, please.",
        "Show me the items, prices and the address of #W8823406.",
        "can you pull the details of my order, the number is W4961370",
        "I want to check the shipping address on order #W1508824.",
        "Is the exchange I requested for #W7286015 recorded?",
        "Where is order #W7035583 being shipped to, which address?",
        "how was #W2219861 paid, visa or gift card",
        "What color and size are the boots in order #W5310746?",
        "pull up #W6894123",
        "I need to know the price of the kettle in order #W8157034.",
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
