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
        "What options are there for the water bottle?",
        "which colours do you have the lamp in",
        "Show me the available versions of the tablet, please.",
        "Do you have these sneakers in size 10, leather?",
        "How much is the cheapest backpack?",
        "how many t-shirt options are available right now",
        "I'm particular about colours: is the office chair made in navy?",
        "what does the 2 liter kettle cost",
        "price of the mechanical keyboard with clicky switches?",
        "is the grill in stock",
        "Which is the most expensive skateboard you have?",
        "Does the bookshelf come in glass, and at what price?",
        "Before I decide, what other sizes of the boots are in stock?",
        "tablets with 64GB, any left?",
        "Tell me about product 6182047395: sizes, colors, prices.",
        "Which action cameras do you have that shoot 4K?",
        "whats the price diffrence between the small and the big tent",
        "Is there a wireless variant of the mouse?",
        "Are the bluetooth headphones available in white at the moment?",
        "show all variants of 2907316648",
        "Show me the variants of product number 5293810467.",
        "product id 3918402756, which options are in stock",
        "How much does the wireless mouse cost?",
        "what colors does the kettle come in",
        "Is there a jacket in XL, and what is its price?",
        "Do you have the tent for four people in stock?",
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
