"""The demonstration's shop is whole: every id leads somewhere and every sum adds up."""

import re
from collections import Counter
from decimal import Decimal
from hashlib import sha256
from json import dumps
from typing import Any

import pytest

from tools._crm.demo import company

SHOP = company()
USERS: list[dict[str, Any]] = list(SHOP["users"].values())
ORDERS: list[dict[str, Any]] = list(SHOP["orders"].values())
PRODUCTS: list[dict[str, Any]] = list(SHOP["products"].values())


def digest(shop: dict[str, Any]) -> str:
    return sha256(dumps(shop).encode()).hexdigest()


def cents(amount: float) -> int:
    exact = Decimal(str(amount)) * 100
    assert exact == int(exact), f"{amount} has fractions of a cent"
    return int(exact)


def test_it_is_as_large_as_promised() -> None:
    assert len(USERS) >= 200
    assert len(ORDERS) >= 600
    assert len(PRODUCTS) >= 60
    assert all(len(product["variants"]) >= 2 for product in PRODUCTS)


def test_one_seed_gives_one_shop_to_the_last_byte() -> None:
    assert digest(company(7)) == digest(SHOP)
    assert digest(company(8)) != digest(SHOP)


def test_the_default_shop_never_changes_unnoticed() -> None:
    # The benchmark's questions and the examples name ids of this very shop.
    assert digest(SHOP) == ("b0bd253f496e0ace3fed3b879976bbba8ec407dfc004c2f25f8bd41a2504e8fb")


def test_orders_are_in_every_stage_in_realistic_shares() -> None:
    shares = Counter(order["status"] for order in ORDERS)
    assert set(shares) == {"pending", "processed", "delivered", "cancelled"}
    assert shares["delivered"] > shares["pending"] > shares["processed"] >= 0.06 * len(ORDERS)
    assert shares["cancelled"] >= 0.06 * len(ORDERS)


def test_ids_have_the_form_that_tools_expect() -> None:
    assert all(re.fullmatch(r"#W\d{7}", order) for order in SHOP["orders"])
    assert all(re.fullmatch(r"[1-9]\d{9}", product) for product in SHOP["products"])
    items = [item for product in PRODUCTS for item in product["variants"]]
    assert all(re.fullmatch(r"[1-9]\d{9}", item) for item in items)
    assert len(set(items) | set(SHOP["products"])) == len(items) + len(PRODUCTS)
    methods = [method for user in USERS for method in user["payment_methods"]]
    assert len(set(methods)) == len(methods)
    assert all(re.fullmatch(r"(credit_card|paypal|gift_card)_\d{7}", method) for method in methods)


def test_every_key_is_the_id_inside() -> None:
    assert all(key == user["user_id"] for key, user in SHOP["users"].items())
    assert all(key == order["order_id"] for key, order in SHOP["orders"].items())
    for key, product in SHOP["products"].items():
        assert key == product["product_id"]
        assert all(item == variant["item_id"] for item, variant in product["variants"].items())


def test_customers_and_orders_know_each_other() -> None:
    listed = [(user["user_id"], order) for user in USERS for order in user["orders"]]
    assert sorted(listed) == sorted((order["user_id"], order["order_id"]) for order in ORDERS)


def test_a_customer_is_found_by_email_and_by_name_with_postcode() -> None:
    emails = {user["email"] for user in USERS}
    names = {(*user["name"].values(), user["address"]["zip"]) for user in USERS}
    assert len(emails) == len(names) == len(USERS)
    assert all(email.endswith("@example.com") for email in emails)


def test_lines_are_variants_of_the_catalog_at_its_price() -> None:
    for order in ORDERS:
        assert order["items"]
        for line in order["items"]:
            product = SHOP["products"][line["product_id"]]
            variant = product["variants"][line["item_id"]]
            assert line["name"] == product["name"]
            assert (line["options"], line["price"]) == (variant["options"], variant["price"])


def test_variants_of_a_product_differ_and_some_are_sold_out() -> None:
    for product in PRODUCTS:
        options = [dumps(variant["options"]) for variant in product["variants"].values()]
        assert len(set(options)) == len(options)
    available = [v["available"] for product in PRODUCTS for v in product["variants"].values()]
    assert 0.7 < sum(available) / len(available) < 0.95


def test_what_was_paid_is_the_sum_of_the_lines() -> None:
    for order in ORDERS:
        total = sum(cents(line["price"]) for line in order["items"])
        history = order["payment_history"]
        kinds = [entry["transaction_type"] for entry in history]
        assert kinds == (["payment", "refund"] if order["status"] == "cancelled" else ["payment"])
        assert all(cents(entry["amount"]) == total for entry in history)
        methods = SHOP["users"][order["user_id"]]["payment_methods"]
        assert all(entry["payment_method_id"] in methods for entry in history)


def test_what_has_left_the_warehouse_has_a_tracking_id() -> None:
    for order in ORDERS:
        sent = [item for parcel in order["fulfillments"] for item in parcel["item_ids"]]
        lines = [line["item_id"] for line in order["items"]]
        assert sent == (lines if order["status"] in ("processed", "delivered") else [])
    trackings = [t for o in ORDERS for parcel in o["fulfillments"] for t in parcel["tracking_id"]]
    assert len(set(trackings)) == len(trackings)
    assert all(re.fullmatch(r"\d{12}", tracking) for tracking in trackings)


def test_gift_cards_hold_money_and_cards_have_four_digits() -> None:
    for user in USERS:
        assert user["payment_methods"]
        for key, method in user["payment_methods"].items():
            assert method["id"] == key
            assert key.startswith(method["source"])
            if method["source"] == "gift_card":
                assert cents(method["balance"]) > 0
            if method["source"] == "credit_card":
                assert re.fullmatch(r"\d{4}", method["last_four"])
                assert method["brand"]


@pytest.mark.parametrize("seed", [7, 11, 2024])
def test_the_people_of_the_examples_are_there_with_every_seed(seed: int) -> None:
    shop = company(seed)
    status = {key: order["status"] for key, order in shop["orders"].items()}
    assert shop["users"]["maya_linden_4821"]["email"] == "maya.linden@example.com"
    assert (
        shop["users"]["maya_linden_4821"]["payment_methods"]["gift_card_4820103"]["balance"] == 210
    )
    assert [status[order] for order in shop["users"]["maya_linden_4821"]["orders"]] == [
        "pending",
        "pending",
        "processed",
        "delivered",
        "cancelled",
    ]
    assert shop["users"]["priya_raman_2087"]["orders"] == []
    assert len(shop["orders"]["#W3390021"]["fulfillments"]) == 2
    assert (
        shop["users"]["daniel_reyes_5504"]["payment_methods"]["gift_card_5504401"]["balance"]
        == 12.5
    )
