"""Pay a pending order with another method."""

from dataclasses import dataclass

from tools._arguments import MethodId, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class ChangeOrderPayment(Tool):
    """Pay a pending order with another payment method of the customer and refund the first."""

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "Please charge order #W4410923 to my PayPal account instead of the card.",
        "change payment of #W7720145 to gift card",
        "I would rather pay order #W3358810 with my other credit card.",
        "use gift_card_2208174 for W9017734",
        "wrong card on my order, can i switch to paypal",
        "Could you move the payment of order #W5562018 to credit_card_7301945?",
        "pay #W1284470 with something else",
        "can the pending order be paid by my gift card and the visa be refunded?",
        "payment methd for #W6693307 should be paypal_4419027",
        "I used my company card by accident; kindly put order W8841256 on my private one.",
        "switch from paypal to mastercard for order W2047719 pls",
        "Is it possible to change how I pay for the order I placed this morning?",
        "put my order on the gift card i got for christmas",
        "different payment method for #W7150062 please",
        "Ola Haugen speaking. My order #W3906681 must not be charged to the card ending in 4417.",
        "I want to pay with my voucher card instead, order #W8030527",
        "Change the payment method of my pending order to PayPal.",
        "pay for #W5093325 with my mastercard, not paypal",
        "I'd like to use my gift card for order #W2918413 instead of the credit card.",
        "switch the card on my pending order",
        "Hi, Tara Singh, zip 73102. My order should be charged to my other card.",
        "Please put #W7741036 on PayPal and refund the visa.",
        "I chose the wrong payment method for the lamp, it should be the gift card",
        "update the payment on my order to credit_card_8820416",
        "Can I pay the pending order with another card? The first one expires.",
        "use paypal for the order i made today instead",
        "paymnt change for W6120590, gift card please",
        "I am careful with money, so move order #W3849019 from my credit card to my gift card.",
    )

    async def __call__(self, order_id: OrderId, payment_method_id: MethodId, run: Run) -> Result:
        payments = await self.crm.change_payment(run, order_id, payment_method_id)
        moved = ", ".join(prose.moved(payment) for payment in payments)
        return Result(
            f"Change the payment of order {order_id}: {moved}.",
            {"order_id": order_id, "payments": [prose.plain(payment) for payment in payments]},
        )
