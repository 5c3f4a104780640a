"""A small shop of its own for each test: a fresh tenant in one database of the session."""

from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from langchain_core.messages import ToolCall

from engine.database import Pool, migrate, open_pool
from tools import Level, Run, load
from tools._crm import PostgresCrm
from tools._crm.export import export
from tools._crm.importer import import_company
from tools._identity import Identities
from tools._runtime import Outcome, Preview, Toolbox

RED, BLUE, GREEN = "2000000001", "2000000002", "2000000003"
SMALL, LARGE = "2000000011", "2000000012"
ADA, BEN = "ada_1", "ben_2"

VARIANTS: dict[str, tuple[str, str, dict[str, str], bool, str]] = {
    RED: ("1000000001", "Lamp", {"color": "red"}, True, "20.00"),
    BLUE: ("1000000001", "Lamp", {"color": "blue"}, True, "25.50"),
    GREEN: ("1000000001", "Lamp", {"color": "green"}, False, "19.99"),
    SMALL: ("1000000002", "Mug", {"size": "small"}, True, "8.10"),
    LARGE: ("1000000002", "Mug", {"size": "large"}, True, "9.05"),
}


def address(number: int, postcode: str) -> dict[str, str]:
    return {
        "address1": f"{number} Mill Lane",
        "address2": "",
        "city": "Ashford",
        "state": "VT",
        "country": "USA",
        "zip": postcode,
    }


def order(
    order_id: str, customer: str, status: str, method: str, items: list[str], total: str
) -> dict[str, Any]:
    lines = [
        {
            "item_id": item,
            "product_id": VARIANTS[item][0],
            "name": VARIANTS[item][1],
            "options": VARIANTS[item][2],
            "price": VARIANTS[item][4],
        }
        for item in items
    ]
    shipped = [{"tracking_id": ["550011223344"], "item_ids": items}]
    return {
        "order_id": order_id,
        "user_id": customer,
        "address": address(7, "05001"),
        "items": lines,
        "status": status,
        "fulfillments": shipped if status in {"delivered", "processed"} else [],
        "payment_history": [
            {"transaction_type": "payment", "amount": total, "payment_method_id": method}
        ],
    }


def small_company() -> dict[str, Any]:
    card, paypal, gift = "credit_card_1111111", "paypal_1111112", "gift_card_1111113"
    orders = [
        order("#W1000001", ADA, "pending", card, [RED, SMALL], "28.10"),
        order("#W1000002", ADA, "pending", gift, [SMALL], "8.10"),
        order("#W1000003", ADA, "delivered", card, [RED, RED, SMALL], "48.10"),
        order("#W1000004", ADA, "processed", card, [SMALL], "8.10"),
        order("#W1000005", ADA, "delivered", card, [LARGE, RED], "29.05"),
        order("#W2000001", BEN, "pending", "credit_card_2222221", [BLUE], "25.50"),
        order("#W2000002", BEN, "delivered", "credit_card_2222221", [SMALL, RED], "28.10"),
    ]
    products: dict[str, Any] = {}
    for item, (product, name, options, available, price) in VARIANTS.items():
        entry = products.setdefault(product, {"product_id": product, "name": name, "variants": {}})
        entry["variants"][item] = {
            "item_id": item,
            "options": options,
            "available": available,
            "price": price,
        }
    return {
        "products": products,
        "orders": {each["order_id"]: each for each in orders},
        "users": {
            ADA: {
                "user_id": ADA,
                "name": {"first_name": "Ada", "last_name": "Moss"},
                "email": "ada.moss@example.com",
                "address": address(3, "05401"),
                "payment_methods": {
                    card: {
                        "id": card,
                        "source": "credit_card",
                        "brand": "visa",
                        "last_four": "4417",
                    },
                    paypal: {"id": paypal, "source": "paypal"},
                    gift: {"id": gift, "source": "gift_card", "balance": "30.00"},
                },
                "orders": [each["order_id"] for each in orders if each["user_id"] == ADA],
            },
            BEN: {
                "user_id": BEN,
                "name": {"first_name": "Ben", "last_name": "Holt"},
                "email": "Ben.Holt@example.com",
                "address": address(9, "05602"),
                "payment_methods": {
                    "credit_card_2222221": {
                        "id": "credit_card_2222221",
                        "source": "credit_card",
                        "brand": "amex",
                        "last_four": "9031",
                    },
                    "gift_card_2222222": {
                        "id": "gift_card_2222222",
                        "source": "gift_card",
                        "balance": "5.00",
                    },
                },
                "orders": [each["order_id"] for each in orders if each["user_id"] == BEN],
            },
        },
    }


@dataclass(frozen=True)
class Shop:
    """The toolbox on a shop of two customers, with one conversation of its own."""

    pool: Pool
    tenant: str
    thread_id: str
    toolbox: Toolbox
    identities: Identities

    def run(self, customer: str | None = ADA, level: Level = "verified", **changes: str) -> Run:
        values = {"thread_id": self.thread_id, "run_id": uuid4().hex, "call_id": uuid4().hex}
        return Run(tenant=self.tenant, customer_id=customer, level=level, **values | changes)

    async def call(self, name: str, run: Run | None = None, **args: Any) -> Outcome:
        return await self.toolbox.invoke(self._call(name, args), run or self.run())

    async def preview(self, name: str, run: Run | None = None, **args: Any) -> Preview:
        return await self.toolbox.preview(self._call(name, args), run or self.run())

    async def state(self) -> dict[str, dict[str, Any]]:
        return await export(self.pool, self.tenant)

    async def order(self, order_id: str) -> dict[str, Any]:
        state: dict[str, Any] = (await self.state())["orders"][order_id]
        return state

    async def balance(self, customer: str, gift_card: str) -> str:
        user = (await self.state())["users"][customer]
        balance: str = user["payment_methods"][gift_card]["balance"]
        return balance

    @staticmethod
    def _call(name: str, args: dict[str, Any]) -> ToolCall:
        return ToolCall(name=name, args=args, id="call", type="tool_call")


@pytest.fixture(scope="session")
async def shop_url(postgres_dsn: str) -> AsyncIterator[str]:
    """One database for all shops: each test has its own tenant in it."""
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database shops template frontdesk")
        yield postgres_dsn.replace("/postgres?", "/shops?")
        await admin.execute("drop database shops with (force)")


@pytest.fixture(scope="session")
async def shop_pool(shop_url: str) -> AsyncIterator[Pool]:
    async with open_pool(shop_url, size=8) as pool:
        await migrate(pool, "engine")
        await migrate(pool, "tools._crm")
        yield pool


@pytest.fixture
def company() -> dict[str, Any]:
    """Two customers, seven orders and two products, in the importer's shape."""
    return deepcopy(small_company())


@pytest.fixture
async def shop(shop_pool: Pool, company: dict[str, Any]) -> Shop:
    tenant = uuid4().hex
    await import_company(shop_pool, tenant, company)
    identities = Identities(shop_pool)
    toolbox = Toolbox(load({"crm": PostgresCrm(shop_pool), "http": None}), shop_pool, identities)
    return Shop(shop_pool, tenant, uuid4().hex, toolbox, identities)
