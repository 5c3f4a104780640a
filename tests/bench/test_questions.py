"""The benchmark asks what can be answered: articles exist, orders fit their customers and tools."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.messages import ToolCall

import graphs
from engine.database import Pool, migrate
from tools import Run, load
from tools._crm import PostgresCrm
from tools._crm.demo import company
from tools._crm.importer import import_company
from tools._identity import Identities
from tools._runtime import Toolbox

ROOT = Path(graphs.__file__).parent.parent
LINES = (ROOT / "bench" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
QUESTIONS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
SHOP = company()
FIELDS = ["id", "split", "kind", "text", "customer_id", "documents", "tool", "args"]
KINDS = {"policy": 110, "order": 54, "product": 6, "smalltalk": 12, "out_of_scope": 18}
TOOLS = {
    "get_customer", "get_order", "get_product", "get_item", "list_products", "track_order",
    "calculate", "change_customer_address", "change_order_address", "change_order_items",
    "change_order_payment", "cancel_order", "return_items", "exchange_items", "open_ticket",
    "hand_off",
}  # fmt: skip
FREE_TEXT = {"open_ticket": {"summary": "What the customer said."}}


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [question for question in QUESTIONS if question["kind"] in kinds]


def test_there_are_two_hundred_of_the_promised_kinds() -> None:
    assert Counter(question["kind"] for question in QUESTIONS) == KINDS
    assert sum(KINDS.values()) == 200
    assert all(list(question) == FIELDS for question in QUESTIONS)


def test_ids_and_wordings_are_unique() -> None:
    assert len({question["id"] for question in QUESTIONS}) == 200
    assert len({" ".join(question["text"].lower().split()) for question in QUESTIONS}) == 200


def test_every_second_question_of_a_kind_is_held_back() -> None:
    for kind in KINDS:
        splits = [question["split"] for question in of_kind(kind)]
        assert splits == ["tune", "held"] * (len(splits) // 2)


def test_policy_questions_name_articles_that_exist() -> None:
    articles = {path.stem for path in (ROOT / "graphs" / "demo").glob("*.md")}
    for question in of_kind("policy"):
        assert 1 <= len(question["documents"]) <= 2
        assert set(question["documents"]) <= articles
        assert question["tool"] is None
    asked = {slug for question in of_kind("policy") for slug in question["documents"]}
    assert len(asked) >= 0.9 * len(articles)


def test_half_of_the_policy_questions_share_no_word_with_the_title() -> None:
    def words(text: str) -> set[str]:
        return {word[:5] for word in re.findall(r"[a-z]{4,}", text.lower())} - {"your", "with"}

    apart = [
        question["id"]
        for question in of_kind("policy")
        if not words(question["text"]) & words(question["documents"][0])
    ]
    assert len(apart) >= len(of_kind("policy")) / 2


def test_order_questions_cover_every_tool() -> None:
    asked = of_kind("order", "product")
    assert {question["tool"] for question in asked} == TOOLS
    assert all(question["documents"] == [] for question in asked)


def test_small_talk_and_foreign_subjects_need_neither_article_nor_tool() -> None:
    for question in of_kind("smalltalk", "out_of_scope"):
        assert (question["documents"], question["tool"], question["args"]) == ([], None, {})


def test_customers_exist_and_own_what_they_ask_about() -> None:
    for question in QUESTIONS:
        customer, args = question["customer_id"], question["args"]
        assert customer is None or customer in SHOP["users"]
        if "order_id" in args:
            assert SHOP["orders"][args["order_id"]]["user_id"] == customer
        if "payment_method_id" in args:
            assert args["payment_method_id"] in SHOP["users"][customer]["payment_methods"]
        for named in re.findall(r"W\d{7}", question["text"]):
            assert SHOP["orders"][f"#{named}"]["user_id"] == customer


def test_a_question_without_an_order_number_leaves_one_order_to_choose() -> None:
    for question in of_kind("order"):
        if (
            "order_id" in question["args"]
            and question["args"]["order_id"][1:] not in question["text"]
        ):
            assert SHOP["users"][question["customer_id"]]["orders"] == [
                question["args"]["order_id"]
            ]


async def test_the_tools_accept_every_expected_call(pool: Pool) -> None:
    await migrate(pool, "engine")
    await migrate(pool, "tools._crm")
    await import_company(pool, "bench", SHOP)
    tools = load({"crm": PostgresCrm(pool), "http": None})
    toolbox = Toolbox(tools, pool, Identities(pool))
    for question in of_kind("order", "product"):
        name = question["tool"]
        args = FREE_TEXT.get(name, {}) | question["args"]
        call = ToolCall(name=name, args=args, id="call", type="tool_call")
        run = Run(
            tenant="bench",
            thread_id=uuid4().hex,
            run_id=uuid4().hex,
            call_id="call",
            customer_id=question["customer_id"],
            level="verified" if question["customer_id"] else "anonymous",
        )
        if tools[name].write:
            assert (await toolbox.preview(call, run)).text  # raises what the tool refuses
        else:
            assert (await toolbox.invoke(call, run)).error is None, question["id"]
