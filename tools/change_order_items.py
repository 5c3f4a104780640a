"""Change the items of a pending order."""

from dataclasses import dataclass

from tools._arguments import LineIds, MethodId, NewItemIds, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose, rules


@dataclass(frozen=True)
class ChangeOrderItems(Tool):
    """Change items of a pending order to other variants of the same products.

    This is possible once for an order, so all changes are made in one call.
    """

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I'd like to change the colour of the lamp in my pending order #W4410923.",
        "make the t-shirt in #W7720145 a size L instead of M",
        "Can I switch the tablet in order #W3358810 to the 64GB one before it ships?",
        "change item 3370918264 to 5529047718 in W9017734",
        "i picked the wrong size boots, order not shipped yet, need a 10",
        "Please modify order #W5562018: I want the bluetooth headphones in white.",
        "swap the kettle for the 2L version in #W1284470, pay with paypal",
        "Would you upgrade the laptop in my pending order to 32GB of RAM?",
        "modfy items in #W6693307",
        "the order #W8841256 is still pending, so could the blanket be the wool one?",
        "cheapest version of the speaker please, in the order i just placed",
        "I ordered the black chair but want grey, order W2047719",
        "update the items of my pending order",
        "Before you send it, could both mugs become the larger kind?",
        "different variant for the watch in #W7150062, charge the difference to my gift card",
        "This is Hugo Marsh. In order #W3906681 the desk should be oak rather than pine.",
    )

    async def __call__(
        self,
        order_id: OrderId,
        item_ids: LineIds,
        new_item_ids: NewItemIds,
        payment_method_id: MethodId,
        run: Run,
    ) -> Result:
        swaps, payment = await self.crm.change_items(
            run, order_id, item_ids, new_item_ids, payment_method_id
        )
        moved = prose.moved(payment) if payment.amount else "no price difference"
        return Result(
            f"Change order {order_id}: {prose.swapped(swaps)}; {moved}. "
            "After this the items cannot be changed again and the order cannot be cancelled.",
            {
                "order_id": order_id,
                "status": rules.ITEM_MODIFIED,
                "items": [prose.plain(swap.variant) for swap in swaps],
                "payments": [prose.plain(payment)],
            },
        )
