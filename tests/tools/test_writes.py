"""What writes do, and what they refuse: each refusal leaves the shop as it was."""

import pytest

RED, BLUE, GREEN = "2000000001", "2000000002", "2000000003"
SMALL, LARGE = "2000000011", "2000000012"
CARD, PAYPAL, GIFT = "credit_card_1111111", "paypal_1111112", "gift_card_1111113"
HOME = {"address1": "1 New Road", "city": "Salem", "state": "OR", "postcode": "97301"}
NO_NEED = {"reason": "no longer needed"}


def items(order_id, old, new, method=CARD):
    return {
        "order_id": order_id,
        "item_ids": old,
        "new_item_ids": new,
        "payment_method_id": method,
    }


def returned(order_id, item_ids, method=CARD):
    return {"order_id": order_id, "item_ids": item_ids, "payment_method_id": method}


REFUSED = [
    ("cancel_order", {"order_id": "#W1000003", **NO_NEED}, "is delivered"),
    ("cancel_order", {"order_id": "#W1000004", **NO_NEED}, "is processed"),
    ("cancel_order", {"order_id": "#W9999999", **NO_NEED}, "cannot find order"),
    ("cancel_order", {"order_id": "#W2000001", **NO_NEED}, "cannot find order"),
    ("cancel_order", {"order_id": "#W1000001", "reason": "too slow"}, "reason"),
    ("cancel_order", {"order_id": "order one", **NO_NEED}, "order_id"),
    ("cancel_order", {"order_id": "#W1000001"}, "reason"),
    ("cancel_order", {"order_id": "#W1000001", **NO_NEED, "customer_id": "ben_2"}, "customer_id"),
    ("change_order_address", {"order_id": "#W1000003", **HOME}, "is delivered"),
    ("change_order_address", {"order_id": "#W2000001", **HOME}, "cannot find order"),
    ("change_order_address", {"order_id": "#W1000001", **HOME, "address1": " "}, "address1"),
    ("change_order_payment", {"order_id": "#W1000004", "payment_method_id": PAYPAL}, "processed"),
    ("change_order_payment", {"order_id": "#W1000001", "payment_method_id": CARD}, "already paid"),
    (
        "change_order_payment",
        {"order_id": "#W1000001", "payment_method_id": "gift_card_2222222"},
        "not one of your payment methods",
    ),
    ("change_order_items", items("#W1000003", [RED], [BLUE]), "is delivered"),
    ("change_order_items", items("#W1000001", [RED], [RED]), "choose another"),
    ("change_order_items", items("#W1000001", [RED], [LARGE]), "another variant of Lamp"),
    ("change_order_items", items("#W1000001", [RED], [GREEN]), "is not available"),
    ("change_order_items", items("#W1000001", [RED], ["2999999999"]), "There is no item"),
    ("change_order_items", items("#W1000001", [LARGE], [SMALL]), "does not hold"),
    ("change_order_items", items("#W1000001", [RED, RED], [BLUE, BLUE]), "does not hold"),
    ("change_order_items", items("#W1000001", [RED, SMALL], [BLUE]), "exactly one new item"),
    ("change_order_items", items("#W1000001", [], []), "item_ids"),
    ("change_order_items", items("#W1000001", [RED], [BLUE], "paypal_9"), "not one of your"),
    ("return_items", returned("#W1000001", [RED]), "is pending"),
    ("return_items", returned("#W1000003", [RED], PAYPAL), "original payment method"),
    ("return_items", returned("#W1000003", [LARGE]), "does not hold"),
    ("return_items", returned("#W1000003", [RED, RED, RED]), "does not hold"),
    ("return_items", returned("#W2000002", [SMALL]), "cannot find order"),
    ("exchange_items", items("#W1000001", [RED], [BLUE]), "is pending"),
    ("exchange_items", items("#W1000003", [RED], [GREEN]), "is not available"),
    ("exchange_items", items("#W1000003", [SMALL], [BLUE]), "another variant of Mug"),
    ("exchange_items", items("#W2000002", [SMALL], [LARGE]), "cannot find order"),
]


