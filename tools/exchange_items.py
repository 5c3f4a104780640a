"""Exchange delivered items."""

from dataclasses import dataclass

from tools._arguments import LineIds, MethodId, NewItemIds, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class ExchangeItems(Tool):
    """Request the exchange of delivered items for other variants of the same products.

    This is possible once for an order, so all items are named in one call.
    """

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I would like to exchange the boots from order #W4410923 for a size 9.",
        "exchange the lamp in #W7720145 for a black one",
        "The jacket I received is too small, could I swap it for an XL?",
        "swap item 3370918264 for 5529047718, order W9017734 arrived yesterday",
        "got the wrong colour mug, want the blue one instead",
        "Order #W3358810 was delivered, but I'd prefer the tablet with more storage.",
        "can i trade my keyboard for the one with clicky switches",
        "Please exchange both cushions of #W5562018 for the grey version, difference on PayPal.",
        "exchnage headphones from #W1284470",
        "My delivered espresso machine is fine, yet I want the stainless steel model in its place.",
        "replace the skateboard i got with the longer one",
        "Is an exchange possible? The shirt from order #W6693307 should be cotton.",
        "I want to switch the delivered vacuum to the cordless kind, use my gift card",
        "different size for the sneakers in W8841256 please, these are to tight",
        "This is Bruno Keller. I wish to exchange the watch I received for one with a metal band.",
        "exchange 2 items of #W2047719: the hose and the grill",
    )

    async def __call__(
        self,
        order_id: OrderId,
        item_ids: LineIds,
        new_item_ids: NewItemIds,
        payment_method_id: MethodId,
        run: Run,
    ) -> Result:
        swaps, difference = await self.crm.exchange_items(
            run, order_id, item_ids, new_item_ids, payment_method_id
        )
        return Result(
            f"Exchange in order {order_id}: {prose.swapped(swaps)}; "
            f"{prose.settled(difference, payment_method_id)}. An e-mail explains how to send the "
            "items back. An order can be exchanged only once.",
            {
                "order_id": order_id,
                "status": "exchange requested",
                "items": [prose.plain(swap.variant) for swap in swaps],
                "price_difference": prose.money(difference),
                "payment_method_id": payment_method_id,
            },
        )
