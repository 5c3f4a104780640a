"""Types of arguments that several tools share: what the model reads about them, what is accepted.

`x-choose` names the kind of choice (`Result.choices`) that a read lists for the argument.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

ORDER = r"#W\d{7}"
ITEM = r"\d{10}"
METHOD = r"(?:credit_card|paypal|gift_card)_\w+"
# Bounded, so that a message full of almost-addresses is read in linear time.
EMAIL = r"[^\s@<>,;:()\"]{1,64}@[^\s@<>,;:()\"]{1,190}\.[A-Za-z]{2,24}"


@dataclass(frozen=True)
class Hint:
    """What a small model wants to know beyond the type: where to choose from, what it looks like.

    `Field(json_schema_extra=…)` would be lost in the schema that LangChain sends to models.
    """

    choose: str | None = None
    pattern: str | None = None
    synonyms: Mapping[str, Sequence[str]] | None = None

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        said = {
            "x-choose": self.choose,
            "pattern": self.pattern,
            "x-synonyms": self.synonyms,
        }
        return handler(schema) | {name: value for name, value in said.items() if value}


def _whole(pattern: str) -> Callable[[str], str]:
    """JSON schema patterns match anywhere in a text; an id is nothing else."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must look like {pattern}")
        return value

    return check


def _order_id(value: object) -> object:
    """Customers leave out the sign and the capital."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*#?\s*[wW](\d{7})\s*", value)):
        return f"#W{match[1]}"
    return value


def _tidy(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


OrderId = Annotated[
    str,
    BeforeValidator(_order_id),
    AfterValidator(_whole(ORDER)),
    Field(description="Number of the order, such as #W1234567."),
    Hint("order", ORDER),
]
ProductId = Annotated[
    str,
    AfterValidator(_whole(ITEM)),
    Field(description="Number of the product, ten digits; not the number of an item."),
    Hint("product", ITEM),
]
ItemId = Annotated[
    str,
    AfterValidator(_whole(ITEM)),
    Field(description="Number of one variant of a product, ten digits."),
    Hint("variant", ITEM),
]
LineIds = Annotated[
    list[Annotated[str, AfterValidator(_whole(ITEM)), Hint("line", ITEM)]],
    Field(
        min_length=1,
        max_length=100,
        description="Numbers of the items in the order, all at once; twice for two pieces.",
    ),
]
NewItemIds = Annotated[
    list[Annotated[str, AfterValidator(_whole(ITEM)), Hint("variant", ITEM)]],
    Field(
        min_length=1,
        max_length=100,
        description="Numbers of the items that take their place, in the same order.",
    ),
]
MethodId = Annotated[
    str,
    AfterValidator(_whole(METHOD)),
    Field(description="One of the customer's own payment methods, such as gift_card_1234567."),
    Hint("payment_method", METHOD),
]
Email = Annotated[
    str,
    BeforeValidator(_tidy),
    AfterValidator(_whole(EMAIL)),
    Field(max_length=254, description="E-mail address of the account."),
    Hint(None, EMAIL),
]
FirstName = Annotated[
    str,
    BeforeValidator(_tidy),
    Field(min_length=1, max_length=100, description="First name of the customer."),
]
LastName = Annotated[
    str,
    BeforeValidator(_tidy),
    Field(min_length=1, max_length=100, description="Last name of the customer."),
]
Street = Annotated[
    str,
    BeforeValidator(_tidy),
    Field(min_length=1, max_length=200, description="Street and house number."),
]
Unit = Annotated[
    str,
    BeforeValidator(_tidy),
    Field(max_length=200, description="Apartment, suite or floor; may be empty."),
]
City = Annotated[
    str, BeforeValidator(_tidy), Field(min_length=1, max_length=100, description="City or town.")
]
State = Annotated[
    str, BeforeValidator(_tidy), Field(max_length=100, description="State or region; may be empty.")
]
Postcode = Annotated[
    str, BeforeValidator(_tidy), Field(min_length=2, max_length=20, description="Postcode or ZIP.")
]
Country = Annotated[
    str, BeforeValidator(_tidy), Field(max_length=100, description="Empty: the same as before.")
]
Summary = Annotated[str, BeforeValidator(_tidy), Field(min_length=1, max_length=2000)]
