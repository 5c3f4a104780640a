"""The JSON shape of a company: what a file must hold, part by part."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools._arguments import EMAIL, ITEM, METHOD, ORDER

Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
Difference = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Words = Annotated[str, Field(min_length=1)]
ItemNumber = Annotated[str, Field(pattern=f"^{ITEM}$")]
OrderNumber = Annotated[str, Field(pattern=f"^{ORDER}$")]
MethodNumber = Annotated[str, Field(pattern=f"^{METHOD}$")]


class _Shape(BaseModel):
    """A field that we would drop in silence is an error."""

    model_config = ConfigDict(extra="forbid")


class Address(_Shape):
    """Where somebody lives or an order goes."""

    address1: Words
    address2: str = ""
    city: Words
    state: str
    country: Words
    zip: Words


class Name(_Shape):
    """First and last name."""

    first_name: Words
    last_name: Words


class Method(_Shape):
    """A payment method; a gift card has a balance."""

    id: MethodNumber
    source: Words
    brand: str | None = None
    last_four: str | None = None
    balance: Money | None = None


class User(_Shape):
    """A customer."""

    user_id: Words
    name: Name
    address: Address
    email: Annotated[str, Field(pattern=f"^{EMAIL}$")]
    payment_methods: dict[str, Method]
    orders: list[OrderNumber]


class Variant(_Shape):
    """One item of a product."""

    item_id: ItemNumber
    options: dict[str, str]
    available: bool
    price: Money


class Product(_Shape):
    """A product with its items."""

    product_id: ItemNumber
    name: Words
    description: str | None = None
    variants: dict[str, Variant]


class Item(_Shape):
    """A line of an order."""

    name: Words
    product_id: ItemNumber
    item_id: ItemNumber
    price: Money
    options: dict[str, str]


class Sent(_Shape):
    """A shipment."""

    tracking_id: list[str]
    item_ids: list[ItemNumber]


class Paid(_Shape):
    """An entry of the payment history."""

    transaction_type: Literal["payment", "refund"]
    amount: Money
    payment_method_id: MethodNumber


class Order(_Shape):
    """An order, with what was requested for it."""

    order_id: OrderNumber
    user_id: Words
    address: Address
    items: list[Item]
    status: Words
    fulfillments: list[Sent]
    payment_history: list[Paid]
    cancel_reason: str | None = None
    return_items: list[ItemNumber] | None = None
    return_payment_method_id: str | None = None
    exchange_items: list[ItemNumber] | None = None
    exchange_new_items: list[ItemNumber] | None = None
    exchange_payment_method_id: str | None = None
    exchange_price_difference: Difference | None = None


class Company(_Shape):
    """Everything a file holds."""

    products: dict[str, Product]
    users: dict[str, User]
    orders: dict[str, Order]