@pytest.mark.parametrize(("tool", "args", "why"), REFUSED)
async def test_what_policy_forbids_is_refused_and_changes_nothing(shop, tool, args, why) -> None:
    before = await shop.state()
    outcome = await shop.call(tool, **args)
    assert outcome.result is None
    assert outcome.receipt is None
    assert why in outcome.error
    assert await shop.state() == before
    assert await shop.toolbox.receipts(shop.thread_id) == []


async def test_a_gift_card_that_does_not_cover_is_refused(shop) -> None:
    before = await shop.state()
    ben = shop.run("ben_2")
    gift = {"order_id": "#W2000001", "payment_method_id": "gift_card_2222222"}
    assert "does not cover 25.50" in (await shop.call("change_order_payment", ben, **gift)).error
    swap = items("#W2000002", [RED], [BLUE], "gift_card_2222222")
    assert "does not cover 5.50" in (await shop.call("exchange_items", ben, **swap)).error
    assert await shop.state() == before


async def test_cancelling_refunds_what_was_paid_and_keeps_the_reason(shop) -> None:
    outcome = await shop.call("cancel_order", order_id="#W1000001", **NO_NEED)
    assert outcome.result.text == (
        "Cancel order #W1000001 (no longer needed): refund 28.10 to credit card "
        "credit_card_1111111 within 5 to 7 business days."
    )
    order = await shop.order("#W1000001")
    assert order["status"] == "cancelled"
    assert order["cancel_reason"] == "no longer needed"
    assert order["payment_history"][1:] == [
        {"transaction_type": "refund", "amount": "28.10", "payment_method_id": CARD}
    ]


async def test_cancelling_credits_a_gift_card_at_once(shop) -> None:
    outcome = await shop.call("cancel_order", order_id="#W1000002", **NO_NEED)
    assert "gift card gift_card_1111113 at once" in outcome.result.text
    assert await shop.balance("ada_1", GIFT) == "38.10"


async def test_an_order_paid_anew_is_refunded_to_the_method_that_paid_last(shop) -> None:
    await shop.call("change_order_payment", order_id="#W1000002", payment_method_id=PAYPAL)
    assert await shop.balance("ada_1", GIFT) == "38.10"
    outcome = await shop.call("cancel_order", order_id="#W1000002", **NO_NEED)
    assert [payment["method_id"] for payment in outcome.result.data["payments"]] == [PAYPAL]
    assert await shop.balance("ada_1", GIFT) == "38.10"


async def test_the_payment_of_an_order_changes_once(shop) -> None:
    await shop.call("change_order_payment", order_id="#W1000001", payment_method_id=GIFT)
    assert await shop.balance("ada_1", GIFT) == "1.90"
    again = await shop.call("change_order_payment", order_id="#W1000001", payment_method_id=PAYPAL)
    assert "changed before" in again.error


async def test_every_changed_item_gets_its_own_price_and_options(shop) -> None:
    swap = items("#W1000001", [RED, SMALL], [BLUE, LARGE], GIFT)
    outcome = await shop.call("change_order_items", **swap)
    assert "pay 6.45 with gift card" in outcome.result.text
    order = await shop.order("#W1000001")
    assert order["status"] == "pending (item modified)"
    assert [(line["item_id"], line["price"], line["options"]) for line in order["items"]] == [
        (BLUE, "25.50", {"color": "blue"}),
        (LARGE, "9.05", {"size": "large"}),
    ]
    assert await shop.balance("ada_1", GIFT) == "23.55"


