"""Kestrel & Loam, the shop of the demonstration: invented, and always the same for one seed.

Ten people are there with every seed, so that examples and tests can name them (their e-mail is
first.last@example.com; what they own and how they pay is in `demo_people.toml`):

| customer               | what there is                                                          |
|------------------------|------------------------------------------------------------------------|
| maya_linden_4821       | card, PayPal, gift card with 210.00; pending #W4820011 (boots, socks)   |
|                        | and #W4820012 (blanket, paid by gift card), processed #W4820013,        |
|                        | delivered #W4820014 (rain jacket, headlamp, bottle), cancelled          |
|                        | #W4820015                                                               |
| tobias_okafor_3390     | delivered in two parcels #W3390021 (tent, bag, stove), pending #W3390022|
| ingrid_solberg_7712    | on its way in two parcels #W7712031, delivered #W7712032                |
| daniel_reyes_5504      | gift card with only 12.50; pending #W5504041, delivered #W5504042       |
| priya_raman_2087       | never ordered anything                                                  |
| harold_whitcombe_6615  | PayPal only; pending #W6615061; delivered #W6615062 with two shears     |
| amara_diallo_1943      | two cards, gift card with 400.00; pending #W1943071, #W1943072,         |
|                        | cancelled #W1943073                                                     |
| lucia_ferrante_8056    | pending #W8056081 (plates, coffee set), delivered #W8056082             |
| jonas_beck_2751        | delivered #W2751091 (watch, power bank), processed #W2751092            |
| noor_haddad_9138       | pending #W9138010 paid by gift card, which has 60.00 left               |
"""

import tomllib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import product as combinations
from random import Random
from typing import Any, TypeVar

CUSTOMERS = 240
ORDERS = 640
STATUSES = ["pending"] * 26 + ["processed"] * 11 + ["delivered"] * 52 + ["cancelled"] * 11
SOURCES = ("credit_card", "credit_card", "paypal", "gift_card")
BRANDS = ("visa", "mastercard", "amex", "discover")

Json = dict[str, Any]
T = TypeVar("T")


def company(seed: int = 7) -> Json:
    """`{"products", "users", "orders"}`, each keyed by id; money in dollars, exact to the cent."""
    people = _read("demo_people.toml")
    fixed = [order["id"][2:] for entry in people["customer"] for order in entry.get("order", [])]
    draw = Draw(seed, fixed)
    products = {made["product_id"]: made for made in _products(draw)}
    users: dict[str, Json] = {}
    orders: dict[str, Json] = {}
    for entry in people["customer"]:
        user, own = _cast(entry, {made["name"]: made for made in products.values()})
        users[user["user_id"]] = user
        orders |= own
    while len(users) < CUSTOMERS:
        user = _user(draw, people)
        users[user["user_id"]] = user
    drawn = list(users.values())[len(people["customer"]) :]
    while len(orders) < ORDERS:
        order = _order(draw, draw.pick(drawn), people, list(products.values()))
        orders[order["order_id"]] = order
        users[order["user_id"]]["orders"].append(order["order_id"])
    return {"products": products, "users": users, "orders": orders}


