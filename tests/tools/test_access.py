"""Nobody reaches anybody else: every tool is tried on the orders and names of other customers."""

from uuid import uuid4

import pytest
from langchain_core.messages import ToolCall

from engine.errors import Refused
from tools import Run, load
from tools._crm import PostgresCrm
from tools._crm.demo import company
from tools._crm.export import export
from tools._crm.importer import import_company
from tools._identity import Identities
from tools._runtime import Toolbox

COMPANY = company()
TOOLS = load({"crm": None, "http": None})
SCHEMAS = {
    spec.name: spec.args_schema.model_json_schema() for spec in Toolbox(TOOLS, None, None).specs()
}
ON_ORDERS = [name for name in SCHEMAS if "order_id" in SCHEMAS[name]["properties"]]
FINDERS = [name for name, tool in TOOLS.items() if tool.identifies]
# What cannot name anybody: its own customer's data, the catalogue, sums and tickets.
HARMLESS = {
    "calculate", "change_customer_address", "get_customer", "get_item", "get_product", "hand_off",
    "list_products", "open_ticket",
}  # fmt: skip
ATTACKERS = ["maya_linden_4821", "harold_whitcombe_6615", "priya_raman_2087"]


def best_try(name, order):
    """The arguments that would work if the attacker were the owner."""
    variants = COMPANY["products"][order["items"][0]["product_id"]]["variants"]
    other = next(
        (each for each in variants if each != order["items"][0]["item_id"]),
        order["items"][0]["item_id"],
    )
    values = {
        "order_id": order["order_id"],
        "reason": "no longer needed",
        "item_ids": [order["items"][0]["item_id"]],
        "new_item_ids": [other],
        "payment_method_id": order["payment_history"][0]["payment_method_id"],
        "address1": "1 Thief Alley",
        "city": "Nowhere",
        "state": "NV",
        "postcode": "00000",
    }
    return {argument: values[argument] for argument in SCHEMAS[name].get("required", ())}


class Attack:
    """One customer with a verified identity, in one conversation."""

    def __init__(self, toolbox, tenant, customer):
        self.toolbox, self.tenant, self.customer = toolbox, tenant, customer
        self.thread_id = uuid4().hex

    def run(self):
        return Run(
            tenant=self.tenant, thread_id=self.thread_id, run_id=uuid4().hex, call_id=uuid4().hex,
            customer_id=self.customer, level="verified",
        )  # fmt: skip

    async def error(self, name, args):
        call = ToolCall(name=name, args=args, id="x", type="tool_call")
        outcome = await self.toolbox.invoke(call, self.run())
        assert outcome.result is None
        assert outcome.receipt is None
        return outcome.error

    async def refusal(self, name, args):
        call = ToolCall(name=name, args=args, id="x", type="tool_call")
        with pytest.raises(Refused) as refused:
            await self.toolbox.preview(call, self.run())
        return str(refused.value)


@pytest.fixture(scope="module")
async def tenant(shop_pool) -> str:
    tenant = uuid4().hex
    await import_company(shop_pool, tenant, COMPANY)
    return tenant


@pytest.fixture
async def toolbox(shop_pool) -> Toolbox:
    tools = load({"crm": PostgresCrm(shop_pool), "http": None})
    return Toolbox(tools, shop_pool, Identities(shop_pool))


def test_every_tool_is_swept_or_known_to_be_harmless() -> None:
    assert {*ON_ORDERS, *FINDERS} | HARMLESS == set(TOOLS)
    assert not {*ON_ORDERS, *FINDERS} & HARMLESS


@pytest.mark.parametrize("customer", ATTACKERS)
async def test_no_order_of_anybody_else_is_read_or_changed(
    shop_pool, toolbox, tenant, customer
) -> None:
    before = await export(shop_pool, tenant)
    attack = Attack(toolbox, tenant, customer)
    await toolbox.identities.of(tenant, attack.thread_id, customer)
    others = [each for each in COMPANY["orders"].values() if each["user_id"] != customer]
    sample = others[::11]
    for name in ON_ORDERS:
        write = toolbox.tools[name].write
        unknown = best_try(name, sample[0]) | {"order_id": "#W0000000"}
        expected = await attack.error(name, unknown)
        for order in sample if write else others:
            args = best_try(name, order)
            said = await attack.error(name, args)
            assert said.replace(order["order_id"], "#W0000000") == expected
            if write:
                assert await attack.refusal(name, args) == said
    assert await export(shop_pool, tenant) == before
    assert await toolbox.receipts(attack.thread_id) == []


@pytest.mark.parametrize("customer", ATTACKERS)
async def test_nobody_else_is_found_in_a_conversation_that_has_its_customer(
    toolbox, tenant, customer
) -> None:
    attack = Attack(toolbox, tenant, customer)
    await toolbox.identities.of(tenant, attack.thread_id, customer)
    for user in COMPANY["users"].values():
        if user["user_id"] == customer:
            continue
        by_email = await attack.error("find_customer_by_email", {"email": user["email"]})
        by_name = await attack.error(
            "find_customer_by_name", {**user["name"], "postcode": user["address"]["zip"]}
        )
        assert by_email == by_name
        assert "one customer only" in by_email
    assert (await toolbox.identities.of(tenant, attack.thread_id, customer)).facts == frozenset()


async def test_a_profile_holds_its_own_customer_only(toolbox, tenant) -> None:
    attack = Attack(toolbox, tenant, ATTACKERS[0])
    call = ToolCall(name="get_customer", args={}, id="x", type="tool_call")
    outcome = await toolbox.invoke(call, attack.run())
    for user in COMPANY["users"].values():
        if user["user_id"] != ATTACKERS[0]:
            secrets = [user["user_id"], user["email"], *user["payment_methods"], *user["orders"]]
            assert [each for each in secrets if each in str(outcome.result)] == []


@pytest.mark.parametrize("name", sorted(TOOLS))
@pytest.mark.parametrize("argument", ["customer_id", "user_id", "tenant", "run", "level"])
async def test_no_tool_lets_the_model_say_who_is_asking(toolbox, tenant, name, argument) -> None:
    order = next(each for each in COMPANY["orders"].values() if each["user_id"] == ATTACKERS[0])
    known = {"expression": "1+1", "email": "a@example.com", "first_name": "A", "last_name": "B"}
    known |= {"postcode": "12345", "summary": "Help", "item_id": "1234567890"}
    known |= {"product_id": "1234567890"}
    required = SCHEMAS[name].get("required", ())
    args = {each: known[each] for each in required if each in known}
    args |= best_try(name, order) if set(required) - set(args) else {}
    said = await Attack(toolbox, tenant, ATTACKERS[0]).error(name, args | {argument: ATTACKERS[1]})
    assert argument in said


async def test_a_payment_method_of_somebody_else_pays_nothing(shop_pool, toolbox, tenant) -> None:
    before = await export(shop_pool, tenant)
    attack = Attack(toolbox, tenant, "maya_linden_4821")
    theirs = [
        method
        for user in COMPANY["users"].values()
        if user["user_id"] != "maya_linden_4821"
        for method in user["payment_methods"]
    ]
    for method in theirs[:40]:
        said = await attack.error(
            "change_order_payment", {"order_id": "#W4820011", "payment_method_id": method}
        )
        assert said == f"{method} is not one of your payment methods."
    assert await export(shop_pool, tenant) == before
