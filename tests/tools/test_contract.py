"""What every tool promises, judged by a test that no tool's author wrote."""

import re

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

import tools
from tools import Tool, load
from tools._runtime import Toolbox

TOOLS = load({"crm": None, "http": None})
SPECS = {spec.name: spec for spec in Toolbox(TOOLS, None, None).specs()}
NAMES = sorted(TOOLS)
WRITES = [name for name in NAMES if TOOLS[name].write]
CHOICES = {kind for tool in TOOLS.values() for kind in tool.provides}


def properties(name):
    """As a chat model gets them."""
    return convert_to_openai_tool(SPECS[name])["function"]["parameters"]["properties"]


def test_the_package_promises_a_tool_what_it_needs() -> None:
    assert sorted(tools.__all__) == [
        "Context", "Identified", "Level", "Receipt", "Result", "Run", "Tool", "load",
    ]  # fmt: skip


def test_the_desk_has_these_tools() -> None:
    assert NAMES == [
        "calculate", "cancel_order", "change_customer_address", "change_order_address",
        "change_order_items", "change_order_payment", "exchange_items", "find_customer_by_email",
        "find_customer_by_name", "get_customer", "get_item", "get_order", "get_product", "hand_off",
        "list_products", "open_ticket", "return_items", "track_order",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_read_it(name) -> None:
    spec = SPECS[name]
    assert re.fullmatch(r"[A-Z].+\.", spec.description)
    assert len(spec.description) < 300
    schema = convert_to_openai_tool(spec)["function"]
    assert schema["name"] == name
    assert "run" not in properties(name)
    for argument, said in properties(name).items():
        assert said.get("description", "").endswith("."), argument


@pytest.mark.parametrize("name", NAMES)
def test_no_argument_says_who_the_customer_is(name) -> None:
    if not TOOLS[name].identifies:
        named = [each for each in properties(name) if re.search("customer|user|account", each)]
        assert named == []


@pytest.mark.parametrize("name", NAMES)
def test_it_knows_how_customers_ask_for_it(name) -> None:
    examples = TOOLS[name].examples
    assert len({example.lower() for example in examples}) >= 16
    lengths = [len(example.split()) for example in examples]
    assert min(lengths) <= 6
    assert max(lengths) >= 9
    assert any(example[0].islower() for example in examples)


def test_no_example_belongs_to_two_tools() -> None:
    said = [example.lower() for tool in TOOLS.values() for example in tool.examples]
    assert len(said) == len(set(said))


def test_a_reason_says_how_customers_put_it() -> None:
    said = properties("cancel_order")["reason"]
    assert set(said["x-synonyms"]) == set(said["enum"])


@pytest.mark.parametrize("name", NAMES)
def test_what_it_asks_to_choose_some_read_provides(name) -> None:
    for argument, said in properties(name).items():
        hints = said.get("items", said)
        if argument.endswith(("_id", "_ids")):
            assert hints["x-choose"] in CHOICES
            assert re.compile(hints["pattern"])


@pytest.mark.parametrize("name", WRITES)
def test_changing_customer_data_needs_a_verified_customer_and_a_yes(name) -> None:
    ticket = name in {"open_ticket", "hand_off"}
    assert TOOLS[name].level == ("anonymous" if ticket else "verified")
    assert SPECS[name].metadata["confirm"] is not ticket
    assert not TOOLS[name].mentions


def test_orders_and_profiles_need_a_claimed_customer() -> None:
    claimed = [name for name in NAMES if TOOLS[name].level == "claimed"]
    assert claimed == ["get_customer", "get_order", "track_order"]


@pytest.mark.parametrize("name", [name for name in NAMES if TOOLS[name].mentions])
def test_a_mention_names_every_required_argument(name) -> None:
    groups = set(re.compile(TOOLS[name].mentions).groupindex)
    required = set(SPECS[name].args_schema.model_json_schema().get("required", ()))
    assert required <= groups <= set(properties(name))


def test_the_metadata_of_a_spec_is_the_policy_of_its_tool() -> None:
    tool = TOOLS["get_order"]
    assert SPECS["get_order"].metadata == {
        "examples": tool.examples,
        "write": False,
        "level": "claimed",
        "confirm": False,
        "identifies": False,
        "provides": ("line", "payment_method"),
    }
    assert isinstance(tool, Tool)
