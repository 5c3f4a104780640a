"""What the CRM knows, as frozen records. Money is `Decimal` with two places."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

GIFT_CARD = "gift_card"


@dataclass(frozen=True)
class Address:
    """Where somebody lives, or where an order goes."""

    address1: str
    address2: str
    city: str
    state: str
    country: str
    postcode: str

    def __str__(self) -> str:
        parts = (self.address1, self.address2, self.city, f"{self.state} {self.postcode}".strip())
        return ", ".join(part for part in (*parts, self.country) if part)


@dataclass(frozen=True)
class PaymentMethod:
    """How a customer pays; only a gift card has a balance."""

    id: str
    kind: str
    brand: str | None = None
    last_four: str | None = None
    balance: Decimal | None = None

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.id}"


@dataclass(frozen=True)
class Variant:
    """One item that can be bought: a product in one combination of options."""

    id: str
    product_id: str
    name: str
    options: dict[str, str]
    available: bool
    price: Decimal

    def __str__(self) -> str:
        return described(self.name, self.options)


@dataclass(frozen=True)
class Product:
    """A type of product with the variants it is sold in."""

    id: str
    name: str
    description: str | None
    variants: tuple[Variant, ...] = ()


@dataclass(frozen=True)
class Line:
    """One piece in an order, with the name, options and price of the day it was bought."""

    position: int
    product_id: str
    item_id: str
    name: str
    options: dict[str, str]
    price: Decimal
    return_requested: bool = False
    exchange_item_id: str | None = None

    def __str__(self) -> str:
        return described(self.name, self.options)


@dataclass(frozen=True)
class Payment:
    """Money that moved: paid by, or refunded to, a payment method."""

    kind: Literal["payment", "refund"]
    amount: Decimal
    method_id: str


@dataclass(frozen=True)
class Fulfilment:
    """Items sent together, and the numbers under which they travel."""

    tracking_ids: tuple[str, ...]
    item_ids: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """An order with everything that belongs to it; `methods` are its customer's payment methods."""

    id: str
    status: str
    address: Address
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    fulfilments: tuple[Fulfilment, ...]
    methods: tuple[PaymentMethod, ...]
    cancel_reason: str | None = None
    return_payment_method_id: str | None = None
    exchange_payment_method_id: str | None = None
    exchange_price_difference: Decimal | None = None


@dataclass(frozen=True)
class OrderSummary:
    """An order in a list: number, status, names of what is in it."""

    id: str
    status: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Customer:
    """Somebody who buys, with the numbers of their orders."""

    id: str
    first_name: str
    last_name: str
    email: str
    address: Address
    methods: tuple[PaymentMethod, ...]
    orders: tuple[OrderSummary, ...]


@dataclass(frozen=True)
class Swap:
    """A line of an order and the variant that takes its place."""

    line: Line
    variant: Variant


def described(name: str, options: dict[str, str]) -> str:
    """`Water Bottle (capacity 1000ml, material glass)`."""
    if not options:
        return name
    return f"{name} ({', '.join(f'{option} {value}' for option, value in options.items())})"


@dataclass(frozen=True)
class Conversation:
    """What a conversation came to. `external_id` is its thread; versions grow with its states."""

    external_id: str
    version: int
    intent: str | None
    outcome: str
    summary: str
