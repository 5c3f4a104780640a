"""Read one product."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import ProductId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class GetProduct(Tool):
    """Read a product by its number: every variant with options, price and availability."""

    crm: Crm

    provides = ("variant",)
    mentions = r"\b(?i:product)\s+(?i:id|number|no\.?)?\s{0,3}#?(?P<product_id>\d{10})\b"
    examples = (
        "Which sizes does product 4018826395 come in?",
        "product 7730951284",
        "What variants of the backpack do you have?",
        "do you have the desk lamp in green",
        "Is there a cheaper version of this kettle?",
        "I am looking for the wool blanket in another colour, what is there?",
        "which colors are the sneakers available in?",
        "options for the espresso machine pls",
        "Could you list every variant of the office chair with its price?",
        "got the jacket in XL?",
        "how much are the headphones",
        "Please show me what the hiking boots cost in size 9.",
        "whats the cheapest tablet u have in stock",
        "are there any waterproof cameras left",
        "Before I exchange it I would like to see the other skateboard designs.",
        "Does the smart watch exist with a leather band?",
    )

    async def __call__(self, product_id: ProductId, run: Run) -> Result:
        product = await self.crm.product(run, product_id)
        if product is None:
            raise Refused(f"There is no product {product_id}.")
        return Result(
            prose.product(product),
            prose.plain(product),
            {"variant": prose.variant_choices(product.variants)},
        )
