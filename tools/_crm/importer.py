"""Load a company from JSON: `{"products", "users", "orders"}`, each keyed by id."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from psycopg.errors import UniqueViolation
from psycopg.types.json import Json
from pydantic import BaseModel, ValidationError

from engine.database import Connection, Pool, statements
from engine.errors import Invalid
from tools._crm.company import Address, Company, Order, User
from tools._crm.records import GIFT_CARD


@dataclass(frozen=True)
class Imported:
    """How much a file held."""

    products: int
    customers: int
    orders: int


async def import_file(pool: Pool, tenant: str, path: Path) -> Imported:
    """Load a JSON file; raises `Invalid` when it cannot be read or does not fit together."""
    try:
        company = orjson.loads(await asyncio.to_thread(path.read_bytes))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror or error}.") from error
    except orjson.JSONDecodeError as error:
        raise Invalid(f"{path} is not JSON: {error}.") from error
    return await import_company(pool, tenant, company)


async def import_company(pool: Pool, tenant: str, company: Any) -> Imported:
    """Make the database say what `company` says, all of it or nothing.

    Doing it again changes nothing. Customers, products and orders that are not in `company` stay
    as they are. A product may carry a `description`. Raises `Invalid` naming the first places that
    are wrong.
    """
    checked = await asyncio.to_thread(_check, company)
    try:
        async with pool.connection() as conn, conn.transaction():
            for name, rows in _tables(tenant, checked):
                await _write(conn, name, rows)
    except UniqueViolation as error:
        raise Invalid(
            f"The file clashes with what is there: {error.diag.message_detail}"
        ) from error
    return Imported(len(checked.products), len(checked.users), len(checked.orders))


@cache
def _sql() -> Mapping[str, str]:
    return statements("tools._crm", "import.sql")


async def _write(conn: Connection, name: str, rows: Iterable[dict[str, Any]]) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(_sql()[name], list(rows))


def _check(company: Any) -> Company:
    try:
        checked = Company.model_validate(company)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        places = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: "
            f"{problem['msg'].partition(' or instance of ')[0]}"
            for problem in found[:5]
        )
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise Invalid(f"This is not a company that can be imported: {places}{more}.") from error
    problems = list(_misfits(checked))
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise Invalid(f"The company does not fit together: {'; '.join(problems[:5])}{more}.")
    return checked


def _misfits(company: Company) -> Iterator[str]:
    """What each part says alone, but not with the others."""
    yield from _misnamed("products", {k: p.product_id for k, p in company.products.items()})
    yield from _misnamed("users", {k: user.user_id for k, user in company.users.items()})
    yield from _misnamed("orders", {k: order.order_id for k, order in company.orders.items()})
    emails = Counter(user.email.lower() for user in company.users.values())
    theirs: dict[str, list[str]] = {}
    for order in company.orders.values():
        theirs.setdefault(order.user_id, []).append(order.order_id)
    for user in company.users.values():
        if emails[user.email.lower()] > 1:
            yield f"users.{user.user_id} shares the e-mail {user.email}"
        if sorted(user.orders) != sorted(theirs.get(user.user_id, [])):
            yield f"users.{user.user_id}.orders are not the orders of that user"
        yield from _method_misfits(user)
    for order in company.orders.values():
        yield from _order_misfits(order, company)


def _misnamed(section: str, names: Mapping[str, str]) -> Iterator[str]:
    return (f"{section}.{key} is called {name}" for key, name in names.items() if key != name)


def _method_misfits(user: User) -> Iterator[str]:
    for key, method in user.payment_methods.items():
        if key != method.id:
            yield f"users.{user.user_id}.payment_methods.{key} is called {method.id}"
        if (method.source == GIFT_CARD) != (method.balance is not None):
            yield f"users.{user.user_id}.payment_methods.{key}: gift cards alone have a balance"


def _order_misfits(order: Order, company: Company) -> Iterator[str]:
    user = company.users.get(order.user_id)
    if user is None:
        yield f"orders.{order.order_id}: there is no user {order.user_id}"
        return
    for paid in order.payment_history:
        if paid.payment_method_id not in user.payment_methods:
            yield f"orders.{order.order_id}: {paid.payment_method_id} is not of {order.user_id}"
    held = Counter(item.item_id for item in order.items)
    for named in (order.return_items, order.exchange_items):
        if Counter(named or ()) - held:
            yield f"orders.{order.order_id} gives back what it does not hold"
    if len(order.exchange_items or ()) != len(order.exchange_new_items or ()):
        yield f"orders.{order.order_id} exchanges unequal numbers of items"


def _tables(tenant: str, company: Company) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Statement and rows, parents first."""
    orders = list(company.orders.values())
    sections: list[tuple[str, Iterator[dict[str, Any]]]] = [
        ("product", (product.model_dump() for product in company.products.values())),
        ("variant", _variants(company)),
        ("customer", (_customer(user) for user in company.users.values())),
        ("method", _methods(company)),
        ("customer_address", (_address(u.address, u.user_id) for u in company.users.values())),
        ("forget_order", ({"order_id": order.order_id} for order in orders)),
        ("order", _orders(company)),
        ("order_address", (_address(order.address, order.order_id) for order in orders)),
        ("item", (row for order in orders for row in _items(order, company))),
        ("fulfilment", (row for order in orders for row in _parts(order, order.fulfillments))),
        ("payment", (row for order in orders for row in _parts(order, order.payment_history))),
    ]
    for name, rows in sections:
        yield name, ({"tenant": tenant, **row} for row in rows)


def _variants(company: Company) -> Iterator[dict[str, Any]]:
    for product in company.products.values():
        for variant in product.variants.values():
            yield variant.model_dump() | {
                "product_id": product.product_id,
                "options": Json(variant.options),
            }


def _customer(user: User) -> dict[str, Any]:
    return {"id": user.user_id, "email": user.email, **user.name.model_dump()}


def _methods(company: Company) -> Iterator[dict[str, Any]]:
    for user in company.users.values():
        for method in user.payment_methods.values():
            yield method.model_dump() | {"customer_id": user.user_id}


def _address(address: Address, owner: str) -> dict[str, Any]:
    return address.model_dump() | {"owner": owner}


def _orders(company: Company) -> Iterator[dict[str, Any]]:
    for user in company.users.values():
        for position, order_id in enumerate(user.orders):
            yield company.orders[order_id].model_dump() | {"position": position}


def _parts(order: Order, parts: Iterable[BaseModel]) -> Iterator[dict[str, Any]]:
    for position, part in enumerate(parts):
        yield part.model_dump() | {"order_id": order.order_id, "position": position}


def _items(order: Order, company: Company) -> Iterator[dict[str, Any]]:
    """Lines, marked when they go back; the file lists old and new items of an exchange apart."""
    product_of = {
        variant.item_id: product.product_id
        for product in company.products.values()
        for variant in product.variants.values()
    }
    returned = Counter(order.return_items or ())
    exchanged = Counter(order.exchange_items or ())
    new = list(order.exchange_new_items or ())
    for position, item in enumerate(order.items):
        successor = None
        if exchanged[item.item_id]:
            exchanged[item.item_id] -= 1
            successor = next((i for i in new if product_of.get(i) == item.product_id), new[0])
            new.remove(successor)
        yield item.model_dump() | {
            "order_id": order.order_id,
            "position": position,
            "options": Json(item.options),
            "return_requested": returned[item.item_id] > 0,
            "exchange_item_id": successor,
        }
        returned[item.item_id] -= 1
