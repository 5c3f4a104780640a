import json
from decimal import Decimal
from uuid import uuid4

import pytest

from engine.errors import Invalid
from tools._crm.export import digest, export
from tools._crm.importer import Imported, import_company, import_file


@pytest.fixture
def tenant() -> str:
    return uuid4().hex


async def test_a_file_is_loaded_and_counted(shop_pool, tenant, company, tmp_path) -> None:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(company))
    assert await import_file(shop_pool, tenant, path) == Imported(2, 2, 7)
    state = await export(shop_pool, tenant)
    assert state["users"] == company["users"]
    assert state["products"] == company["products"]
    assert state["orders"] == company["orders"]


async def test_loading_again_changes_nothing(shop_pool, tenant, company) -> None:
    await import_company(shop_pool, tenant, company)
    before = await export(shop_pool, tenant)
    await import_company(shop_pool, tenant, company)
    assert await export(shop_pool, tenant) == before


async def test_loading_again_brings_the_file_s_state_back(shop, company) -> None:
    before = await shop.state()
    await shop.call("cancel_order", order_id="#W1000002", reason="no longer needed")
    await shop.call(
        "exchange_items",
        order_id="#W1000003", item_ids=["2000000001"], new_item_ids=["2000000002"],
        payment_method_id="paypal_1111112",
    )  # fmt: skip
    assert await shop.state() != before
    await import_company(shop.pool, shop.tenant, company)
    assert await shop.state() == before


async def test_what_was_exported_can_be_loaded_elsewhere(shop, tenant) -> None:
    """Also with requests under way, and two changed lines of one kind."""
    await shop.call(
        "exchange_items",
        order_id="#W1000003",
        item_ids=["2000000001", "2000000011", "2000000001"],
        new_item_ids=["2000000002", "2000000012", "2000000001"],
        payment_method_id="paypal_1111112",
    )
    await shop.call(
        "return_items",
        order_id="#W1000005", item_ids=["2000000012"], payment_method_id="gift_card_1111113",
    )  # fmt: skip
    state = await shop.state()
    await import_company(shop.pool, tenant, state)
    assert digest(await export(shop.pool, tenant)) == digest(state)


async def test_what_is_not_in_the_file_stays(shop) -> None:
    before = await shop.state()
    product = {
        "product_id": "1000000009",
        "name": "Rug",
        "description": "Woven by hand.",
        "variants": {},
    }
    more = {"products": {"1000000009": product}, "users": {}, "orders": {}}
    await import_company(shop.pool, shop.tenant, more)
    after = await shop.state()
    assert after["products"].pop("1000000009") == product
    assert after == before


async def test_tenants_are_loaded_apart(shop, tenant, company) -> None:
    company["users"]["ada_1"]["email"] = "other@example.com"
    await import_company(shop.pool, tenant, company)
    assert (await shop.state())["users"]["ada_1"]["email"] == "ada.moss@example.com"


def broken(change):
    return pytest.param(change, id=change.__name__)


def no_user(company):
    company["orders"]["#W1000001"]["user_id"] = "carl_3"
    return "there is no user carl_3"


def unlisted_order(company):
    company["users"]["ada_1"]["orders"].remove("#W1000001")
    return "users.ada_1.orders are not the orders of that user"


def other_key(company):
    company["orders"]["#W1000009"] = company["orders"].pop("#W1000001")
    return "orders.#W1000009 is called #W1000001"


def bad_order_number(company):
    company["orders"]["#W1000001"]["order_id"] = "1000001"
    return "orders.#W1000001.order_id"


def fractions_of_cents(company):
    company["orders"]["#W1000001"]["items"][0]["price"] = "19.999"
    return "orders.#W1000001.items.0.price"


def negative_balance(company):
    company["users"]["ada_1"]["payment_methods"]["gift_card_1111113"]["balance"] = -1
    return "users.ada_1.payment_methods.gift_card_1111113.balance"


def card_with_balance(company):
    company["users"]["ada_1"]["payment_methods"]["credit_card_1111111"]["balance"] = 5
    return "gift cards alone have a balance"


def same_email(company):
    company["users"]["ben_2"]["email"] = "ADA.moss@example.com"
    return "users.ben_2 shares the e-mail"


def foreign_method(company):
    payment = company["orders"]["#W1000001"]["payment_history"][0]
    payment["payment_method_id"] = "credit_card_2222221"
    return "credit_card_2222221 is not of ada_1"


def returned_too_often(company):
    company["orders"]["#W1000003"]["return_items"] = ["2000000001"] * 3
    return "gives back what it does not hold"


def unknown_field(company):
    company["users"]["ada_1"]["birthday"] = "1990-01-01"
    return "users.ada_1.birthday"


def missing_section(company):
    del company["products"]
    return "products: Field required"


@pytest.mark.parametrize(
    "change",
    [
        broken(change)
        for change in (
            no_user, unlisted_order, other_key, bad_order_number, fractions_of_cents,
            negative_balance, card_with_balance, same_email, foreign_method, returned_too_often,
            unknown_field, missing_section,
        )
    ],
)  # fmt: skip
async def test_a_bad_file_is_refused_whole_and_says_where(
    shop_pool, tenant, company, change
) -> None:
    where = change(company)
    with pytest.raises(Invalid) as refused:
        await import_company(shop_pool, tenant, company)
    assert where in str(refused.value)
    assert await export(shop_pool, tenant) == {"products": {}, "users": {}, "orders": {}}


async def test_a_long_list_of_mistakes_is_cut(shop_pool, tenant, company) -> None:
    for order in company["orders"].values():
        order["status"] = ""
    with pytest.raises(Invalid, match="and 2 more"):
        await import_company(shop_pool, tenant, company)


async def test_an_e_mail_that_somebody_else_has_is_a_clear_error(shop, company) -> None:
    company["users"]["ada_9"] = company["users"].pop("ada_1") | {"user_id": "ada_9"}
    for order in company["orders"].values():
        order["user_id"] = order["user_id"].replace("ada_1", "ada_9")
    before = await shop.state()
    with pytest.raises(Invalid, match="clashes with what is there"):
        await import_company(shop.pool, shop.tenant, company)
    assert await shop.state() == before


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"{", "is not JSON"), (b"[]", "imported: file: Input should be a valid dictionary.$")],
)
async def test_a_file_of_something_else_is_refused(
    shop_pool, tenant, tmp_path, content, why
) -> None:
    path = tmp_path / "shop.json"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=why):
        await import_file(shop_pool, tenant, path)


async def test_a_file_that_is_not_there_is_refused(shop_pool, tenant, tmp_path) -> None:
    with pytest.raises(Invalid, match=r"nothing\.json cannot be read: No such file"):
        await import_file(shop_pool, tenant, tmp_path / "nothing.json")


async def test_json_numbers_become_exact_money(shop_pool, tenant, company) -> None:
    for variant in company["products"]["1000000002"]["variants"].values():
        variant["price"] = float(variant["price"])
    await import_company(shop_pool, tenant, company)
    async with shop_pool.connection() as conn:
        rows = await conn.execute(
            "select price from crm.variants where tenant = %s and product_id = '1000000002'",
            (tenant,),
        )
        assert {row["price"] async for row in rows} == {Decimal("8.10"), Decimal("9.05")}
