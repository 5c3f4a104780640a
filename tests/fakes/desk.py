"""A desk without a graph: tools, a small shop to read, prompts as the generate step has them."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool

from engine.models.extractive import ExtractiveChat

EMAIL = r"[^\s@]+@[^\s@]+\.[a-z]{2,}"
ORDER = {"type": "string", "pattern": r"#W\d{7}", "x-choose": "order"}
ORDER["description"] = "Number of the order, such as #W7654321."
METHOD = {"type": "string", "pattern": r"(card|gift)_\d+", "x-choose": "payment_method"}
METHOD["description"] = "One of the customer's own payment methods."
REASON = {
    "enum": ["no longer needed", "ordered by mistake"],
    "description": "Why it is cancelled; there are no other reasons.",
    "x-synonyms": {"ordered by mistake": ["by accident"]},
}
TEXT = {"type": "string"}


def picks(kind: str, description: str) -> dict[str, Any]:
    items = {"type": "string", "pattern": r"\d{10}", "x-choose": kind}
    return {"type": "array", "items": items, "description": description}


def make(name: str, *optional: str, level: str = "anonymous", **more: Any) -> BaseTool:
    properties = more.pop("takes", {})
    required = [argument for argument in properties if argument not in optional]
    schema = {"type": "object", "properties": properties, "required": required}
    metadata = {"level": level, **more}
    return StructuredTool(name=name, description=name, args_schema=schema, metadata=metadata)


WRITE = {"level": "verified", "write": True}
ADDRESS = {
    **dict.fromkeys(("address1", "city", "state", "postcode", "address2", "country"), TEXT),
}
TOOLS = [
    make("by_email", identifies=True, takes={"email": {"type": "string", "pattern": EMAIL}}),
    make(
        "by_name", identifies=True,
        takes={"first_name": TEXT, "last_name": TEXT, "postcode": TEXT},
    ),
    make("read_me", level="claimed", provides=("order", "payment_method")),
    make(
        "read_order", level="claimed", provides=("line", "payment_method"),
        takes={"order_id": ORDER},
    ),
    make(
        "read_product", provides=("variant",),
        takes={"product_id": {"type": "string", "pattern": r"\d{10}", "x-choose": "product"}},
    ),
    make("cancel", **WRITE, takes={"order_id": ORDER, "reason": REASON}),
    make(
        "give_back", **WRITE,
        takes={
            "order_id": ORDER,
            "item_ids": picks("line", "Numbers of the items."),
            "method": METHOD,
        },
    ),
    make(
        "swap", **WRITE,
        takes={
            "order_id": ORDER,
            "item_ids": picks("line", "Numbers of the items."),
            "new_item_ids": picks("variant", "Numbers of the new items."),
        },
    ),
    make("move", "address2", "country", **WRITE, takes=ADDRESS),
    make("note", write=True, takes={"summary": {**TEXT, "maxLength": 60}}),
]  # fmt: skip

RED, BLUE, LAMP = "1000000001", "1000000002", "1000000003"
GREEN, BIG = "2000000001", "2000000002"
BLACK, WHITE = "2000000003", "2000000004"
MUG, LIGHT = "9000000001", "9000000002"
LINES = [
    (RED, MUG, "Tea Mug (color red, size small)"),
    (BLUE, MUG, "Tea Mug (color blue, size small)"),
    (LAMP, LIGHT, "Desk Lamp (color black, height low)"),
]
VARIANTS = {
    MUG: [
        (GREEN, "Tea Mug (color green, size small)"),
        (BIG, "Tea Mug (color green, size large)"),
    ],
    LIGHT: [
        (BLACK, "Desk Lamp (color black, height high)"),
        (WHITE, "Desk Lamp (color white, height low)"),
    ],
}


def listed(**choices: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        kind: [{"id": key, "label": label} for key, label in pairs]
        for kind, pairs in choices.items()
    }


def look(name: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the reads of this small shop say, with data and choices."""
    if name == "read_me":
        orders = [
            ("#W1000001", "#W1000001 (pending: Desk Lamp)"),
            ("#W1000002", "#W1000002 (delivered: Tea Mug)"),
        ]
        methods = [("card_1", "credit card card_1"), ("gift_2", "gift card gift_2")]
        return "Two orders.", {"choices": listed(order=orders, payment_method=methods)}
    if name == "read_order":
        lines = [{"item_id": key, "product_id": product} for key, product, _ in LINES]
        return "Three items.", {
            "data": {"order_id": args["order_id"], "lines": lines},
            "choices": listed(
                line=[(key, label) for key, _, label in LINES],
                payment_method=[("card_1", "credit card card_1")],
            ),
        }
    return "Two variants.", {"choices": listed(variant=VARIANTS[args["product_id"]])}


def system(
    intent: str, level: str = "verified", confidence: float = 0.95, extra: str = ""
) -> SystemMessage:
    request = f'<request intent="{intent}" confidence="{confidence}" level="{level}"/>'
    return SystemMessage(f"You answer customers.\n\n{request}\n\n{extra}")


def passages(*texts: str) -> str:
    parts = [
        f'<passage id="doc#{n}" title="Shop &amp; Help">\n{text}\n</passage>'
        for n, text in enumerate(texts, start=1)
    ]
    return "<passages>\n" + "\n".join(parts) + "\n</passages>"


def called(name: str, text: str, number: int = 1, **message: Any) -> list[BaseMessage]:
    call = {"name": name, "args": message.pop("args", {}), "id": f"c{number}"}
    return [
        AIMessage("", tool_calls=[call]),
        ToolMessage(text, name=name, tool_call_id=f"c{number}", **message),
    ]


async def ask(intent: str, *said: Any, **about: Any) -> AIMessage:
    messages = [HumanMessage(each) if isinstance(each, str) else each for each in said]
    return await ExtractiveChat().bind_tools(TOOLS).ainvoke([system(intent, **about), *messages])


async def settled(intent: str, *said: str, **about: Any) -> AIMessage:
    """The model's word after all the reads that it wants were made."""
    messages: list[Any] = list(said)
    for number in range(8):
        answer = await ask(intent, *messages, **about)
        if not answer.tool_calls or not answer.tool_calls[0]["name"].startswith("read_"):
            return answer
        for call in answer.tool_calls:
            text, artifact = look(call["name"], call["args"])
            messages += called(
                call["name"],
                text,
                number,
                args=call["args"],
                artifact={"receipt": None, **artifact},
            )
    raise AssertionError("it reads for ever")


def only_call(answer: AIMessage) -> tuple[str, dict[str, Any]]:
    assert answer.content == ""
    [call] = answer.tool_calls
    return call["name"], call["args"]