class Draw:
    """Random choices made of `random()` alone, whose numbers no Python version may change."""

    def __init__(self, seed: int, given: Iterable[str] = ()) -> None:
        """Begin the sequence that belongs to `seed`; numbers already `given` are not drawn."""
        self._random = Random(seed)  # noqa: S311 - invents a shop, guards no secret
        self._given = set(given)

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1."""
        return int(self._random.random() * limit)

    def pick(self, among: Sequence[T]) -> T:
        """One of `among`."""
        return among[self.below(len(among))]

    def several(self, among: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `among`."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def number(self, digits: int) -> str:
        """A number of so many digits that was not given out before."""
        while True:
            found = str(10 ** (digits - 1) + self.below(9 * 10 ** (digits - 1)))
            if found not in self._given:
                self._given.add(found)
                return found


def _read(name: str) -> Json:
    return tomllib.loads(files("tools._crm").joinpath(name).read_text(encoding="utf-8"))


def _products(draw: Draw) -> list[Json]:
    made = []
    for entry in _read("demo_products.toml")["product"]:
        names = list(entry["options"])
        variants = {}
        for values in combinations(*(entry["options"][name] for name in names)):
            extra = sum(
                entry["options"][name][value] for name, value in zip(names, values, strict=True)
            )
            item = draw.number(10)
            variants[item] = {
                "item_id": item,
                "options": dict(zip(names, values, strict=True)),
                "available": draw.below(100) < 84,
                "price": round(entry["price"] + extra, 2),
            }
        made.append({"name": entry["name"], "product_id": draw.number(10), "variants": variants})
    return made


def _cast(entry: Json, catalog: dict[str, Json]) -> tuple[Json, dict[str, Json]]:
    """One of the people who are always there, with their orders by id."""
    first, last = entry["name"]
    orders = {}
    for told in entry.get("order", []):
        lines = [
            _line(catalog[name], _variant(catalog[name], values)) for name, *values in told["lines"]
        ]
        parcels, rest = [], list(lines)
        for tracking, size in told.get("tracking", []):
            parcels.append(_parcel(tracking, rest[:size]))
            rest = rest[size:]
        orders[told["id"]] = {
            "order_id": told["id"],
            "user_id": entry["id"],
            "address": _address(*entry["address"]),
            "items": lines,
            "status": told["status"],
            "fulfillments": parcels,
            "payment_history": _payments(lines, told["paid"], told["status"]),
        }
    user = {
        "user_id": entry["id"],
        "name": {"first_name": first, "last_name": last},
        "address": _address(*entry["address"]),
        "email": f"{first}.{last}@example.com".lower(),
        "payment_methods": {pay[0]: _method(*pay) for pay in entry["pays"]},
        "orders": list(orders),
    }
    return user, orders


def _variant(product: Json, values: list[str]) -> Json:
    found: Json = next(
        variant
        for variant in product["variants"].values()
        if list(variant["options"].values()) == values
    )
    return found


def _user(draw: Draw, people: Json) -> Json:
    first, last = draw.pick(people["first_names"]), draw.pick(people["last_names"])
    number = draw.number(4)
    pays = [_pay(draw, source) for source in draw.several(SOURCES, draw.pick((1, 1, 1, 2, 2, 3)))]
    return {
        "user_id": f"{first}_{last}_{number}".lower(),
        "name": {"first_name": first, "last_name": last},
        "address": _place(draw, people),
        "email": f"{first}.{last}{number}@example.com".lower(),
        "payment_methods": {pay[0]: _method(*pay) for pay in pays},
        "orders": [],
    }


def _pay(draw: Draw, source: str) -> list[Any]:
    identifier = f"{source}_{draw.number(7)}"
    if source == "credit_card":
        return [identifier, draw.pick(BRANDS), str(draw.below(10000)).zfill(4)]
    if source == "gift_card":
        return [identifier, (500 + draw.below(29500)) / 100]
    return [identifier]


def _order(draw: Draw, user: Json, people: Json, products: list[Json]) -> Json:
    status = draw.pick(STATUSES)
    chosen = draw.several(products, draw.pick((1, 1, 2, 2, 3, 3, 4, 5)))
    lines = [_line(kind, draw.pick(list(kind["variants"].values()))) for kind in chosen]
    parts: list[list[Json]] = []
    if status in ("processed", "delivered"):
        first = draw.pick((1, len(lines), len(lines)))
        parts = [part for part in (lines[:first], lines[first:]) if part]
    return {
        "order_id": f"#W{draw.number(7)}",
        "user_id": user["user_id"],
        "address": _place(draw, people) if draw.below(100) < 12 else dict(user["address"]),
        "items": lines,
        "status": status,
        "fulfillments": [_parcel("70" + draw.number(10), part) for part in parts],
        "payment_history": _payments(lines, draw.pick(list(user["payment_methods"])), status),
    }


def _line(product: Json, variant: Json) -> Json:
    return {
        "name": product["name"],
        "product_id": product["product_id"],
        "item_id": variant["item_id"],
        "price": variant["price"],
        "options": dict(variant["options"]),
    }


def _parcel(tracking: str, lines: list[Json]) -> Json:
    return {"tracking_id": [tracking], "item_ids": [line["item_id"] for line in lines]}


def _payments(lines: list[Json], method: str, status: str) -> list[Json]:
    amount = sum(round(line["price"] * 100) for line in lines) / 100
    kinds = ["payment", "refund"] if status == "cancelled" else ["payment"]
    return [
        {"transaction_type": kind, "amount": amount, "payment_method_id": method} for kind in kinds
    ]


def _method(identifier: str, *extra: Any) -> Json:
    source = identifier.rsplit("_", 1)[0]
    names = {"credit_card": ("brand", "last_four"), "gift_card": ("balance",), "paypal": ()}[source]
    return {"source": source, "id": identifier, **dict(zip(names, extra, strict=True))}


def _place(draw: Draw, people: Json) -> Json:
    city, state, prefix = draw.pick(people["cities"])
    unit = f"{draw.pick(('Apt', 'Suite', 'Unit'))} {1 + draw.below(980)}"
    street = f"{11 + draw.below(980)} {draw.pick(people['streets'])}"
    return _address(street, unit, city, state, f"{prefix}{draw.below(100):02d}")


def _address(address1: str, address2: str, city: str, state: str, postcode: str) -> Json:
    return {
        "address1": address1,
        "address2": address2,
        "city": city,
        "country": "USA",
        "state": state,
        "zip": postcode,
    }
