"""Read one variant of a product."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import ItemId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class GetItem(Tool):
    """Read one variant of a product by its item number: options, price and availability."""

    crm: Crm

    mentions = r"\b(?i:item|article)\s+(?i:id|number|no\.?)?\s{0,3}#?(?P<item_id>\d{10})\b"
    examples = (
        "What is item 3370918264?",
        "item 5529047718 price?",
        "Is article 8014463290 still available?",
        "do you have item number 6602938175 in stock",
        "Could you tell me what item 1190527746 costs at the moment?",
        "item 7748310952",
        "which color is item 4406192837",
        "Somebody sent me the number 9935720418, what item is that?",
        "look up item id 2281706459 for me",
        "I would like to know the options of item 5073384916, please.",
        "whats 6619420083",
        "can i still get item 3846071529 or is it sold out",
        "Please check the price of the item with the number 7290158364.",
        "item no 8157392640 - what material?",
        "tell me about itme 4725810396",
        "The receipt says item 1038827465. What exactly is that?",
        "How much is item 5082217463 and is it in stock?",
        "item id 8830174625 details please",
        "check availability of 6147790238",
    )

    async def __call__(self, item_id: ItemId, run: Run) -> Result:
        item = await self.crm.item(run, item_id)
        if item is None:
            raise Refused(f"There is no item {item_id}.")
        return Result(
            f"{item.name}, product {item.product_id}: {prose.variant(item)}.",
            prose.plain(item),
        )