async def test_items_that_were_changed_can_be_sent_elsewhere_but_not_changed_again(shop) -> None:
    await shop.call("change_order_items", **items("#W1000001", [RED], [BLUE]))
    again = await shop.call("change_order_items", **items("#W1000001", [SMALL], [LARGE]))
    assert "only once" in again.error
    cancelled = await shop.call("cancel_order", order_id="#W1000001", **NO_NEED)
    assert "can no longer be cancelled" in cancelled.error
    moved = await shop.call("change_order_address", order_id="#W1000001", **HOME)
    assert moved.error is None
    assert (await shop.order("#W1000001"))["address"]["zip"] == "97301"


async def test_a_cheaper_item_is_refunded(shop) -> None:
    outcome = await shop.call(
        "change_order_items",
        shop.run("ben_2"),
        **items("#W2000001", [BLUE], [RED], "gift_card_2222222"),
    )
    assert "refund 5.50 to gift card gift_card_2222222 at once" in outcome.result.text
    assert await shop.balance("ben_2", "gift_card_2222222") == "10.50"


async def test_a_return_takes_as_many_pieces_as_were_named(shop) -> None:
    outcome = await shop.call("return_items", **returned("#W1000003", [SMALL, RED], GIFT))
    assert "Refund 28.10 to gift card" in outcome.result.text
    order = await shop.order("#W1000003")
    assert order["status"] == "return requested"
    assert order["return_items"] == [RED, SMALL]
    assert order["return_payment_method_id"] == GIFT
    again = await shop.call("return_items", **returned("#W1000003", [RED]))
    assert "is return requested" in again.error


async def test_an_exchange_moves_no_money_yet(shop) -> None:
    before = await shop.balance("ada_1", GIFT)
    swap = items("#W1000003", [SMALL, RED], [LARGE, BLUE], GIFT)
    outcome = await shop.call("exchange_items", **swap)
    assert "price difference 6.45 to pay with gift card gift_card_1111113" in outcome.result.text
    order = await shop.order("#W1000003")
    assert order["status"] == "exchange requested"
    assert order["exchange_items"] == [RED, SMALL]
    assert order["exchange_new_items"] == [BLUE, LARGE]
    assert order["exchange_price_difference"] == "6.45"
    assert len(order["payment_history"]) == 1
    assert await shop.balance("ada_1", GIFT) == before


async def test_an_item_may_be_exchanged_for_the_same_kind(shop) -> None:
    outcome = await shop.call("exchange_items", **items("#W1000003", [SMALL], [SMALL]))
    assert outcome.result.data["price_difference"] == "0.00"
    assert "no price difference" in outcome.result.text


async def test_a_new_address_keeps_the_country_unless_one_is_given(shop) -> None:
    await shop.call("change_customer_address", **HOME)
    assert (await shop.state())["users"]["ada_1"]["address"] == {
        "address1": "1 New Road", "address2": "", "city": "Salem", "state": "OR",
        "country": "USA", "zip": "97301",
    }  # fmt: skip
    await shop.call("change_customer_address", **HOME, country="Canada")
    assert (await shop.state())["users"]["ada_1"]["address"]["country"] == "Canada"


async def test_a_preview_says_what_the_write_says_and_changes_nothing(shop) -> None:
    before = await shop.state()
    swap = items("#W1000001", [RED], [BLUE])
    preview = await shop.preview("change_order_items", **swap)
    assert await shop.state() == before
    assert preview.repeats is None
    assert preview.text == (await shop.call("change_order_items", **swap)).result.text


@pytest.mark.parametrize("name", ["open_ticket", "hand_off"])
async def test_tickets_need_no_customer(shop, name) -> None:
    run = shop.run(None, "anonymous")
    outcome = await shop.call(name, run, summary="The lamp flickers")
    assert outcome.receipt["tool"] == name
    async with shop.pool.connection() as conn:
        rows = await conn.execute("select * from crm.tickets where tenant = %s", (shop.tenant,))
        [ticket] = await rows.fetchall()
    assert ticket["summary"] == "The lamp flickers"
    assert ticket["thread_id"] == shop.thread_id
    assert f"T-{ticket['number']}" in outcome.result.text
