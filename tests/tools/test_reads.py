"""What reads say: every fact in a few words, and to whom."""

import json

import pytest


def tell(outcome) -> str:
    return outcome.result.text + json.dumps(outcome.result.data)


async def test_an_order_is_told_with_every_fact(shop) -> None:
    outcome = await shop.call("get_order", order_id="#W1000003")
    assert outcome.result.text == (
        "Order #W1000003 is delivered. Items: Lamp (color red), item 2000000001, 20.00; "
        "Lamp (color red), item 2000000001, 20.00; Mug (size small), item 2000000011, 8.10. "
        "Payments: 48.10 paid with credit card credit_card_1111111. "
        "Tracking number 550011223344: 2 Lamp, Mug. "
        "Shipping address: 7 Mill Lane, Ashford, VT 05001, USA."
    )
    assert outcome.result.choices["line"][0] == {"id": "2000000001", "label": "Lamp (color red)"}
    assert outcome.result.choices["payment_method"] == [
        {
            "id": "credit_card_1111111",
            "label": "credit card credit_card_1111111 (visa ending in 4417)",
        }
    ]
    assert outcome.result.data["lines"][2]["price"] == "8.10"


async def test_requests_are_told_with_the_order(shop) -> None:
    await shop.call(
        "return_items",
        order_id="#W1000003", item_ids=["2000000011"], payment_method_id="gift_card_1111113",
    )  # fmt: skip
    told = (await shop.call("get_order", order_id="#W1000003")).result.text
    assert "To be returned: Mug (size small); refund to gift card gift_card_1111113." in told
    await shop.call(
        "exchange_items",
        order_id="#W1000005", item_ids=["2000000001"], new_item_ids=["2000000002"],
        payment_method_id="paypal_1111112",
    )  # fmt: skip
    told = (await shop.call("get_order", order_id="#W1000005")).result.text
    assert "To be exchanged: Lamp (color red) for item 2000000002; price difference 5.50" in told
    await shop.call("cancel_order", order_id="#W1000001", reason="ordered by mistake")
    told = (await shop.call("get_order", order_id="#W1000001")).result.text
    assert "Reason of the cancellation: ordered by mistake." in told
    assert "28.10 refunded to credit card" in told
    assert "Nothing was shipped." in told


async def test_what_proves_an_identity_is_not_read_out_to_a_claimed_customer(shop) -> None:
    claimed = shop.run(level="claimed")
    secrets = ["05401", "05001", "Mill Lane", "Moss", "ada", "example.com", "4417", "30.00"]
    for name, args in [
        ("get_customer", {}),
        ("get_order", {"order_id": "#W1000001"}),
        ("get_order", {"order_id": "#W1000002"}),
        ("track_order", {"order_id": "#W1000003"}),
    ]:
        outcome = await shop.call(name, claimed, **args)
        told = tell(outcome) + json.dumps(outcome.result.choices)
        assert [secret for secret in secrets if secret in told] == [], name


async def test_a_verified_customer_hears_the_whole_profile(shop) -> None:
    outcome = await shop.call("get_customer")
    assert outcome.result.text.startswith(
        "Ada Moss, e-mail ada.moss@example.com, address 3 Mill Lane, Ashford, VT 05401, USA. "
        "Payment methods: credit card credit_card_1111111 (visa ending in 4417), "
        "gift card gift_card_1111113 (balance 30.00), paypal paypal_1111112. "
        "Orders: #W1000001 (pending: Lamp, Mug); "
    )
    assert {choice["id"] for choice in outcome.result.choices["payment_method"]} == {
        "credit_card_1111111", "gift_card_1111113", "paypal_1111112",
    }  # fmt: skip


async def test_a_claimed_customer_hears_which_orders_there_are(shop) -> None:
    outcome = await shop.call("get_customer", shop.run(level="claimed"))
    assert "#W1000004 (processed: Mug)" in outcome.result.text
    assert outcome.result.choices["order"][3] == {
        "id": "#W1000004",
        "label": "#W1000004 (Mug, processed)",
    }
    assert "payment_method" not in outcome.result.choices


async def test_tracking_tells_what_travels_under_which_number(shop) -> None:
    sent = await shop.call("track_order", order_id="#W1000003")
    assert sent.result.text == (
        "Order #W1000003 is delivered. Tracking number 550011223344: 2 Lamp, Mug."
    )
    waiting = await shop.call("track_order", order_id="#W1000001")
    assert waiting.result.text == "Order #W1000001 is pending. Not shipped yet."


async def test_products_and_items_are_for_everybody(shop) -> None:
    anybody = shop.run(None, "anonymous")
    listed = await shop.call("list_products", anybody)
    assert listed.result.text == (
        "There are 2 types of products: Lamp (1000000001), Mug (1000000002)."
    )
    lamp = await shop.call("get_product", anybody, product_id="1000000001")
    assert lamp.result.text == (
        "Lamp, product 1000000001. Variants: item 2000000003 (color green) 19.99, not available; "
        "item 2000000001 (color red) 20.00; item 2000000002 (color blue) 25.50."
    )
    assert [choice["id"] for choice in lamp.result.choices["variant"]] == [
        "2000000001", "2000000002",
    ]  # fmt: skip
    item = await shop.call("get_item", anybody, item_id="2000000012")
    assert item.result.text == "Mug, product 1000000002: item 2000000012 (size large) 9.05."


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("get_product", {"product_id": "1999999999"}, "There is no product 1999999999."),
        ("get_item", {"item_id": "1000000001"}, "There is no item 1000000001."),
        (
            "get_order",
            {"order_id": "#W9999999"},
            "I cannot find order #W9999999 among your orders.",
        ),
    ],
)
async def test_what_is_unknown_is_said_to_be_unknown(shop, name, args, error) -> None:
    assert (await shop.call(name, **args)).error == error


async def test_a_customer_that_is_gone_is_not_found(shop) -> None:
    outcome = await shop.call("get_customer", shop.run("nobody"))
    assert outcome.error == "I cannot find your account."


async def test_other_tenants_have_other_shops(shop) -> None:
    other = shop.run()
    elsewhere = type(other)(**{**vars(other), "tenant": "elsewhere"})
    assert (await shop.call("get_order", elsewhere, order_id="#W1000001")).error
    assert (await shop.call("get_product", elsewhere, product_id="1000000001")).error
    assert (
        await shop.call("find_customer_by_email", elsewhere, email="ada.moss@example.com")
    ).error
