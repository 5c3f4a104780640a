"""List what the shop sells."""

from dataclasses import dataclass

from tools._contract import Result, Run, Tool
from tools._crm import Crm


@dataclass(frozen=True)
class ListProducts(Tool):
    """List every type of product in the shop with its product number."""

    crm: Crm

    provides = ("product",)
    examples = (
        "What do you sell?",
        "list your products",
        "Which kinds of things can I buy from you?",
        "show me the catalogue",
        "what products do u have",
        "Could you give me an overview of your range, please?",
        "product list pls",
        "Do you sell tents?",
        "I'm looking for a present, what is there in your shop?",
        "how many different products are there",
        "what else can I get here besides lamps?",
        "Please tell me everything your store offers.",
        "all products",
        "do you cary any camping gear",
        "I would like to browse your assortment.",
        "is there a list of items you stock?",
        "What can I buy here?",
        "what types of products do you offer",
        "Show me all the product categories.",
        "do you have bicycles",
        "Do you also sell shoes for children?",
        "what kind of stuff is in your shop",
        "I'm new here. What does your store carry?",
        "how many kinds of products do you sell",
        "Can I get a list of everything in your catalogue?",
        "do u sell kitchen things",
        "Does your range include office furniture?",
        "whats in your store",
        "List every product type with its number.",
        "I need a gift for my dad, what sort of products are there?",
        "browse products",
        "Do you carry electronics as well?",
        "Are there any garden products in your shop?",
        "Do you also have toys and games?",
        "do you sell bikes or helmets",
    )

    async def __call__(self, run: Run) -> Result:
        products = await self.crm.products(run)
        names = ", ".join(f"{each.name} ({each.id})" for each in products) or "none yet"
        return Result(
            f"There are {len(products)} types of products: {names}.",
            {"products": [{"id": each.id, "name": each.name} for each in products]},
            {"product": [{"id": each.id, "label": each.name} for each in products]},
        )
